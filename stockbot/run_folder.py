"""The folder of a training run under `artifacts/runs`: its log, settings and record, and how to find it again."""

import difflib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pipelines.errors import DataError
from pipelines.files import canonical_json, pretty_json, read_json, sha256_bytes, sole_writer, write_atomic
from pipelines.store import FeatureStore
from stockbot.config import Config
from stockbot.errors import ArtifactError, PrunedError
from stockbot.provenance import git_state, library_versions, utc_now

LOG, CONFIG, RECORD = "training_log.txt", "config.yaml", "run.json"


class RunLog:
    """Lines with a time, in a file and to whoever listens."""

    def __init__(self, path: Path, report: Callable[[str], None] | None) -> None:
        self.path = path
        self._report = report

    def line(self, text: str) -> None:
        """Write a line and report it."""
        self.write(text)
        if self._report is not None:
            self._report(text)

    def write(self, text: str) -> None:
        """For the file alone: whoever listens learns of a failure from the exception."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{utc_now()}  {text}\n")


def new_run(artifacts: Path, config: Config) -> Path:
    """A fresh folder named by time and configuration; a number is added when two runs start in one second.

    Raises:
        ArtifactError: it cannot be made.
    """
    stem = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{config_hash(config)[:8]}"
    try:
        (artifacts / "runs").mkdir(parents=True, exist_ok=True)
        for number in range(1, 1000):
            run = artifacts / "runs" / (stem if number == 1 else f"{stem}-{number}")
            if not run.exists():
                run.mkdir()
                return run
    except OSError as error:
        raise ArtifactError(
            f"{artifacts}: cannot be written: {error.strerror}; give another folder with --artifacts"
        ) from None
    raise ArtifactError(f"{artifacts / 'runs' / stem}: 999 runs started in this second; start fewer at once")


def find_run(artifacts: Path, name: str) -> Path:
    """The folder of a run, by its whole name, a unique beginning of it, or `latest`.

    Raises:
        ArtifactError: there is none, or more than one (names the nearest).
    """
    folder = artifacts / "runs"
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")) if folder.is_dir() else []
    if not names:
        raise ArtifactError(
            f"{folder}: there is no run yet; run `stockbot-hp train`, or name its folder with --artifacts"
        )
    found = names[-1:] if name == "latest" else [each for each in names if each == name or each.startswith(name)]
    if len(found) == 1 or name in found:
        return folder / (name if name in found else found[0])
    near = found[:3] or difflib.get_close_matches(name, names, n=3, cutoff=0.3) or names[-3:]
    problem = "several runs begin" if found else "no run begins"
    raise ArtifactError(f"{folder}: {problem} with {name!r}; expected one such as {', '.join(near)}")


def record_run(run: Path, changes: Mapping[str, Any]) -> None:
    """Write what is known of the run into its record, beside what that holds already."""
    write_atomic(run / RECORD, pretty_json({"run": run.name, **_known(run), **changes}))


def record_origin(run: Path, config: Config, store: FeatureStore, device: str) -> None:
    """Keep the resolved settings, and record all that somebody who wants the same model again must have."""
    write_atomic(run / CONFIG, config.to_yaml().encode())
    commit, dirty = git_state()
    record_run(
        run,
        {
            "store": str(store.path),
            "snapshot": store.snapshot,
            "config_hash": config_hash(config),
            "factory": config.model.factory,
            "objective": config.labels.objective,
            "seed": config.training.seed,
            "device": device,
            "commit": commit,
            "dirty": dirty,
            "library_versions": library_versions(),
        },
    )


def resumable(run: Path) -> dict[str, Any]:
    """The record of a run that can go on.

    Raises:
        ArtifactError: it is sealed, a trial of a search, or ended before it trained.
    """
    if not ((run / RECORD).exists() and (run / CONFIG).exists()):
        raise ArtifactError(f"{run}: the run ended before it trained, there is nothing to resume; start a new one")
    record: dict[str, Any] = read_json(run / RECORD)
    if record.get("model"):
        raise ArtifactError(f"{run}: the run is done and sealed as {record['model'][:16]}; start a new one")
    if record.get("study"):
        raise ArtifactError(
            f"{run}: the run is a trial of a search; give the same `tune` again, and the search goes on"
        )
    return record


@contextmanager
def at_work(run: Path, log: RunLog) -> Iterator[None]:
    """Hold the run for this process, and say in its record how it ended, in its log too when it failed.

    Raises:
        ArtifactError: another process is at work on it.
    """
    with sole_writer(run, "training"):
        try:
            record_run(run, {"started": utc_now(), **_known(run), "state": "running", "ended": None, "error": None})
            yield
        except BaseException as error:  # Ctrl-C too
            state, reason = _state_after(error), str(error) or type(error).__name__
            with suppress(OSError, DataError):  # nor can anything be written on a full disk
                log.write(f"{'pruned' if state == 'pruned' else 'failed'}: {reason}")
                record_run(run, {"state": state, "ended": utc_now(), "error": reason})
            raise
        record_run(run, {"state": "done", "ended": utc_now()})


def _known(run: Path) -> dict[str, Any]:
    return dict(read_json(run / RECORD)) if (run / RECORD).exists() else {}


def _state_after(error: BaseException) -> str:
    if isinstance(error, PrunedError):
        return "pruned"
    return "failed" if isinstance(error, Exception) else "interrupted"


def config_hash(config: Config) -> str:
    """16 hex digits that settings have and no others."""
    return sha256_bytes(canonical_json(config.model_dump(mode="json")))[:16]
