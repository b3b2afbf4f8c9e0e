"""Trains a run anew from what it recorded, and says whether the same model came out."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipelines.files import staging_beside, writing
from pipelines.store import FeatureStore
from stockbot.config import load_config
from stockbot.errors import ArtifactError
from stockbot.provenance import git_state, library_versions
from stockbot.run_folder import CONFIG
from stockbot.run_records import flat, read_run
from stockbot.train import train

NEEDED = ("store", "snapshot", "commit", "dirty", "library_versions", "device", "hashes", "metrics")


@dataclass(frozen=True)
class Reproduction:
    """What came out the second time.

    Attributes:
        run: its name. same: hashes and figures are equal.
        hashes: for each thing that is hashed, whether it is the same.
        figures: name, recorded and received, of each figure that differs.
        differences: what was not as when it was made, and was passed over.
    """

    run: str
    hashes: Mapping[str, bool]
    figures: Mapping[str, tuple[Any, Any]]
    differences: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Every hash and every figure."""
        return all(self.hashes.values()) and not self.figures

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "same": self.same}


def reproduce(
    run: Path,
    store: FeatureStore | None = None,
    *,
    anyway: bool = False,
    progress: Callable[[int, int], None] | None = None,
    report: Callable[[str], None] | None = None,
) -> Reproduction:
    """Train with the settings, seed, device and rows of a run, in a folder that is removed again, and compare.

    Args:
        run: its folder. store: where its rows are now; default: where they were.
        anyway: go on where store, commit or libraries are not as they were. progress, report: as `train` takes them.

    Raises:
        ArtifactError: it has no hashes to compare with, or something is not as it was. What `train` raises.
    """
    record = _recorded(run)
    config = load_config(run / CONFIG)
    opened = store or FeatureStore.open(Path(record["store"]))
    differences = tuple(_differences(record, opened))
    if differences and not anyway:
        raise ArtifactError(f"{run}: {'; '.join(differences)}; make it as it was, or go on with --anyway")
    with writing(run.parent), staging_beside(run.with_name("reproduction")) as folder:
        again = train(config, opened, folder, device=record["device"], progress=progress, report=report)
        received = read_run(again.run)
    return Reproduction(
        run.name,
        {name: received["hashes"].get(name) == value for name, value in record["hashes"].items()},
        _differing(record["metrics"], received["metrics"]),
        differences,
    )


def _recorded(run: Path) -> dict[str, Any]:
    record = read_run(run)
    missing = [name for name in NEEDED if name not in record]
    if missing or not (run / CONFIG).exists():
        raise ArtifactError(
            f"{run}: the run is {record['state']} and left no {', '.join(missing) or CONFIG}; "
            f"expected a training that is done: `stockbot-hp runs` lists them"
        )
    return record


def _differences(record: Mapping[str, Any], store: FeatureStore) -> list[str]:
    """What is not as it was, each in a few words."""
    found = []
    if store.snapshot != record["snapshot"]:
        found.append(f"store {store.path}: expected snapshot {record['snapshot'][:16]}, received {store.snapshot[:16]}")
    commit, dirty = git_state()
    if commit != record["commit"]:
        found.append(f"commit: expected {record['commit'][:12]}, received {commit[:12]}")
    if record["dirty"]:
        found.append("commit: the run was made with changes that were not committed")
    elif dirty:
        found.append("commit: there are changes that are not committed")
    then, now = record["library_versions"], library_versions()
    names = [name for name in sorted(then.keys() | now.keys()) if then.get(name) != now.get(name)]
    return found + [f"{name}: expected {then.get(name, 'none')}, received {now.get(name, 'none')}" for name in names]


def _differing(recorded: Mapping[str, Any], received: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    then, now = dict(flat(recorded)), dict(flat(received))
    return {
        name: (then.get(name), now.get(name))
        for name in dict.fromkeys([*then, *now])
        if then.get(name) != now.get(name)
    }
