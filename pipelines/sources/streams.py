"""The raw tables of a file one batch after another, however large the file is."""

import gzip
import json
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.errors import DamagedError
from pipelines.schema import SourceHints, empty_rejected
from pipelines.sources.payloads import Format, check_characters, first_text
from pipelines.sources.table import RawTable, typed_table
from pipelines.sources.text import (
    TextLayout,
    count_lines,
    numbers_table,
    plain_table,
    settle_layout,
    split_lines,
    text_lines,
)

HEAD_BYTES = 1 << 18  # of a text, on which its layout is settled
HEAD_ROWS = 8_192
BATCH_BYTES = 8 << 20
BATCH_ROWS = 500_000


@dataclass(frozen=True)
class Columns:
    """Positions of the columns that are in use; of a text, which of them hold numbers, and which epoch stamps."""

    positions: Sequence[int]
    floats: Collection[int] = ()
    integers: Collection[int] = ()

    @property
    def types(self) -> dict[str, pl.DataType]:
        """The type of each column, by its position."""
        kinds = {at: pl.Float64() if at in self.floats else pl.Int64() for at in (*self.floats, *self.integers)}
        return {str(at): kinds.get(at, pl.String()) for at in self.positions}


class Stream(Protocol):
    """A file as batches of rows.

    Attributes:
        head: its first rows, with every column.
        constants: text columns that hold one value from top to bottom, which the file states without being read.
        layout: of a text.
    """

    constants: Mapping[int, str]

    @property
    def layout(self) -> TextLayout | None: ...

    @property
    def head(self) -> RawTable: ...

    def tables(self, columns: Columns, skipped: int = 0) -> Iterator[RawTable]:
        """All rows in order but the first `skipped`, with these columns at least."""

    def rows_before(self, position: int, stamp: int) -> int:
        """How many rows can be skipped of a file in time order, for they are older than a time in ns."""


def open_stream(
    path: Path, kind: Format, hints: SourceHints, *, size: int | None = None, layout: TextLayout | None = None
) -> Stream | None:
    """Open a file to be read in batches; None for the kinds that are read whole.

    size : bytes of a text to read, which may have grown since they were counted
    layout : of a text, where it is known

    Raises
    ------
    DataError : as the file would be refused when read whole.
    """
    if kind in ("text", "gzip"):
        return _TextStream(path, kind, hints, size, layout)
    if kind in ("parquet", "arrow"):
        rows = _parquet(path) if kind == "parquet" else _arrow(path)
        return None if rows is None else _ColumnStream(path, "Parquet" if kind == "parquet" else "Arrow/Feather", rows)
    return None


class _TextStream:
    def __init__(
        self, path: Path, kind: Format, hints: SourceHints, size: int | None, layout: TextLayout | None
    ) -> None:
        self._path, self._kind, self._size = path, kind, size
        self.constants: Mapping[int, str] = {}
        self.layout = layout or settle_layout(str(path), self._first_lines, hints)

    @cached_property
    def _first_lines(self) -> pl.Series:
        first = next(self._blocks(HEAD_BYTES), b"")
        data = first_text(str(self._path), first)
        check_characters(str(self._path), data, len(first) - len(data))
        return text_lines(data)

    @cached_property
    def head(self) -> RawTable:
        """As `Stream`."""
        start = self.layout.start
        return split_lines(str(self._path), self._first_lines[start:], start + 1, self.layout)

    def rows_before(self, position: int, stamp: int) -> int:
        """None: a text does not say where its rows are."""
        return 0

    def tables(self, columns: Columns, skipped: int = 0) -> Iterator[RawTable]:
        """As `Stream`; a block without anything odd is read in one step. The lines before the rows were checked."""
        origin, offset, line = str(self._path), 0, 1
        for block in self._blocks(BATCH_BYTES):
            data = block if offset else first_text(origin, block)
            if line == 1:
                line += self.layout.start
                data = data.split(b"\n", self.layout.start)[-1]
            table = numbers_table(origin, data, line, self.layout, columns.types)
            if table is None:
                check_characters(origin, data, offset + len(block) - len(data))
                table = plain_table(origin, data, line, self.layout, columns.types)
            yield table or split_lines(origin, text_lines(data), line, self.layout)
            offset += len(block)
            line += len(table.lines) if table else count_lines(data)

    def _blocks(self, size: int) -> Iterator[bytes]:
        """The bytes of whole lines, about `size` of them at a time."""
        try:
            with self._opened() as stream:
                yield from _whole_lines(stream, size, self._size if self._kind == "text" else None)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DamagedError(
                f"{self._path}: the gzip data is truncated or damaged ({_one_line(error)}); fetch the file again"
            ) from error
        except OSError as error:
            raise DamagedError(f"{self._path}: cannot be read: {error.strerror or error}; fetch it again") from error

    def _opened(self) -> BinaryIO:
        return gzip.open(self._path, "rb") if self._kind == "gzip" else self._path.open("rb")  # type: ignore[return-value]


