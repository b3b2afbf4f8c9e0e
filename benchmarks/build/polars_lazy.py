"""Polars: a lazy query a file, scan to sink."""

from typing import Any

import polars as pl

from benchmarks.build.job import Job


def build(job: Job) -> None:
    for file in job.files:
        ticks = pl.scan_parquet(file)
        rows = second_bars(ticks) if job.bars else ticks.select(base_columns(job))
        close, volume = pl.col("close"), pl.col("volume")
        columns = [made.cast(pl.Float32).alias(name) for name, made in features(close, volume).items()]
        rows.select(*job.base, *columns).sink_parquet(job.target(file), **sink_settings(job.codec))


def sink_settings(codec: str) -> dict[str, Any]:
    names = {"default": {}, "none": {"compression": "uncompressed"}, "lz4": {"compression": "lz4"}}
    zstd = {"compression": "zstd", "compression_level": 1}
    return names.get(codec, zstd) | ({} if codec == "default" else {"statistics": False})


def base_columns(job: Job) -> list[pl.Expr]:
    return [pl.col(source).alias(name) for name, source in job.tick_columns.items()]


def second_bars(ticks: pl.LazyFrame) -> pl.LazyFrame:
    price = pl.col("price")
    return ticks.group_by_dynamic("timestamp", every="1s").agg(
        pl.col("timestamp").last().alias("last_timestamp"),
        price.first().alias("open"),
        price.max().alias("high"),
        price.min().alias("low"),
        price.last().alias("close"),
        pl.col("volume").sum(),
    )


def features(c: pl.Expr, v: pl.Expr) -> dict[str, pl.Expr]:
    made = {"log_return": (c / c.shift(1)).log()}
    for window in (20, 64, 256):
        mean, std = c.rolling_mean(window), c.rolling_std(window)
        made |= {f"mean{window}": mean, f"std{window}": std, f"z{window}": (c - mean) / std}
    change = c.diff()
    up = change.clip(lower_bound=0.0).ewm_mean(alpha=1 / 14, adjust=False)
    down = (-change).clip(lower_bound=0.0).ewm_mean(alpha=1 / 14, adjust=False)
    fast, slow = c.ewm_mean(span=12, adjust=False), c.ewm_mean(span=26, adjust=False)
    return made | {
        "rsi14": 100.0 * up / (up + down),
        "ema12": fast,
        "ema26": slow,
        "macd": fast - slow,
        "signal": (fast - slow).ewm_mean(span=9, adjust=False),
        "percentb": 0.25 * (c - c.rolling_mean(20)) / c.rolling_std(20, ddof=0) + 0.5,
        "min64": c.rolling_min(64),
        "max64": c.rolling_max(64),
        "rv64": (made["log_return"] * made["log_return"]).rolling_sum(64).sqrt(),
        "volz64": (v - v.rolling_mean(64)) / v.rolling_std(64),
        "vwapdev64": c * v.rolling_sum(64) / (c * v).rolling_sum(64) - 1.0,
    }
