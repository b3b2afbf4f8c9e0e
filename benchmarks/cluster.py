"""What a cluster of this machine costs beside threads: `python -m benchmarks.cluster [MILLIONS_OF_TICKS] [ROUNDS]`.

The same archive is built by one and two threads, and by one and two workers of a Dask cluster that is up already; the
rounds are interleaved, and the median is told. Processor time is that of all processes.
"""

import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from pipelines.archive import build_archive
from pipelines.cluster import ClusterBuilder
from pipelines.request import Request
from stockbot.build import archive_request
from stockbot.cluster import LOCAL, cluster_builder
from stockbot.config import Config

SYMBOLS = 8


def write_archive(folder: Path, ticks: int) -> None:
    """Trades of some days, a file a symbol."""
    folder.mkdir(parents=True)
    for symbol in range(SYMBOLS):
        rng = np.random.default_rng(symbol)
        stamps = 1_700_000_000 * 10**9 + np.cumsum(rng.integers(1, 2 * 432_000 * 10**9 // ticks, ticks))
        frame = pl.DataFrame(
            {
                "timestamp": pl.Series(stamps).cast(pl.Datetime("ns", "UTC")),
                "price": np.round(100 + np.cumsum(rng.normal(0, 0.01, ticks)), 4),
                "volume": rng.integers(1, 9, ticks).astype(float),
            }
        )
        frame.write_parquet(folder / f"S{symbol}.parquet", row_group_size=500_000)


def request(folder: Path, workers: int) -> Request:
    """A build of ticks as rows, `core17`."""
    config = Config.model_validate({"bars": {"kind": "none"}})
    made = archive_request([folder / "ticks"], config, folder / "store", replace=True)
    return Request(**{**vars(made), "workers": workers})


def on_threads(folder: Path, workers: int) -> tuple[float, float]:
    """(seconds, processor seconds) of a build by threads."""
    begun, spent = time.perf_counter(), time.process_time()
    build_archive(request(folder, workers))
    return time.perf_counter() - begun, time.process_time() - spent


def on_cluster(folder: Path, workers: int) -> tuple[float, float]:
    """(seconds, processor seconds) of a build by workers that have built before; starting them is not counted."""
    config = Config.model_validate({"bars": {"kind": "none"}})
    with cluster_builder(LOCAL, workers, config) as elsewhere:
        ask = request(folder, workers)
        build_archive(Request(**{**vars(ask), "elsewhere": elsewhere}))
        begun, spent = time.perf_counter(), processor_seconds(elsewhere)
        build_archive(Request(**{**vars(ask), "elsewhere": elsewhere}))
        return time.perf_counter() - begun, processor_seconds(elsewhere) - spent


def processor_seconds(elsewhere: ClusterBuilder) -> float:
    """Of this process, where the scheduler runs, and of all workers."""
    return time.process_time() + sum(elsewhere.client.run(time.process_time).values())


WAYS: dict[str, Callable[[Path], tuple[float, float]]] = {
    "1 thread": lambda folder: on_threads(folder, 1),
    "2 threads": lambda folder: on_threads(folder, 2),
    "1 worker": lambda folder: on_cluster(folder, 1),
    "2 workers": lambda folder: on_cluster(folder, 2),
}


def main(millions: int, rounds: int) -> None:
    """Measure, and print a line a way."""
    folder = Path(tempfile.mkdtemp(prefix="stockbot-cluster-"))
    try:
        ticks = millions * 10**6
        write_archive(folder / "ticks", ticks // SYMBOLS)
        on_threads(folder, 1)  # what is compiled is compiled
        taken: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
        for _ in range(rounds):
            for way, build in WAYS.items():
                taken[way].append(build(folder))
        stored = sum(path.stat().st_size for path in (folder / "store").rglob("*.parquet"))
        print(
            f"{ticks:,} ticks, {SYMBOLS} symbols, {os.cpu_count()} processors, {stored / ticks:.1f} bytes a tick stored"
        )
        for way, measured in taken.items():
            seconds, spent = (statistics.median(column) for column in zip(*measured, strict=True))
            print(f"{way:<10} {ticks / seconds / 1e6:6.2f} M ticks/s {spent / ticks * 1e9:6.0f} ns of processor a tick")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    arguments = [int(word) for word in sys.argv[1:]] + [8, 3][len(sys.argv) - 1 :]
    main(*arguments)
