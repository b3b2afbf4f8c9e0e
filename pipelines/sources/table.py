"""`RawTable`: the rows of one file, member or table before anything is interpreted."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import polars as pl

from pipelines.errors import DataError
from pipelines.schema import empty_rejected


@dataclass(frozen=True)
class RawTable:
    """Uninterpreted rows with their place in the source.

    origin : what a rejected row names as its file
    columns : source names by position; "0", "1", ... for a headerless file
    frame : columns named by position "0", "1", ..., of a stream only those in use; String for text, typed otherwise
    lines : (rows,) Int64, 1-based line of a text file or row number of a typed one
    raw_rows : gives the raw text of the rows at these lines
    rejected : rows that could not even be split into columns
    symbol : what the table is called inside its file, where that names a symbol
    """

    origin: str
    columns: tuple[str, ...]
    frame: pl.DataFrame
    lines: pl.Series
    raw_rows: Callable[[pl.Series], pl.Series]
    rejected: pl.DataFrame
    layout: str
    header: bool = True
    notes: tuple[str, ...] = ()
    symbol: str | None = None

    def rows_where(self, mask: pl.Series) -> Self:
        """Return the table with the rows of a boolean mask."""
        return replace(self, frame=self.frame.filter(mask), lines=self.lines.filter(mask))

    def column(self, position: int) -> pl.Series:
        """Return a column; a table that was read in part holds only those that were asked for."""
        return self.frame[str(position)]

    def sample(self, position: int, size: int = 500) -> list[str]:
        """Return up to `size` non-empty values of a column, spread over the whole table, as text."""
        column = self.column(position).drop_nulls()
        if not _has_text(column.dtype):
            return []
        step = max(1, len(column) // size)
        texts = column.gather_every(step).cast(pl.String, strict=False).drop_nulls().str.strip_chars()
        return [text for text in texts.to_list() if text]

    def text(self, position: int, name: str) -> pl.Series:
        """Return a column as text.

        Raises
        ------
        DataError : the column, meant as the canonical column `name`, has a type that is no text.
        """
        column = self.column(position)
        if not _has_text(column.dtype):
            raise DataError(
                f"{self.origin}: column {self.columns[position]!r} ({name}): expected text or numbers, received type "
                f"{column.dtype}; choose another with --column {name}=NAME, or write it as text"
            )
        return column.cast(pl.String).str.strip_chars()


def _has_text(dtype: pl.DataType) -> bool:
    return not dtype.is_nested() and dtype not in (pl.Binary, pl.Object)


def typed_table(origin: str, frame: pl.DataFrame, layout: str) -> RawTable:
    """Return the table of a typed frame, its columns renamed by position."""
    renamed = frame.select(pl.nth(i).alias(str(i)) for i in range(frame.width))
    lines = pl.int_range(1, frame.height + 1, eager=True, dtype=pl.Int64).alias("line")
    return RawTable(
        origin, tuple(frame.columns), renamed, lines, lambda at: _joined(renamed[at - 1]), empty_rejected(), layout
    )


def _joined(rows: pl.DataFrame) -> pl.Series:
    cells = [_cell(name, dtype).fill_null("") for name, dtype in rows.schema.items() if _has_text(dtype)]
    return rows.select(pl.concat_str(cells, separator=",").alias("raw")).to_series()


def _cell(name: str, dtype: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if not isinstance(dtype, pl.Datetime):
        return column.cast(pl.String, strict=False)
    # Polars 2.1 panics at the text of a time beyond the year 262143, such as an int64 extreme that stands for "never".
    number = column.to_physical()
    most = 8 * 10**15 if dtype.time_unit == "ms" else 8 * 10**18
    return pl.coalesce(pl.when(number.is_between(-most, most)).then(column).cast(pl.String), number.cast(pl.String))