def _whole_lines(stream: BinaryIO, size: int, limit: int | None) -> Iterator[bytes]:
    rest, left = b"", limit
    while block := stream.read(size if left is None else min(size, left)):
        left = None if left is None else left - len(block)
        end = block.rfind(b"\n") + 1
        if end:
            yield b"".join((rest, memoryview(block)[:end])) if rest or end < len(block) else block
            rest = block[end:]
        else:
            rest += block
    if rest:
        yield rest


class _Rows(Protocol):
    """Rows of a columnar file: its names, batches of some columns, and the group of rows that holds a row."""

    names: Sequence[str]
    constants: Mapping[int, str]

    def batches(self, names: Sequence[str], rows: int, skipped: int) -> Iterator[pa.RecordBatch]: ...

    def rows_before(self, position: int, stamp: int) -> int: ...

    def group_at(self, row: int) -> tuple[int, Callable[[], Any]]: ...


class _ColumnStream:
    def __init__(self, path: Path, layout: str, rows: _Rows) -> None:
        self._path, self._layout, self._rows = path, layout, rows
        self.constants = rows.constants
        self.layout = None

    @cached_property
    def head(self) -> RawTable:
        """As `Stream`; read when it is asked for."""
        first = next(self._frames(self._rows.names, HEAD_ROWS), None)
        if first is None:
            raise DamagedError(f"{self._path}: the {self._layout} file has no rows; expected at least one row of data")
        return typed_table(str(self._path), first, self._layout)

    def rows_before(self, position: int, stamp: int) -> int:
        """As `Stream`: those of whole groups that the file says are older."""
        return self._rows.rows_before(position, stamp)

    def tables(self, columns: Columns, skipped: int = 0) -> Iterator[RawTable]:
        """As `Stream`."""
        positions = columns.positions
        names = [self._rows.names[position] for position in positions]
        row = 1 + skipped
        for frame in self._frames(names, BATCH_ROWS, skipped):
            frame.columns = [str(position) for position in positions]
            lines = pl.int_range(row, row + len(frame), eager=True, dtype=pl.Int64).alias("line")
            yield RawTable(
                str(self._path), tuple(self._rows.names), frame, lines, self._raw_rows, empty_rejected(), self._layout
            )
            row += len(frame)

    def _frames(self, names: Sequence[str], rows: int, skipped: int = 0) -> Iterator[pl.DataFrame]:
        try:
            for batch in self._rows.batches(names, rows, skipped):
                frame = pl.from_arrow(batch)
                if isinstance(frame, pl.DataFrame) and len(frame):
                    has_words = any(dtype in (pl.Categorical, pl.Enum) for dtype in frame.dtypes)
                    yield frame.with_columns(pl.col(pl.Categorical, pl.Enum).cast(pl.String)) if has_words else frame
        except (pa.ArrowException, OSError, pl.exceptions.PolarsError) as error:
            raise DamagedError(
                f"{self._path}: not a readable {self._layout} file ({_one_line(error)[:120]}); fetch or write it again"
            ) from error

    def _raw_rows(self, at: pl.Series) -> pl.Series:
        """The text of rows by their numbers, with the columns that are not in use: read anew, a group at a time."""
        texts: list[pl.Series] = [pl.Series("raw", [], pl.String)]
        while len(at):
            first, read = self._rows.group_at(int(at[0]) - 1)
            frame = pl.DataFrame(read())
            inside = at.filter(at <= first + len(frame))
            table = typed_table(str(self._path), frame.with_columns(pl.col(pl.Categorical).cast(pl.String)), "")
            texts.append(table.raw_rows(inside - first))
            at = at[len(inside) :]
        return pl.concat(texts)


