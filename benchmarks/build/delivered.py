"""The features of all symbols of a store, one symbol after another, as row-major float32 matrices: what a loader of
windows takes. Prints rows and seconds of processor time, without the beginning.

python -m benchmarks.build.delivered STORE
"""

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from time import process_time

import numpy as np
from numpy.typing import NDArray

from kernels.interleave import interleave
from pipelines.parquet_writer import Columns
from pipelines.store import FeatureStore
from stockbot.native_memory import keep_freed_memory

_BLOCK = 2_048  # rows that are turned at once: 21 columns of them stay in the cache


def matrices(store: FeatureStore) -> Iterator[NDArray[np.float32]]:
    """(rows, features) float32, of a run of rows each."""
    for symbol in store.symbols:
        for run in store.batches(symbol, store.features):
            yield _turned(run, store.features)


def _turned(run: Columns, names: list[str]) -> NDArray[np.float32]:
    rows = len(run[names[0]])
    out = np.empty((rows, len(names)), np.float32)
    block = np.empty((len(names), _BLOCK), np.float32)
    for start in range(0, rows, _BLOCK):
        stop = min(start + _BLOCK, rows)
        for number, name in enumerate(names):
            block[number, : stop - start] = run[name][start:stop]
        interleave(block, out[start:stop])
    return out


def main() -> None:
    importlib.import_module("benchmarks.build.feature_set")  # enters the set
    keep_freed_memory()  # as the commands do
    store = FeatureStore.open(Path(sys.argv[1]))
    next(matrices(store))
    begun = process_time()
    rows = sum(map(len, matrices(store)))
    print(json.dumps({"rows": rows, "seconds": process_time() - begun}))


if __name__ == "__main__":
    main()
