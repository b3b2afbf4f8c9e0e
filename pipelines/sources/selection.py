"""One timeframe and, where asked for, one symbol of a table that holds several."""

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
        values = table.text(mapping.positions["timeframe"], "timeframe")
        if hints.timeframe is not None or values.drop_nulls().n_unique() > 1:
            table = _rows_of(table, values, hints.timeframe, "timeframe")
    if hints.symbol is not None and "symbol" in mapping.positions:
        values = table.text(mapping.positions["symbol"], "symbol")
        if values.drop_nulls().n_unique() > 1:
            table = _rows_of(table, values, hints.symbol, "symbol")
    return table


def _rows_of(table: RawTable, values: pl.Series, wanted: str | None, name: str) -> RawTable:
    mask = (values == (wanted or "")).fill_null(False)
    if wanted is None or not mask.any():
        found = values.drop_nulls().unique().sort().to_list()
        shown = ", ".join(found[:20]) + (", ..." if len(found) > 20 else "")
        received = f"received {wanted}" if wanted is not None else "they are never mixed"
        raise DataError(f"{table.origin}: several {name}s in one table: {shown}; {received}: choose one with --{name}")
    return table.rows_where(mask)
