"""The least that a build can take: ticks decoded, and as many columns encoded by the encoder of the store; no features.

The features that are encoded are real, and made outside what is timed; a first file, untimed, loads what is loaded
late. Prints seconds of `decode`, `encode`, `encode, pyarrow` at its fastest settings, and `hash`, SHA-256 of what the
store's encoder wrote, which is no part of the floor.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

import benchmarks.build.feature_set  # noqa: F401 (enters the set)
from benchmarks.build.job import Job, pyarrow_settings
from pipelines.bars import BarSpec
from pipelines.features import FeaturePlan, FeatureStream
from pipelines.parquet_writer import Encoding, write_parquet
from pipelines.parts import kinds_of

Stages = dict[str, float]


def build(job: Job) -> None:
    plan = FeaturePlan(["set21"])
    seconds: Stages = defaultdict(float)
    for number, file in enumerate(job.files[:1] + job.files):
        if number == 1:
            seconds.clear()
        with _timed(seconds, "decode"):
            ticks = pq.ParquetFile(file).read(use_threads=False)
            arrays = _arrays(ticks)
        if not job.bars:
            _, features = FeatureStream(BarSpec("none", 1), plan).push_ticks(*arrays)
            rows = {name: ticks[source] for name, source in job.tick_columns.items()}
            _encode(pa.table(rows | dict(zip(plan.names, features.T, strict=True))), job, file, seconds)
    print(json.dumps(seconds))


@contextmanager
def _timed(seconds: Stages, stage: str) -> Iterator[None]:
    begun = process_time()
    yield
    seconds[stage] += process_time() - begun


def _arrays(ticks: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    stamps = ticks["timestamp"].combine_chunks().cast(pa.int64()).to_numpy()
    price, volume = (ticks[name].combine_chunks().to_numpy() for name in ("price", "volume"))
    return stamps, price, volume


def _encode(table: pa.Table, job: Job, file: str, seconds: Stages) -> None:
    columns = {name: _plain(table[name]) for name in table.column_names}
    with _timed(seconds, "encode"), open(job.target(file), "wb") as sink:
        write_parquet(sink, columns, kinds_of(columns), _encoding(job.codec))
    with _timed(seconds, "hash"):
        sha256(Path(job.target(file)).read_bytes()).hexdigest()
    with _timed(seconds, "encode, pyarrow"):
        pq.write_table(table, job.target(file), **pyarrow_settings(job.codec, table.column_names))


def _plain(column: pa.ChunkedArray) -> NDArray[Any]:
    return (column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column).to_numpy()


def _encoding(codec: str) -> Encoding:
    return Encoding() if codec == "default" else Encoding(codec, 1 if codec == "zstd" else None)
