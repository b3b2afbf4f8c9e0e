"""Polars: one streaming query for the whole archive, every feature `over` the symbol; one file comes out."""

import polars as pl

from benchmarks.build.job import Job
from benchmarks.build.polars_lazy import base_columns, features, sink_settings


def build(job: Job) -> None:
    ticks = pl.scan_parquet(job.files, include_file_paths="file")
    symbol = pl.col("file").str.extract(r"([^/\\]+)_[0-9-]+\.parquet$").alias("symbol")
    made = features(pl.col("close"), pl.col("volume")).items()
    columns = [feature.over("symbol").cast(pl.Float32).alias(name) for name, feature in made]
    query = ticks.select(symbol, *base_columns(job)).select("symbol", *job.base, *columns)
    query.sink_parquet(f"{job.out}/all.parquet", engine="streaming", **sink_settings(job.codec))
