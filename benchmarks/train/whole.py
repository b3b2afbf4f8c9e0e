"""Memory of `train` on a store of ticks, from its rows to a sealed bundle, audit and scores included.

In a process of its own, `-m benchmarks.train.whole CACHE TICKS PLACEMENT`, it prints one JSON object: rows, MiB of
resident memory after the imports, at the most of all, and that of the rows' features alone; processor seconds.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.build import archive
from benchmarks.build.shapes import Shape, folder_of
from benchmarks.train.memory import most, resident
from pipelines.store import FeatureStore
from stockbot.build import build_features
from stockbot.config import Config, load_config

SYMBOLS = 10
_MIB = 1 << 20
_SETTINGS = {
    "bars.kind": "none",
    "features": ["core17"],
    "model.factory": "linear",  # what is measured is the data's way to a model
    "training.epochs": 1,
    "training.batch_size": 1024,
    "loader.budget": "64MB",
}


def made(cache: Path, ticks: int) -> FeatureStore:
    """A store with a row for each tick of ten symbols, built once and kept."""
    shape = Shape("zstd", SYMBOLS, 1, ticks // SYMBOLS)
    root = cache / f"features-{shape.total}"
    if not root.exists():
        archive.write(cache, shape)
        build_features([folder_of(cache, shape)], settings("auto"), root)
    return FeatureStore.open(root)


def settings(placement: str) -> Config:
    """Of one epoch of the smallest model."""
    return load_config(None, _SETTINGS | {"loader.placement": placement})


def measured(cache: Path, ticks: int, placement: str) -> dict[str, float]:
    """
    Args:
        placement: as `loader.placement`; `auto` streams, as the budget is 64 MB.
    """
    from stockbot.train import train

    store = made(cache, ticks)
    begin, started = resident(), time.process_time()
    with tempfile.TemporaryDirectory(dir=cache) as artifacts:
        about = train(settings(placement), store, Path(artifacts), device="cpu").manifest["data"]
    matrix = about["rows"] * len(store.features) * 4 / _MIB
    found = {name: float(about[name]) for name in ("rows", "train_windows")}
    return found | {
        "streamed": float(about["placement"] == "streamed"),
        "matrix": matrix,
        "begin": begin,
        "peak": most(),
        "seconds": time.process_time() - started,
    }


if __name__ == "__main__":
    folder, count, where = sys.argv[1:]
    print(json.dumps(measured(Path(folder), int(count), where)))
