"""One timeframe and, where asked for, one symbol of a table that holds several."""

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from pipelines.errors import DataError
from pipelines.schema import SourceHints
from pipelines.sources.columns import ColumnMap
from pipelines.sources.table import RawTable


def select_rows(table: RawTable, mapping: ColumnMap, hints: SourceHints) -> RawTable:
    """Return the rows of the timeframe and of the symbol that the hints name.

    Rows that are not selected are no rows of the source: neither counted nor rejected.

    Raises
    ------
    DataError : several timeframes and no choice, or a choice that is not in the table.
    """
    if "timeframe" in mapping.positions:
        values = _texts(table, mapping.positions["timeframe"])
        if hints.timeframe is not None or values.drop_nulls().n_unique() > 1:
            table = _rows_of(table, values, hints.timeframe, "timeframe")
    if hints.symbol is not None and "symbol" in mapping.positions:
        values = _texts(table, mapping.positions["symbol"])
        if values.drop_nulls().n_unique() > 1:
            table = _rows_of(table, values, hints.symbol, "symbol")
    return table


def _texts(table: RawTable, position: int) -> pl.Series:
    return table.frame.to_series(position).cast(pl.String).str.strip_chars()


def _rows_of(table: RawTable, values: pl.Series, wanted: str | None, name: str) -> RawTable:
    mask = (values == wanted).fill_null(False)
    if wanted is None or not mask.any():
        found = values.drop_nulls().unique().sort().to_list()
        shown = ", ".join(found[:20]) + (", ..." if len(found) > 20 else "")
        received = f"received {wanted}" if wanted is not None else "they are never mixed"
        raise DataError(
            f"{table.origin}: several {name}s in one table: {shown}; {received}: choose one with --{name}"
        )
    return table.rows_where(mask)


@dataclass(frozen=True)
class Cadence:
    """The most frequent step of the candles of one symbol in one file, and the time that they span."""

    symbol: str
    first: datetime
    last: datetime
    step: int


def cadences(candles: pl.DataFrame) -> list[Cadence]:
    """Return the cadence of every symbol that has at least two candles."""
    step = pl.col("timestamp").diff().cast(pl.Int64)
    groups = candles.group_by("symbol").agg(
        pl.col("timestamp").min().alias("first"),
        pl.col("timestamp").max().alias("last"),
        step.filter(step > 0).mode().min().alias("step"),
    )
    return [Cadence(**row) for row in groups.drop_nulls().to_dicts()]


def mixes_timeframes(one: Cadence, other: Cadence) -> bool:
    """Tell whether two files hold candles of different length over the same time of the same symbol."""
    overlap = one.symbol == other.symbol and one.first < other.last and other.first < one.last
    return overlap and max(one.step, other.step) >= 2 * min(one.step, other.step)
