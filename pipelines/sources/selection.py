"""One timeframe and, where asked for, one symbol of a table that holds several."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

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
    if hints.timeframe is not None and "timeframe" not in mapping.positions:
        raise DataError(
            f"{table.origin}: no column holds the timeframe that --timeframe {hints.timeframe} asks for; it has "
            f"{', '.join(table.columns)}: name it with --column timeframe=NAME, or leave the flag out"
        )
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
    mask = (values == (wanted or "")).fill_null(False)
    if wanted is None or not mask.any():
        found = values.drop_nulls().unique().sort().to_list()
        shown = ", ".join(found[:20]) + (", ..." if len(found) > 20 else "")
        received = f"received {wanted}" if wanted is not None else "they are never mixed"
        raise DataError(f"{table.origin}: several {name}s in one table: {shown}; {received}: choose one with --{name}")
    return table.rows_where(mask)


@dataclass(frozen=True)
class _Cadence:
    """The most frequent step of the candles of one symbol in one file, and the time that they span."""

    path: Path
    symbol: str
    first: datetime
    last: datetime
    step: int


def check_one_timeframe(files: Iterable[tuple[Path, pl.DataFrame]]) -> None:
    """Refuse candles of different length over the same time of the same symbol.

    Raises
    ------
    DataError : two files overlap and the steps of one are at least twice those of the other.
    """
    seen = [cadence for path, candles in files for cadence in _cadences(path, candles)]
    seen.sort(key=lambda cadence: (cadence.symbol, cadence.first))
    for i, one in enumerate(seen):
        for j in range(i + 1, len(seen)):
            other = seen[j]
            if other.symbol != one.symbol or other.first >= one.last:
                break
            if max(one.step, other.step) >= 2 * min(one.step, other.step):
                raise DataError(
                    f"{other.path}: candles of {other.symbol} every {other.step / 1e9:g} s, but {one.path} has them "
                    f"every {one.step / 1e9:g} s over the same time; expected one timeframe: name the files of one"
                )


def _cadences(path: Path, candles: pl.DataFrame) -> list[_Cadence]:
    step = pl.col("timestamp").diff().cast(pl.Int64)
    groups = candles.group_by("symbol").agg(
        pl.col("timestamp").min().alias("first"),
        pl.col("timestamp").max().alias("last"),
        step.filter(step > 0).mode().min().alias("step"),
    )
    return [_Cadence(path, **row) for row in groups.drop_nulls().to_dicts()]
