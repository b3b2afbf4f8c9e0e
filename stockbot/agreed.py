"""What all workers of a training must have in common, and their meeting."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from pipelines.files import canonical_json, sha256_bytes
from pipelines.store import FeatureStore
from stockbot.config import Config, duration_ns
from stockbot.fit.checkpoints import FOLDER, LAST
from stockbot.fit.devices import own_devices
from stockbot.meeting import meeting
from stockbot.provenance import library_versions
from stockbot.run_records import flat
from stockbot.training_set import with_store_bars
from stockbot.workers import own_cluster

PACKAGES = ("kernels", "pipelines", "stockbot")
OWN_OF_EACH = ("paths", "feature_modules")  # where things lie may differ, and what lies there is compared


def meet_workers(config: Config, store: FeatureStore, run: Path | None) -> AbstractContextManager[Callable[[], None]]:
    """The meeting of the workers that this process is one of; nobody waits where it is alone.

    Args:
        run: the folder of the run, whose checkpoint it would go on from; None where it is not known.

    Raises:
        What `meeting.meeting` raises. UsageError: `TF_CONFIG` is not valid.
    """
    seconds = duration_ns(config.training.worker_wait) / 1e9
    return meeting(own_cluster(), lambda: facts_of(config, store, run), seconds=seconds)


def facts_of(config: Config, store: FeatureStore, run: Path | None) -> dict[str, Any]:
    """By name what changes the model: settings, rows, checkpoint, versions, code, devices."""
    settings = {
        name: value
        for section, values in with_store_bars(config, store).model_dump(mode="json").items()
        if section not in OWN_OF_EACH
        for name, value in flat({section: values})
    }
    checkpoint = None if run is None else run / FOLDER / LAST
    return {
        **settings,
        "snapshot of the store": store.snapshot[:16],
        "checkpoint": _hash([checkpoint]) if checkpoint is not None and checkpoint.exists() else "none",
        **{f"version of {name}": version for name, version in library_versions().items()},
        "code of stockbot-hp": _hash(_code()),
        "code of feature_modules": _hash([_file_of(name) for name in config.feature_modules]),
        "devices": own_devices(),
    }


def _code() -> list[Path]:
    root = Path(__file__).resolve().parents[1]
    return sorted(path for package in PACKAGES for path in (root / package).rglob("*.py"))


def _file_of(name: str) -> Path:
    return Path(name) if name.endswith(".py") else Path(str(sys.modules[name].__file__))


def _hash(files: list[Path]) -> str:
    return sha256_bytes(canonical_json([sha256_bytes(path.read_bytes()) for path in files]))[:16]
