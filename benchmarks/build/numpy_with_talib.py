"""TA-Lib, NumPy and pyarrow by hand: the fastest that one writes without a compiler, a file at a time."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import talib as ta
from numpy.typing import NDArray

from benchmarks.build.job import Job, pyarrow_settings

Floats = NDArray[np.float64]


def build(job: Job) -> None:
    for file in job.files:
        ticks = pq.ParquetFile(file).read(use_threads=False)
        made = features(ticks["price"].to_numpy(), ticks["volume"].to_numpy())
        rows = {name: ticks[source] for name, source in job.tick_columns.items()}
        table = pa.table(rows | {name: column.astype(np.float32) for name, column in made.items()})
        pq.write_table(table, job.target(file), **pyarrow_settings(job.codec, table.column_names))


def std(x: Floats, window: int) -> Floats:
    """Of the sample: TA-Lib divides by the number of rows."""
    return ta.STDDEV(x, window, nbdev=np.sqrt(window / (window - 1)))


def features(c: Floats, v: Floats) -> dict[str, Floats]:
    moved = np.zeros(len(c))
    np.log(c[1:] / c[:-1], out=moved[1:])
    made = {"log_return": moved}
    for window in (20, 64, 256):
        mean, deviation = ta.SMA(c, window), std(c, window)
        made |= {f"mean{window}": mean, f"std{window}": deviation, f"z{window}": (c - mean) / deviation}
    fast, slow = ta.EMA(c, 12), ta.EMA(c, 26)
    macd, signal, _ = ta.MACD(c, 12, 26, 9)
    return made | {
        "rsi14": ta.RSI(c, 14),
        "ema12": fast,
        "ema26": slow,
        "macd": macd,
        "signal": signal,
        "percentb": 0.25 * np.sqrt(20 / 19) * made["z20"] + 0.5,
        "min64": ta.MIN(c, 64),
        "max64": ta.MAX(c, 64),
        "rv64": np.sqrt(ta.SUM(moved * moved, 64)),
        "volz64": (v - ta.SMA(v, 64)) / std(v, 64),
        "vwapdev64": c * ta.SUM(v, 64) / ta.SUM(c * v, 64) - 1.0,
    }
