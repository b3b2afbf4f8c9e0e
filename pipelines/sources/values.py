"""Cells to canonical values: numbers, sides, symbols, trade ids."""

import math
from collections.abc import Collection

import polars as pl

from pipelines.errors import DataError
from pipelines.quality import PRICES, SIZES
from pipelines.reasons import KEPT
from pipelines.schema import OHLC
from pipelines.sources.columns import ColumnMap
from pipelines.sources.table import RawTable

_BUY = ("buy", "b", "bid", "1", "+1", "buyer")
_SELL = ("sell", "s", "ask", "-1", "2", "seller")
_TRUE = ("true", "1", "t", "yes")
_FALSE = ("false", "0", "f", "no")


def read_values(
    table: RawTable, mapping: ColumnMap, *, symbol: str, rename: str | None, filled: Collection[str] | None = None
) -> pl.DataFrame:
    """Return the symbol, the numbers, a Boolean `NAME?` (cell is empty) for each, side and trade id.

    symbol : of a table without a column of symbols
    rename : the name that the user gives to the only symbol of the table

    filled : number columns that rows before these had; None where these are all rows

    A number column that is empty from top to bottom is taken as absent, unless it is a price.

    Raises
    ------
    DataError : a column of a type that cannot hold numbers, a typed text column without one number, or one that was
        empty in the rows before these.
    """
    prices = PRICES[mapping.flavour]
    columns: list[pl.Series] = [_symbols(table, mapping, symbol, rename)]
    for name in number_names(mapping):
        position = mapping.positions[name]
        numbers, empty = _numbers(table, name, position)
        if filled is not None and name not in filled and not empty.all():
            raise DataError(_late_column(table, name, position, empty))
        if name in prices or (not empty.all() if filled is None else name in filled):
            columns += [numbers.alias(name), empty.alias(f"{name}?")]
    side = side_of(table, mapping)
    if side is not None and side.null_count() < len(side):
        columns.append(side)
    if "trade_id" in mapping.positions:
        columns.append(trade_ids(table, mapping))
    return pl.DataFrame(columns)


def number_names(mapping: ColumnMap) -> list[str]:
    """Return the canonical columns of numbers that a table has, the prices first."""
    prices = PRICES[mapping.flavour]
    names = (*prices, *SIZES, *({"bid", "ask"} - set(prices)))
    return [name for name in names if name in mapping.positions]


def trade_ids(table: RawTable, mapping: ColumnMap) -> pl.Series:
    """Return the ids of the trades as text, null where there is none."""
    return _text(table, mapping, "trade_id").alias("trade_id")


def to_canonical(rows: pl.DataFrame, flavour: str) -> pl.DataFrame:
    """Return the canonical columns of good rows: mids of quotes, and volume 0.0 where there is none."""
    volume = pl.col("volume") if "volume" in rows.columns else pl.lit(0.0)
    kept = [KEPT] if KEPT in rows.columns else []
    if flavour in ("candles", "quote candles"):
        prices = [_mid(f"bid_{n}", f"ask_{n}").alias(n) for n in OHLC] if flavour != "candles" else list(OHLC)
        return rows.select("timestamp", "symbol", *prices, volume.alias("volume"), "_line", *kept)
    price = _mid("bid", "ask") if flavour == "quotes" else pl.col("price")
    extra = [n for n in ("side", "bid", "ask", "bid_size", "ask_size", "trade_id") if n in rows.columns]
    return rows.select("timestamp", "symbol", price.alias("price"), volume.alias("volume"), *extra, "_line", *kept)


def _mid(bid: str, ask: str) -> pl.Expr:
    return (pl.col(bid) + pl.col(ask)) / 2


def _text(table: RawTable, mapping: ColumnMap, name: str) -> pl.Series:
    text = table.text(mapping.positions[name], name)
    return text.set(text == "", None)


def _symbols(table: RawTable, mapping: ColumnMap, symbol: str, rename: str | None) -> pl.Series:
    if "symbol" not in mapping.positions:
        return pl.repeat(symbol, table.frame.height, eager=True, dtype=pl.String).alias("symbol")
    symbols = _text(table, mapping, "symbol").alias("symbol")
    return symbols.set(symbols.is_not_null(), rename) if rename is not None else symbols


def _numbers(table: RawTable, name: str, position: int) -> tuple[pl.Series, pl.Series]:
    column = table.column(position)
    typed = "-separated" not in table.layout
    if not (column.dtype.is_numeric() or column.dtype in (pl.String, pl.Null)):
        raise DataError(_wrong_type(table, name, position, f"received type {column.dtype}"))
    if column.dtype == pl.Float64 and not column.null_count() and column.is_finite().all():
        return column, pl.repeat(False, len(column), eager=True, dtype=pl.Boolean)
    if column.dtype == pl.String:
        column = column.str.strip_chars()
        empty = column.is_null() | (column == "")
    else:
        empty = column.is_null()
    numbers = column.cast(pl.Float64, strict=False)
    numbers = numbers.set(numbers.is_infinite().fill_null(False), math.nan)
    if typed and column.dtype == pl.String and not empty.all() and not numbers.is_finite().any():
        raise DataError(_wrong_type(table, name, position, f"received text such as {column.drop_nulls()[0]!r}"))
    return numbers, empty


def _wrong_type(table: RawTable, name: str, position: int, received: str) -> str:
    column = table.columns[position]
    return (
        f"{table.origin}: column {column!r} ({name}): expected numbers, {received}; choose another with "
        f"--column {name}=NAME"
    )


def _late_column(table: RawTable, name: str, position: int, empty: pl.Series) -> str:
    return (
        f"{table.origin}: line {table.lines.filter(~empty)[0]}: column {table.columns[position]!r} ({name}) holds "
        "values from here, but none in the first rows; expected a column that is filled or empty throughout: split "
        "the file there, or choose another with --column"
    )


def side_of(table: RawTable, mapping: ColumnMap) -> pl.Series | None:
    """Return who started the trade; Mt. Gox `type` bid is a buyer, `is_buyer_maker` true is a seller."""
    for name, up, down in (("side", _BUY, _SELL), ("is_buyer_maker", _FALSE, _TRUE)):
        if name in mapping.positions:
            words = _text(table, mapping, name).str.to_lowercase()
            sign = pl.when(pl.col("w").is_in(up)).then(1).when(pl.col("w").is_in(down)).then(-1)
            return pl.DataFrame({"w": words}).select(sign.cast(pl.Int8).alias("side")).to_series()
    return None
