"""How fast Polars reads CSV files, whole ones, one after another; nothing is computed."""

import polars as pl

from benchmarks.build.job import Job

_SCHEMA = {"timestamp": pl.Int64, "price": pl.Float64, "volume": pl.Float64}


def build(job: Job) -> None:
    for file in job.files:
        pl.read_csv(file, schema=_SCHEMA)
