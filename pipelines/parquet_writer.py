"""Parquet files of what a feature store holds: times and floats, none of them null.

Encoding is most of a build, and this takes 0.6 to 0.9 of pyarrow's time for the same pages, a fifth of the time that
pyarrow takes when left to its defaults (`docs/encoding.md`). It knows that nothing is null and that little repeats, so
there are no levels and no dictionaries: a page is one pass over a column and a compressor.

- Times: DELTA_BINARY_PACKED, with minimum and maximum. Floats: BYTE_STREAM_SPLIT under a compressor; uncompressed they
  are written as they lie in memory. A NaN is a value, its payload stays.
- A column of a row group whose middle rows compress by less than `LEAST_SAVED` is not compressed: it would cost most of
  the time, when it is written and whenever it is read, for next to nothing.
- Data pages of version 1, which every reader knows, without a CRC: the manifest has the SHA-256 of the file, which
  is checked whenever the store is read; those of pages would add a tenth to a third to what encoding takes.
- Equal rows, settings and library versions give equal bytes.

Numbers of fields, types and encodings are those of
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from kernels.byte_streams import split_bytes
from kernels.delta_packing import pack_deltas, packed_bytes_at_most
from pipelines.errors import DataError
from pipelines.parquet_thrift import Value, array, binary, boolean, i16, i32, i64, struct

Codec = Literal["none", "snappy", "lz4", "zstd"]
Kind = Literal["timestamp", "int64", "float32", "float64"]
Columns = Mapping[str, NDArray[Any]]

PAGE_ROWS = 1 << 17  # a float32 page is 512 kB and stays in the second-level cache, and each of its four streams is one
# block of zstd, which stores those that do not compress; pages of half or twice the size are no faster to read
SAMPLE_ROWS = 4096  # of a column, which tell whether it compresses: a thirtieth of a row group
LEAST_SAVED = 1 / 8
CREATED_BY = b"stockbot-hp version 1.1.0"  # the form that readers parse; to be raised when equal rows give other bytes
_MAGIC = b"PAR1"

_INT64, _FLOAT, _DOUBLE = 2, 4, 5  # physical types
_PLAIN, _RLE, _DELTA_BINARY_PACKED, _BYTE_STREAM_SPLIT = 0, 3, 5, 9
_REQUIRED = 0
_DATA_PAGE = 0
_TIMESTAMP_NS_UTC = struct({8: struct({1: boolean(True), 2: struct({3: struct({})})})})  # adjusted to UTC; NANOS


@dataclass(frozen=True)
class _Type:
    dtype: Any
    physical: int
    logical: Value | None = None


_TYPES: dict[str, _Type] = {
    "timestamp": _Type(np.int64, _INT64, _TIMESTAMP_NS_UTC),
    "int64": _Type(np.int64, _INT64),
    "float32": _Type(np.float32, _FLOAT),
    "float64": _Type(np.float64, _DOUBLE),
}
_CODECS: dict[str, tuple[int, str]] = {  # number in Parquet, name in pyarrow
    "none": (0, "uncompressed"), "snappy": (1, "snappy"), "lz4": (7, "lz4_raw"), "zstd": (6, "zstd"),
}  # fmt: skip


class Sink(Protocol):
    """What takes the bytes, whole and in order: a buffered binary file, for one. What it is given is only valid during
    the call."""

    def write(self, data: Any, /) -> object: ...


@dataclass(frozen=True)
class Encoding:
    """How the columns are encoded; `docs/encoding.md` has the measurements behind the defaults.

    Attributes:
        codec: of every page. level: of zstd, 1 to 22; None is 1, and the only choice for the others.
        row_group_rows: rows a reader decodes together, and a writer holds.
    """

    codec: Codec = "lz4"
    level: int | None = None
    row_group_rows: int = 125_000

    def __post_init__(self) -> None:
        if self.codec not in _CODECS:
            raise DataError(f"codec: expected one of {', '.join(_CODECS)}, received {self.codec!r}")
        if self.level is not None and (self.codec != "zstd" or not 1 <= self.level <= 22):
            raise DataError(f"level: expected none, or 1 to 22 with zstd, received {self.level} with {self.codec}")
        if not 1 <= self.row_group_rows < 1 << 31:
            raise DataError(f"row_group_rows: expected 1 to {(1 << 31) - 1}, received {self.row_group_rows}")


class ParquetWriter:
    """Writes one Parquet file: rows by `write`, then the footer by `finish`.

    It holds two pages and no rows, releases the GIL while it encodes, and leaves opening, hashing and syncing to the
    owner of the sink.
    """

    def __init__(self, sink: Sink, kinds: Mapping[str, Kind], encoding: Encoding | None = None) -> None:
        """
        Args:
            kinds: of each column, in order.

        Raises:
            DataError: no columns.
        """
        if not kinds:
            raise DataError("a Parquet file needs at least one column, received none")
        self._sink = sink
        self._types = {name: _TYPES[kind] for name, kind in kinds.items()}
        self._encoding = encoding or Encoding()
        self._compressor = _compressor(self._encoding)
        self._scratch = np.empty(0, np.uint8)
        self._groups: list[Value] = []
        self._rows = 0
        self._at = 0
        self._put(_MAGIC)

    def write(self, columns: Columns) -> None:
        """Write rows as row groups of the encoding's size, of which the last may be smaller; no rows write nothing.

        Args:
            columns: all columns in order, each (time,) and of its kind. Contiguous ones, such as the rows of a
                (features, time) matrix, are read where they are; others are copied page by page.

        Raises:
            DataError: other columns than the file has, or of another length or type.
        """
        arrays = self._checked(columns)
        rows = len(arrays[0])
        for start in range(0, rows, self._encoding.row_group_rows):
            stop = min(start + self._encoding.row_group_rows, rows)
            self._write_group([column[start:stop] for column in arrays])

    def finish(self) -> None:
        """Write the footer, without which there is no file; the sink stays open."""
        _, footer = self._footer()
        self._put(footer)
        self._put(len(footer).to_bytes(4, "little") + _MAGIC)

    def _checked(self, columns: Columns) -> list[NDArray[Any]]:
        if list(columns) != list(self._types):
            raise DataError(f"columns: expected {', '.join(self._types)}, received {', '.join(columns)}")
        rows = len(next(iter(columns.values())))
        for name, column in columns.items():
            if column.dtype != self._types[name].dtype or column.shape != (rows,):
                expected = f"{np.dtype(self._types[name].dtype)} of shape ({rows},)"
                raise DataError(f"column {name}: expected {expected}, received {column.dtype} of shape {column.shape}")
        return list(columns.values())

    def _write_group(self, arrays: Sequence[NDArray[Any]]) -> None:
        start, rows, ordinal = self._at, len(arrays[0]), len(self._groups)
        chunks = [self._write_chunk(name, column) for name, column in zip(self._types, arrays, strict=True)]
        self._groups.append(
            struct(
                {
                    1: array([struct({2: i64(0), 3: chunk}) for chunk, _ in chunks]),
                    2: i64(sum(raw for _, raw in chunks)),
                    3: i64(rows),
                    5: i64(start),
                    6: i64(self._at - start),
                    7: i16(ordinal) if ordinal < 1 << 15 else None,
                }
            )
        )
        self._rows += rows

    def _write_chunk(self, name: str, column: NDArray[Any]) -> tuple[Value, int]:
        """Write the pages of one column of a row group; returns its metadata, and its bytes before compression."""
        start = self._at
        compressor = self._compressor if self._compresses(column) else None
        layout = _layout(column, compressor)
        raw = sum(self._write_page(page, layout, compressor) for page in _pages(column))
        codec, _ = _CODECS["none" if compressor is None else self._encoding.codec]
        metadata = {
            1: i32(self._types[name].physical),
            2: array([i32(layout), i32(_RLE)]),
            3: array([binary(name.encode())]),
            4: i32(codec),
            5: i64(len(column)),
            6: i64(raw),
            7: i64(self._at - start),
            9: i64(start),
            12: _statistics(column) if column.dtype == np.int64 else None,
        }
        return struct(metadata), raw

    def _compresses(self, column: NDArray[Any]) -> bool:
        """Whether the rows in the middle, where windows are full in the first row group too, save enough."""
        if self._compressor is None:
            return False
        start = max(len(column) - SAMPLE_ROWS, 0) // 2
        sample = np.ascontiguousarray(column[start : start + SAMPLE_ROWS])
        encoded = self._encoded(sample, _layout(sample, self._compressor))
        return bool(self._compressor.compress(encoded).size <= (1 - LEAST_SAVED) * encoded.nbytes)

    def _write_page(self, page: NDArray[Any], layout: int, compressor: Any) -> int:
        """Write one page; returns its bytes before compression, header included."""
        encoded = self._encoded(page, layout)
        stored: Any = encoded if compressor is None else compressor.compress(encoded)
        _, header = struct(
            {
                1: i32(_DATA_PAGE),
                2: i32(encoded.nbytes),
                3: i32(memoryview(stored).nbytes),
                5: struct({1: i32(len(page)), 2: i32(layout), 3: i32(_RLE), 4: i32(_RLE)}),
            }
        )
        self._put(header)
        self._put(stored)
        return len(header) + encoded.nbytes

    def _encoded(self, page: NDArray[Any], layout: int) -> NDArray[Any]:
        if layout == _PLAIN:
            return page
        room = packed_bytes_at_most(len(page)) if layout == _DELTA_BINARY_PACKED else page.nbytes
        if len(self._scratch) < room:
            self._scratch = np.empty(room, np.uint8)
        if layout == _DELTA_BINARY_PACKED:
            return pack_deltas(page, self._scratch)
        return split_bytes(page, self._scratch[:room])

    def _footer(self) -> Value:
        root = struct({4: binary(b"schema"), 5: i32(len(self._types))})
        leaves = [
            struct({1: i32(kind.physical), 3: i32(_REQUIRED), 4: binary(name.encode()), 10: kind.logical})
            for name, kind in self._types.items()
        ]
        by_type = struct({1: struct({})})  # minimum and maximum are meant in the order of the type
        return struct(
            {
                1: i32(2),
                2: array([root, *leaves]),
                3: i64(self._rows),
                4: array(self._groups),
                6: binary(CREATED_BY),
                7: array([by_type] * len(self._types)),
            }
        )

    def _put(self, data: Any) -> None:
        self._sink.write(data)
        self._at += memoryview(data).nbytes


def write_parquet(sink: Sink, columns: Columns, kinds: Mapping[str, Kind], encoding: Encoding | None = None) -> None:
    """Write a whole file; arguments and errors as in `ParquetWriter`."""
    writer = ParquetWriter(sink, kinds, encoding)
    writer.write(columns)
    writer.finish()


def _compressor(encoding: Encoding) -> Any:
    """pyarrow's codec, which takes arrays without a copy and releases the GIL; None for no compression."""
    _, name = _CODECS[encoding.codec]
    if encoding.codec == "zstd":
        return pa.Codec(name, encoding.level or 1)
    return None if encoding.codec == "none" else pa.Codec(name)


def _layout(column: NDArray[Any], compressor: Any) -> int:
    if column.dtype == np.int64:
        return _DELTA_BINARY_PACKED
    return _PLAIN if compressor is None else _BYTE_STREAM_SPLIT


def _pages(column: NDArray[Any]) -> Iterator[NDArray[Any]]:
    for start in range(0, len(column), PAGE_ROWS):
        yield np.ascontiguousarray(column[start : start + PAGE_ROWS])


def _statistics(column: NDArray[np.int64]) -> Value:
    least, most = (int(value).to_bytes(8, "little", signed=True) for value in (column.min(), column.max()))
    return struct({3: i64(0), 5: binary(most), 6: binary(least), 7: boolean(True), 8: boolean(True)})
