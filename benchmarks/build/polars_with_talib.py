"""Polars with polars-talib: TA-Lib's functions as expressions, a lazy query a file."""

from math import sqrt

import polars as pl
import polars_talib as ta

from benchmarks.build.job import Job
from benchmarks.build.polars_lazy import base_columns, second_bars, sink_settings


def build(job: Job) -> None:
    for file in job.files:
        ticks = pl.scan_parquet(file)
        rows = second_bars(ticks) if job.bars else ticks.select(base_columns(job))
        made = features(pl.col("close"), pl.col("volume")).items()
        columns = [feature.cast(pl.Float32).alias(name) for name, feature in made]
        rows.select(*job.base, *columns).sink_parquet(job.target(file), **sink_settings(job.codec))


def std(x: pl.Expr, window: int) -> pl.Expr:
    """Of the sample: TA-Lib divides by the number of rows."""
    return ta.stddev(x, timeperiod=window, nbdev=sqrt(window / (window - 1)))


def features(c: pl.Expr, v: pl.Expr) -> dict[str, pl.Expr]:
    moved = (c / c.shift(1)).log().fill_null(0.0)  # TA-Lib's sums never lose a null
    made = {"log_return": moved}
    for window in (20, 64, 256):
        mean, deviation = ta.sma(c, timeperiod=window), std(c, window)
        made |= {f"mean{window}": mean, f"std{window}": deviation, f"z{window}": (c - mean) / deviation}
    fast, slow = ta.ema(c, timeperiod=12), ta.ema(c, timeperiod=26)
    macd = ta.macd(c, 12, 26, 9)
    return made | {
        "rsi14": ta.rsi(c, timeperiod=14),
        "ema12": fast,
        "ema26": slow,
        "macd": macd.struct.field("macd"),
        "signal": macd.struct.field("macdsignal"),
        "percentb": 0.25 * (c - ta.sma(c, timeperiod=20)) / ta.stddev(c, timeperiod=20, nbdev=1.0) + 0.5,
        "min64": ta.min(c, timeperiod=64),
        "max64": ta.max(c, timeperiod=64),
        "rv64": ta.sum(moved * moved, timeperiod=64).sqrt(),
        "volz64": (v - ta.sma(v, timeperiod=64)) / std(v, 64),
        "vwapdev64": c * ta.sum(v, timeperiod=64) / ta.sum(c * v, timeperiod=64) - 1.0,
    }
