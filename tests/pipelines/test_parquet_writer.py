"""Parquet files of our own, read back to the bit by the readers that users have."""

import io
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import DataError
from pipelines.parquet_writer import PAGE_ROWS, SAMPLE_ROWS, Encoding, Kind, ParquetWriter, write_parquet

CODECS = ["none", "snappy", "lz4", "zstd"]
BITS = {"timestamp": np.int64, "int64": np.int64, "float32": np.uint32, "float64": np.uint64}
ARROW_TYPES = {
    "timestamp": pa.timestamp("ns", "UTC"), "int64": pa.int64(), "float32": pa.float32(), "float64": pa.float64(),
}  # fmt: skip

Columns = dict[str, np.ndarray]
Kinds = dict[str, Kind]


def numbers(kind: str, rows: int, seed: int) -> np.ndarray:
    """Any bits, so NaN with payloads, infinities, denormals and the extremes of int64; a walk in every other seed."""
    rng = np.random.default_rng(seed)
    if seed % 2:
        walk = 100 + np.cumsum(rng.integers(-2, 3, rows))
        return walk.astype(np.int64 if BITS[kind] is np.int64 else kind)
    anything = rng.integers(0, 2**64, rows, np.uint64).astype(BITS[kind])
    if BITS[kind] is np.int64:
        anything[: rows // 4] = rng.choice([np.iinfo(np.int64).min, np.iinfo(np.int64).max], rows // 4)
        return anything
    special = np.array([-0.0, 0.0, np.nan, -np.nan, np.inf, -np.inf, np.finfo(kind).smallest_subnormal], kind)
    anything[: rows // 4] = rng.choice(special.view(BITS[kind]), rows // 4)
    return anything.view(kind)


def market(rows: int, kinds: Kinds, seed: int = 0) -> Columns:
    return {name: numbers(kind, rows, seed + place) for place, (name, kind) in enumerate(kinds.items())}


def written(columns: Columns, kinds: Kinds, encoding: Encoding) -> bytes:
    file = io.BytesIO()
    write_parquet(file, columns, kinds, encoding)
    return file.getvalue()


def as_bits(array: np.ndarray, kind: str) -> np.ndarray:
    return np.ascontiguousarray(array).view(BITS[kind])


def by_pyarrow(data: bytes) -> dict[str, np.ndarray]:
    table = pq.read_table(pa.BufferReader(data))
    table.validate(full=True)
    plain = {name: table[name].cast(pa.int64()) if pa.types.is_timestamp(table[name].type) else table[name]
             for name in table.column_names}  # fmt: skip
    return {name: column.to_numpy() for name, column in plain.items()}


def by_polars(data: bytes) -> dict[str, np.ndarray]:
    frame = pl.read_parquet(io.BytesIO(data))
    assert frame.null_count().sum_horizontal().item() == 0
    return {name: frame[name].to_physical().to_numpy() for name in frame.columns}


def by_pandas(data: bytes) -> dict[str, np.ndarray]:
    frame = pd.read_parquet(io.BytesIO(data))
    plain = {name: column.dt.tz_convert(None) if hasattr(column, "dt") else column for name, column in frame.items()}
    return {name: column.to_numpy() for name, column in plain.items()}


READERS = [by_pyarrow, by_polars, by_pandas]

kind_sets = st.lists(st.sampled_from(sorted(BITS)), min_size=1, max_size=20).map(
    lambda kinds: {f"column {place}": kind for place, kind in enumerate(kinds)}
)
encodings = st.builds(
    lambda codec, level, rows: Encoding(codec, level if codec == "zstd" else None, rows),
    st.sampled_from(CODECS), st.sampled_from([None, 1, 3, 19]), st.integers(1, 40),
)  # fmt: skip


@pytest.mark.parametrize("read", READERS)
@given(kinds=kind_sets, encoding=encodings, groups=st.integers(0, 3), rest=st.integers(-1, 1), seed=st.integers(0, 99))
def test_every_bit_comes_back(
    read: Callable[[bytes], dict[str, np.ndarray]], kinds: Kinds, encoding: Encoding, groups: int, rest: int, seed: int
) -> None:
    rows = max(0, groups * encoding.row_group_rows + rest)  # none, one, and around the borders of row groups
    columns = market(rows, kinds, seed)
    received = read(written(columns, kinds, encoding))
    assert list(received) == list(kinds)
    for name, kind in kinds.items():
        np.testing.assert_array_equal(as_bits(received[name], kind), as_bits(columns[name], kind), name)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("rows", [PAGE_ROWS - 1, PAGE_ROWS, 2 * PAGE_ROWS + 1])
def test_every_bit_comes_back_from_several_pages(read: Any, codec: Any, rows: int) -> None:
    kinds: Kinds = {"timestamp": "timestamp", "noise": "float32", "wide": "float64"}
    columns = market(rows, kinds)
    received = read(written(columns, kinds, Encoding(codec, row_group_rows=1 << 20)))
    for name, kind in kinds.items():
        np.testing.assert_array_equal(as_bits(received[name], kind), as_bits(columns[name], kind), name)


@pytest.mark.parametrize("codec", CODECS)
def test_duckdb_reads_it(codec: Any, tmp_path: Any) -> None:
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    kinds: Kinds = {"t": "timestamp", "count": "int64", "walk": "float32", "wide": "float64"}
    columns = market(1000, kinds, seed=1)
    path = tmp_path / "ours.parquet"
    path.write_bytes(written(columns, kinds, Encoding(codec, row_group_rows=300)))
    received = duckdb.sql(f"select epoch_ns(t) as t, count, walk, wide from '{path}'").fetchnumpy()
    for name, kind in kinds.items():
        np.testing.assert_array_equal(as_bits(received[name], kind), as_bits(columns[name], kind), name)


@pytest.mark.parametrize("codec", CODECS)
def test_types_statistics_and_layout_are_stated(codec: Any) -> None:
    kinds: Kinds = {"timestamp": "timestamp", "count": "int64", "z": "float32", "price": "float64"}
    steady = np.arange(25_000) * 1000
    columns = {"timestamp": steady, "count": -steady, "z": numbers("float32", 25_000, 1), "price": steady / 8}
    file = pq.ParquetFile(pa.BufferReader(written(columns, kinds, Encoding(codec, row_group_rows=10_000))))
    assert file.schema_arrow == pa.schema([pa.field(name, ARROW_TYPES[kinds[name]], nullable=False) for name in kinds])
    assert str(file.schema.column(0).logical_type) == (
        "Timestamp(isAdjustedToUTC=true, timeUnit=nanoseconds, is_from_converted_type=false, "
        "force_set_converted_type=false)"
    )
    assert file.metadata.created_by.startswith("stockbot-hp version ")
    groups = [file.metadata.row_group(group) for group in range(file.metadata.num_row_groups)]
    assert [group.num_rows for group in groups] == [10_000, 10_000, 5000]
    for start, group in zip((0, 10_000, 20_000), groups, strict=True):
        chunks = [group.column(place) for place in range(4)]
        split = "PLAIN" if codec == "none" else "BYTE_STREAM_SPLIT"
        assert [chunk.encodings[0] for chunk in chunks] == ["DELTA_BINARY_PACKED"] * 2 + [split] * 2
        assert {chunk.compression for chunk in chunks} == {"UNCOMPRESSED" if codec == "none" else codec.upper()}
        assert [chunk.statistics is None for chunk in chunks] == [False, False, True, True]
        for chunk, name in zip(chunks[:2], kinds, strict=False):
            known, part = chunk.statistics, columns[name][start : start + 10_000]
            assert (known.min_raw, known.max_raw, known.null_count) == (part.min(), part.max(), 0)


@pytest.mark.parametrize("codec", CODECS[1:])
def test_what_saves_less_than_an_eighth_is_not_compressed(codec: Any) -> None:
    """Told by the middle of a row group: where two of four streams are noise there is a half to save."""
    rows = 3 * SAMPLE_ROWS
    noise = np.random.default_rng(1).integers(0, 1 << 32, rows, np.uint32)
    middle = np.zeros(rows, np.uint32)
    middle[SAMPLE_ROWS : 2 * SAMPLE_ROWS] = noise[:SAMPLE_ROWS]
    columns = {
        "noise": noise.view(np.float32),
        "half": (noise & np.uint32(0xFFFF)).view(np.float32),
        "noise in the middle": middle.view(np.float32),
        "a sixteenth": (noise & np.uint32(0x3FFFFFFF)).view(np.float32),
        "times": noise.astype(np.int64),
    }
    kinds: Kinds = {name: "timestamp" if name == "times" else "float32" for name in columns}
    data = written(columns, kinds, Encoding(codec, row_group_rows=rows))
    group = pq.ParquetFile(pa.BufferReader(data)).metadata.row_group(0)
    chunks = {name: group.column(place) for place, name in enumerate(columns)}
    assert {name for name, chunk in chunks.items() if chunk.compression != "UNCOMPRESSED"} == {"half"}
    assert {name for name, chunk in chunks.items() if "PLAIN" in chunk.encodings} == {*columns} - {"half", "times"}
    assert chunks["half"].total_compressed_size < 0.6 * chunks["noise"].total_compressed_size


def test_sizes_in_the_footer_are_those_of_the_pages() -> None:
    kinds: Kinds = {"timestamp": "timestamp", "z": "float32"}
    data = written(market(1000, kinds), kinds, Encoding("zstd", 1, 300))
    metadata = pq.ParquetFile(pa.BufferReader(data)).metadata
    at = 4
    for group in range(metadata.num_row_groups):
        for place in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(place)
            assert chunk.data_page_offset == at
            at += chunk.total_compressed_size
    assert at == len(data) - metadata.serialized_size - 8


def test_equal_rows_give_equal_bytes_however_they_come() -> None:
    kinds: Kinds = {"timestamp": "timestamp", "a": "float32", "b": "float64"}
    columns, encoding = market(1000, kinds), Encoding("zstd", 3, 100)
    whole = written(columns, kinds, encoding)
    file = io.BytesIO()
    writer = ParquetWriter(file, kinds, encoding)
    for start, stop in ((0, 300), (300, 300), (300, 900), (900, 1000)):  # whole row groups, and none
        writer.write({name: column[start:stop] for name, column in columns.items()})
    writer.finish()
    strided = {name: np.repeat(column, 2)[::2] for name, column in columns.items()}
    assert file.getvalue() == whole == written(strided, kinds, encoding)


def test_threads_that_write_at_once_do_not_meet() -> None:
    kinds: Kinds = {"timestamp": "timestamp", "z": "float32"}
    tasks = [(market(20_000, kinds, seed), Encoding(codec, None, 7000)) for seed, codec in enumerate(CODECS)]
    received: dict[int, bytes] = {}

    def write(task: int) -> None:
        received[task] = written(tasks[task][0], kinds, tasks[task][1])

    threads = [threading.Thread(target=write, args=(task,)) for task in range(len(tasks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [received[task] for task in range(len(tasks))] == [written(rows, kinds, code) for rows, code in tasks]


def test_columns_of_a_matrix_are_written_where_they_lie() -> None:
    matrix = np.arange(80, dtype=np.float32).reshape(2, 40)
    given_away: list[np.ndarray] = []

    class Keep:
        def write(self, data: Any) -> None:
            given_away.append(np.frombuffer(data, np.uint8))

    write_parquet(Keep(), {"a": matrix[0], "b": matrix[1]}, {"a": "float32", "b": "float32"}, Encoding("none"))
    assert sum(np.shares_memory(data, matrix) for data in given_away) == 2


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": np.zeros(3, np.float32)}, "columns: expected a, b, received a"),
        ({"b": np.zeros(3, np.int64), "a": np.zeros(3, np.float32)}, "columns: expected a, b, received b, a"),
        (
            {"a": np.zeros(3), "b": np.zeros(3, np.int64)},
            r"column a: expected float32 .*, received float64",
        ),
        (
            {"a": np.zeros(3, np.float32), "b": np.zeros(2, np.int64)},
            r"column b: expected int64 of shape \(3,\), received int64 of shape \(2,\)",
        ),
        ({"a": np.zeros((3, 1), np.float32), "b": np.zeros(3, np.int64)}, r"column a: .* received .* shape \(3, 1\)"),
        ({"a": np.zeros(3, ">f4"), "b": np.zeros(3, np.int64)}, "column a: expected float32 .* received >f4"),
    ],
)
def test_other_columns_are_refused(columns: Columns, message: str) -> None:
    writer = ParquetWriter(io.BytesIO(), {"a": "float32", "b": "timestamp"})
    with pytest.raises(DataError, match=message):
        writer.write(columns)


def test_a_file_without_columns_is_refused() -> None:
    with pytest.raises(DataError, match="at least one column, received none"):
        ParquetWriter(io.BytesIO(), {})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"codec": "gzip"}, "codec: expected one of none, snappy, lz4, zstd, received 'gzip'"),
        ({"codec": "zstd", "level": 23}, "level: expected none, or 1 to 22 with zstd, received 23 with zstd"),
        ({"codec": "zstd", "level": 0}, "level: expected .* received 0 with zstd"),
        ({"codec": "lz4", "level": 1}, "level: expected .* received 1 with lz4"),
        ({"row_group_rows": 0}, "row_group_rows: expected 1 to .*, received 0"),
    ],
)
def test_other_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Encoding(**settings)
