"""Synthetic archives of ticks, one file a symbol and day, and files of the same rows as CSV; kept in a cache folder.

python -m benchmarks.build.archive FOLDER zstd 10 10 500000      # symbols, days, ticks a file

Stamps in microseconds, 21.4 ticks a second, a quarter of them fills of the order before at its very time; prices on a
grid of about 1e-5 of their level, bouncing between bid and ask around a random walk in calm and lively stretches;
log-normal volumes of four decimals. Equal arguments give equal bytes, one file is in memory at a time.
"""

import sys
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from benchmarks.build.shapes import Shape, file_names, folder_of

_FIRST_DAY = date(2024, 1, 1)
_OPEN_US = 13 * 3_600_000_000 + 30 * 60_000_000
_LEVELS = (38_250.0, 152.4, 1.2750, 2_480.0, 0.0842, 611.0, 17.35, 5_120.0)
_TICKS_A_SECOND = 21.4
_SWEEPS = 0.25
_VOLATILITY = 2e-5  # a tick
_HALF_SPREAD = 3e-5


def write(cache: Path, shape: Shape) -> None:
    """Write what is missing of an archive; a file is whole or not there."""
    folder = folder_of(cache, shape)
    folder.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(file_names(shape)):
        if not (folder / name).exists():
            symbol, day = divmod(index, shape.days)
            unfinished = cache / f"unfinished-{name}"
            _write_file(unfinished, _ticks(symbol, day, shape.ticks), shape.kind)
            unfinished.replace(folder / name)


def _ticks(symbol: int, day: int, count: int) -> pa.Table:
    rng = np.random.default_rng([11, symbol, day])
    level = _LEVELS[symbol % len(_LEVELS)]
    follows = rng.random(count) < _SWEEPS
    steps = np.where(follows, 0.0, rng.exponential(1e6 / _TICKS_A_SECOND / (1.0 - _SWEEPS), count))
    liveliness = np.repeat(rng.choice([0.6, 1.0, 1.6], count // 5_000 + 1), 5_000)[:count]
    shocks = np.where(follows, 0.0, rng.standard_t(5, count)) * liveliness * _VOLATILITY
    middle = level * np.exp(0.02 * rng.standard_normal() + np.cumsum(shocks))
    side = rng.choice([-1.0, 1.0], count)
    midnight = (_FIRST_DAY + timedelta(days=day) - date(1970, 1, 1)).days * 86_400_000_000
    return pa.table(
        {
            "timestamp": midnight + _OPEN_US + np.cumsum(steps).astype(np.int64),
            "price": np.round(middle * (1.0 + side * _HALF_SPREAD), 5 - int(np.floor(np.log10(level)))),
            "volume": np.maximum(np.round(rng.lognormal(-1.0, 0.8, count), 4), 0.0001),
        }
    )


def _write_file(path: Path, ticks: pa.Table, kind: str) -> None:
    if kind == "csv":
        pacsv.write_csv(ticks, path)  # type: ignore[no-untyped-call]
        return
    stamps = (ticks["timestamp"].to_numpy() * 1000).view("datetime64[ns]")
    ticks = ticks.set_column(0, "timestamp", pa.array(stamps, pa.timestamp("ns", tz="UTC")))
    split = {"timestamp": "DELTA_BINARY_PACKED", "price": "BYTE_STREAM_SPLIT", "volume": "BYTE_STREAM_SPLIT"}
    settings = {"compression": "none"} if kind == "none" else {"compression": kind, "column_encoding": split}
    if kind == "zstd":  # as archives come: a dictionary where it serves
        settings = {"compression": "zstd"}
    pq.write_table(ticks, path, use_dictionary=kind == "zstd", **settings)


if __name__ == "__main__":
    write(Path(sys.argv[1]), Shape(sys.argv[2], *map(int, sys.argv[3:])))
