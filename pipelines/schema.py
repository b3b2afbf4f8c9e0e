"""The canonical frames, the hints that override detection, and the column names met in real files."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Literal

import polars as pl

from pipelines.errors import DataError
from pipelines.reasons import Quality

TIMESTAMP = pl.Datetime("ns", "UTC")
TICK_SCHEMA: dict[str, pl.DataType] = {
    "timestamp": TIMESTAMP,
    "symbol": pl.String(),
    "price": pl.Float64(),
    "volume": pl.Float64(),
}
OPTIONAL_TICK_SCHEMA: dict[str, pl.DataType] = {
    "side": pl.Int8(),
    "bid": pl.Float64(),
    "ask": pl.Float64(),
    "bid_size": pl.Float64(),
    "ask_size": pl.Float64(),
    "trade_id": pl.String(),
}
CANDLE_SCHEMA: dict[str, pl.DataType] = {
    "timestamp": TIMESTAMP,
    "symbol": pl.String(),
    "open": pl.Float64(),
    "high": pl.Float64(),
    "low": pl.Float64(),
    "close": pl.Float64(),
    "volume": pl.Float64(),
}
REJECTED_SCHEMA: dict[str, pl.DataType] = {
    "file": pl.String(),
    "line": pl.Int64(),
    "reason": pl.String(),
    "raw": pl.String(),
}

OHLC = ("open", "high", "low", "close")
BID_BAR = tuple(f"bid_{name}" for name in OHLC)
ASK_BAR = tuple(f"ask_{name}" for name in OHLC)

# Normalised names (see `normalise`), the preferred one first: a file with `unix` and `date` is read by
# `unix`, which states its zone. `cum_vol`, `VolumeTo` and `quote_qty` are missing on purpose: they are
# not the size of the row in units of the base.
ALIASES: dict[str, tuple[str, ...]] = {
    "timestamp": (
        "timestamp",
        "timestamp_utc",
        "utc_timestamp",
        "trade_time",
        "datetime_utc",
        "time_utc",
        "utc_time",
        "gmt_time",
        "unix",
        "unix_timestamp",
        "unix_time",
        "epoch",
        "transact_time",
        "ts_event",
        "exchange_timestamp",
        "time_exchange",
        "datetime",
        "date_time",
        "date_and_time",
        "time_stamp",
        "dt",
        "ts",
        "open_time",
        "local_time",
        "local_timestamp",
        "local_ts_ns",
        "ts_init",
        "_index_level_0_",
    ),
    "date": ("date", "day", "trade_date"),
    "time": ("time", "time_of_day"),
    "price": ("price", "executed_price", "trade_price"),
    "open": ("open", "startprice", "open_price", "o"),
    "high": ("high", "maxprice", "high_price", "h"),
    "low": ("low", "minprice", "low_price", "l"),
    "close": ("close", "endprice", "close_price", "c"),
    "volume": (
        "volume",
        "base_volume",
        "vol",
        "size",
        "qty",
        "quantity",
        "amount",
        "tradedvolume",
        "volumefrom",
        "trade_size",
        "v",
        "q",
        "tickvol",
        "tick_volume",
    ),
    "bid": ("bid", "bid_price", "bidprice", "best_bid"),
    "ask": ("ask", "ask_price", "askprice", "best_ask", "ofr", "offer"),
    "bid_size": ("bid_size", "bidsize", "bidsiz", "bid_qty", "bidvolume", "bid_volume"),
    "ask_size": ("ask_size", "asksize", "ofrsiz", "ask_qty", "askvolume", "ask_volume"),
    "side": ("side", "type", "aggressor_side", "taker_side"),
    "is_buyer_maker": ("is_buyer_maker", "isbuyermaker", "buyer_maker", "m"),
    "trade_id": ("trade_id", "tradeid", "trdmatchid", "agg_trade_id", "id"),
    "symbol": (
        "symbol",
        "ticker",
        "instrument",
        "mnemonic",
        "cross",
        "pair",
        "sym_root",
        "instrument_id",
        "symbol_id",
        "ticker_id",
        "product_id",
        "name",
    ),
    "timeframe": (
        "timeframe",
        "time_frame",
        "tf",
        "bar_size",
        "frequency",
        "interval",
        "per",
        "granularity",
        "resolution",
    ),
    **{name: (name, name.replace("_", "")) for name in (*BID_BAR, *ASK_BAR)},
}
# One-letter names of exchange messages mean different things by case (`b` bid, `B` its size).
EXACT_ALIASES: dict[str, str] = {
    "p": "price", "T": "timestamp", "s": "symbol",
    "b": "bid", "B": "bid_size", "A": "ask_size",
    "bP": "bid", "bS": "bid_size", "aP": "ask", "aS": "ask_size",
}  # fmt: skip

Kind = Literal["trades", "quotes", "candles"]


@lru_cache(1024)  # the same names are met in every file, and each against all aliases
def normalise(name: str) -> str:
    """Return the form in which column names are compared: `<DATE>`, `Date` and `date` are one name."""
    bare = name.strip().strip("\"'").strip("<>").strip().lower()
    return re.sub(r"[\s\-_]+", "_", bare.replace("(", "").replace(")", ""))


@dataclass(frozen=True, kw_only=True)
class SourceHints:
    """What the user states about a source; every field left out is detected.

    columns : canonical name -> column name, or 0-based position
    timezone : IANA name, or a fixed offset such as "-05:00", of time stamps that do not state theirs
    symbol : the name of the only symbol of the source, or the one to select of several
    quality : what is held against the rows

    Raises
    ------
    DataError : a field has a value outside its choices, or `columns` an unknown canonical name.
    """

    kind: Kind | None = None
    columns: Mapping[str, str | int] = field(default_factory=dict)
    timezone: str | None = None
    date_order: Literal["ymd", "dmy", "mdy"] | None = None
    time_unit: Literal["s", "ms", "us", "ns", "ms_of_day"] | None = None
    symbol: str | None = None
    table: str | None = None
    timeframe: str | None = None
    delimiter: str | None = None
    header: bool | None = None
    quality: Quality = field(default_factory=Quality)

    def __post_init__(self) -> None:
        _check_choice("kind", self.kind, (None, "trades", "quotes", "candles"))
        _check_choice("date_order", self.date_order, (None, "ymd", "dmy", "mdy"))
        _check_choice("time_unit", self.time_unit, (None, "s", "ms", "us", "ns", "ms_of_day"))
        for name in self.columns:
            _check_choice("columns", name, tuple(ALIASES))
        if self.delimiter is not None and not re.fullmatch(r'[^\w"\r\n.+-]', self.delimiter):
            raise DataError(
                f"source.delimiter: expected one character that no cell begins with, received {self.delimiter!r}"
            )


HINT_NAMES = tuple(f.name for f in fields(SourceHints))


def _check_choice(name: str, value: str | None, allowed: tuple[str | None, ...]) -> None:
    if value not in allowed:
        choices = ", ".join(str(item) for item in allowed if item is not None)
        raise DataError(f"source.{name}: unknown value {value!r}; expected one of {choices}")


def empty_rejected() -> pl.DataFrame:
    """Return a frame of rejected rows without rows."""
    return pl.DataFrame(schema=REJECTED_SCHEMA)