class _Parquet:
    def __init__(self, path: Path) -> None:
        self._path = path
        with pq.ParquetFile(path) as file:
            self.names = list(file.schema_arrow.names)
            self.is_flat = _is_flat(file.schema_arrow)
            groups = [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)]
            self.constants = _constants(file.metadata) if self.is_flat else {}
        self._starts = np.cumsum([0, *groups])

    def batches(self, names: Sequence[str], rows: int, skipped: int) -> Iterator[pa.RecordBatch]:
        groups = range(int(np.searchsorted(self._starts, skipped)), len(self._starts) - 1)
        with pq.ParquetFile(self._path, page_checksum_verification=True) as file:
            yield from file.iter_batches(batch_size=rows, row_groups=groups, columns=list(names), use_threads=False)

    def rows_before(self, position: int, stamp: int) -> int:
        with pq.ParquetFile(self._path) as file:
            scale = _ns_of(file.schema.column(position))
            chunks = (file.metadata.row_group(group).column(position) for group in range(len(self._starts) - 1))
            stated = [chunk.statistics if scale else None for chunk in chunks]
        older = [one is not None and one.has_min_max and one.max_raw * scale < stamp for one in stated]
        # The last group is always read: it ends with the last row of the file, which the manifest states.
        return int(self._starts[[*older[:-1], False].index(False)])

    def group_at(self, row: int) -> tuple[int, Callable[[], Any]]:
        group = int(np.searchsorted(self._starts, row, side="right")) - 1

        def read() -> Any:
            with pq.ParquetFile(self._path) as file:
                return pl.from_arrow(file.read_row_group(group))

        return int(self._starts[group]), read


def _ns_of(column: Any) -> int:
    """Nanoseconds in the unit of a column of UTC times; 0 of any other column."""
    kind = json.loads(column.logical_type.to_json())
    if kind.get("Type") != "Timestamp" or not kind.get("isAdjustedToUTC"):
        return 0
    return {"nanoseconds": 1, "microseconds": 10**3, "milliseconds": 10**6}.get(kind.get("timeUnit"), 0)


def _is_flat(schema: pa.Schema) -> bool:
    """Columns in columns, or two of one name, are for the reader of whole files to judge."""
    return len(set(schema.names)) == len(schema.names) and not any(pa.types.is_nested(kind) for kind in schema.types)


def _constants(metadata: Any) -> dict[int, str]:
    found: dict[int, str] = {}
    for column in range(metadata.num_columns):
        if metadata.schema.column(column).physical_type != "BYTE_ARRAY":
            continue  # to state the least of a column of times, pyarrow imports pandas, which takes 0.1 s
        chunks = [metadata.row_group(group).column(column) for group in range(metadata.num_row_groups)]
        stated = [chunk.statistics for chunk in chunks]
        if not all(one is not None and one.has_min_max and one.null_count == 0 for one in stated):
            continue
        values = {value for one in stated for value in (one.min, one.max)}
        if len(values) == 1 and isinstance(value := values.pop(), str):
            found[column] = value
    return found


class _Arrow:
    def __init__(self, path: Path) -> None:
        self._path = path
        self.constants: Mapping[int, str] = {}
        with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as file:
            self.names = list(file.schema.names)
            self.is_flat = _is_flat(file.schema)
            groups = [file.get_batch(group).num_rows for group in range(file.num_record_batches)]
        self._starts = np.cumsum([0, *groups])

    def rows_before(self, position: int, stamp: int) -> int:
        return 0

    def batches(self, names: Sequence[str], rows: int, skipped: int) -> Iterator[pa.RecordBatch]:
        with pa.memory_map(str(self._path)) as source, pa.ipc.open_file(source) as file:
            for group in range(file.num_record_batches):
                batch = file.get_batch(group).select(list(names))
                for start in range(0, batch.num_rows, rows):
                    yield batch.slice(start, rows)

    def group_at(self, row: int) -> tuple[int, Callable[[], Any]]:
        group = int(np.searchsorted(self._starts, row, side="right")) - 1

        def read() -> Any:
            with pa.memory_map(str(self._path)) as source, pa.ipc.open_file(source) as file:
                return pl.from_arrow(file.get_batch(group))

        return int(self._starts[group]), read


def _parquet(path: Path) -> _Rows | None:
    return _readable(path, "Parquet", _Parquet)


def _arrow(path: Path) -> _Rows | None:
    with path.open("rb") as file:
        if file.read(4) == b"FEA1":  # the first version of Feather is no Arrow file
            return None
    return _readable(path, "Arrow/Feather", _Arrow)


def _readable(path: Path, name: str, opened: Callable[[Path], Any]) -> _Rows | None:
    try:
        rows = opened(path)
    except (pa.ArrowException, OSError) as error:
        raise DamagedError(
            f"{path}: not a readable {name} file ({_one_line(error)[:120]}); fetch or write it again"
        ) from error
    return rows if rows.is_flat else None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
