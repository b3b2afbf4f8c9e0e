"""Memory of passes over a store, in a process of its own: `-m benchmarks.train.memory CACHE ROWS CODEC TIMES STEPS`.

It prints one JSON object: MiB of resident memory after the imports and the first use of the kernels, for which Numba
takes 45 MiB, and how it grew from there: at the most while the store is scanned, after a tenth of the first epoch, at
the end of the second, and at the most of all.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from benchmarks.train import store as stores
from benchmarks.train.rows import Rows
from pipelines.batches import WindowLoader
from pipelines.parquet_writer import Codec

_MIB = 1 << 20
BATCH = 1024


def resident() -> float:
    """MiB now."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096 / _MIB


def most() -> float:
    """MiB at the most so far."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 / _MIB for line in lines if line.startswith("VmHWM"))


def measured(cache: Path, rows: int, codec: Codec, times: int, steps: int) -> dict[str, float]:
    """
    Args:
        times: symbols, each with all rows. steps: to go on after the scan, of each of two epochs; 0 for all.
    """
    next(WindowLoader(Rows.made(1000).windows, batch_size=4, seed=1).batches())
    begin = resident()
    loader = WindowLoader(stores.streamed(stores.made(cache, rows, codec, times=times)), batch_size=BATCH, seed=1)
    found = {"begin": begin, "windows": float(len(loader.windows)), "scan": most() - begin}
    steps = steps or loader.steps_per_epoch
    found["seen"] = float(_passed(loader, 0, steps // 10))
    found["tenth"] = resident() - begin
    found["seen"] += _passed(loader, steps // 10, steps) + _passed(loader, 0, steps, epoch=1)
    return found | {"end": resident() - begin, "most": most() - begin, "peak": most()}


def _passed(loader: WindowLoader, step: int, end: int, epoch: int = 0) -> int:
    """Windows of the steps from one to before another."""
    batches: Iterator[object] = loader.batches(epochs=epoch + 1, epoch=epoch, step=step)
    return sum(len(batch.inputs) for batch, _ in zip(batches, range(end - step), strict=False))  # type: ignore[attr-defined]


if __name__ == "__main__":
    folder, rows, codec, times, steps = sys.argv[1:]
    print(json.dumps(measured(Path(folder), int(rows), cast(Codec, codec), int(times), int(steps))))
