"""SQLite files: the market table is found, ids of symbols become their names."""

import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import polars as pl

from pipelines.errors import DamagedError, DataError
from pipelines.schema import ALIASES, SourceHints, normalise
from pipelines.sources.columns import map_columns
from pipelines.sources.table import RawTable, typed_table

_NAME_COLUMNS = ("name", "symbol", "ticker", "code")
_GENERIC = re.compile(
    r"(market|raw|historical|history|stocks?|crypto|forex)?"
    r"(data|ticks?|trades?|quotes?|candles?|candlesticks?|bars?|klines?|ohlcv?|prices?|table|tbl)?"
    r"(seconds?|minutes?|hour(ly)?|daily|days?|weekly|\d+[a-z]{1,4}|[smhdw]\d+)?",
    re.IGNORECASE,
)
_ID_COLUMNS = tuple(alias for alias in ALIASES["symbol"] if alias.endswith("_id"))


def read_sqlite(path: Path, hints: SourceHints) -> RawTable:
    """Read the market table of a SQLite file in the order of its rows.

    Raises
    ------
    DataError : a damaged file, an unknown or empty table, none or several that could be meant.
    """
    uri = f"file:{quote(str(path.absolute()))}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            return _read(connection, path, hints)
    except sqlite3.Error as error:
        raise DamagedError(f"{path}: not a readable SQLite file ({error}); fetch or write it again") from error


def _read(connection: sqlite3.Connection, path: Path, hints: SourceHints) -> RawTable:
    query = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%' ORDER BY 1"
    tables = [row[0] for row in connection.execute(query)]
    name = _chosen(connection, path, tables, hints)
    frame = _fetch(connection, name)
    if not frame.height:
        raise DataError(f"{path}: table {name} has no rows; expected at least one: another one with --table")
    table = typed_table(str(path), _named_symbols(connection, name, frame), f"SQLite table {name}")
    return replace(table, symbol=_symbol_in(name))


def _symbol_in(table: str) -> str | None:
    """Return what a table name says beside what every table of market data may be called; None where that is all."""
    words = [word for word in re.split(r"[\W_]+", table) if word and not _GENERIC.fullmatch(word)]
    return "_".join(words) or None


def _chosen(connection: sqlite3.Connection, path: Path, tables: list[str], hints: SourceHints) -> str:
    found = ", ".join(tables) or "none"
    if hints.table is not None:
        if hints.table not in tables:
            raise DataError(f"{path}: --table {hints.table}: no such table; tables found: {found}")
        return hints.table
    candidates = [name for name in tables if _is_market(connection, path, name, hints)]
    if len(candidates) != 1:
        what = (
            "no table of market data" if not candidates else f"several tables could be meant ({', '.join(candidates)})"
        )
        raise DataError(
            f"{path}: {what}; tables found: {found}; expected one with a time and prices: name it with --table, its "
            "columns with --column"
        )
    return candidates[0]


def _is_market(connection: sqlite3.Connection, path: Path, name: str, hints: SourceHints) -> bool:
    try:
        head = _fetch(connection, name, limit=100)
        map_columns(typed_table(str(path), head, name), hints, file_name=name)
    except (DataError, sqlite3.OperationalError):  # the latter: a view of a table that is gone
        return False
    return True


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _fetch(connection: sqlite3.Connection, table: str, *, limit: int = -1) -> pl.DataFrame:
    # A table name cannot be a bound parameter; it is one that sqlite_master listed, and quoted.
    cursor = connection.execute(f"SELECT * FROM {_quoted(table)} LIMIT ?", (limit,))  # noqa: S608
    names = [column[0] for column in cursor.description]
    cells = list(zip(*cursor.fetchall(), strict=True)) or [()] * len(names)
    return pl.DataFrame([_series(name, values) for name, values in zip(names, cells, strict=True)])


def _series(name: str, values: tuple[object, ...]) -> pl.Series:
    """Return a typed column; SQLite cells have their own types, so a mixed column becomes text."""
    types = {type(value) for value in values} - {type(None)}
    if types <= {int}:
        return pl.Series(name, values, dtype=pl.Int64)
    if types <= {int, float}:
        return pl.Series(name, values, dtype=pl.Float64, strict=False)
    return pl.Series(name, [None if value is None else str(value) for value in values], dtype=pl.String)


def _named_symbols(connection: sqlite3.Connection, table: str, frame: pl.DataFrame) -> pl.DataFrame:
    columns = {normalise(name): name for name in frame.columns}
    ident = next((columns[alias] for alias in _ID_COLUMNS if alias in columns), None)
    if ident is None or any(alias in columns for alias in ("symbol", "ticker")):
        return frame
    for row in connection.execute(f"PRAGMA foreign_key_list({_quoted(table)})"):
        parent, own, key = row[2], row[3], row[4]
        if own == ident and key:
            return _joined(connection, frame, ident, parent, key)
    return frame


def _joined(connection: sqlite3.Connection, frame: pl.DataFrame, ident: str, parent: str, key: str) -> pl.DataFrame:
    names = _fetch(connection, parent)
    label = next((name for name in _NAME_COLUMNS if name in names.columns), None)
    if label is None:
        return frame
    ids, labels = names[key].cast(pl.String), names[label].cast(pl.String)
    own = pl.col(ident).cast(pl.String)
    return frame.with_columns(own.replace_strict(ids, labels, default=own).alias(ident))
