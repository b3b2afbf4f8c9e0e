"""Batches in which nothing is odd: the rows that the checks of single rows give, and none where those find anything."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.schema import SourceHints
from pipelines.sources.plain import plain_rows
from pipelines.sources.settled import Settled, read_batch, settle
from pipelines.sources.table import RawTable, typed_table

ROWS = 40
TIMES = pl.Series(1_700_000_000_123_000_000 + 10**9 * np.arange(ROWS)).cast(pl.Datetime("ns", "UTC"))
PRICES = 100 + np.arange(ROWS) % 7 / 4
TRADES = pl.DataFrame({"timestamp": TIMES, "price": PRICES, "volume": 1.0 + np.arange(ROWS)})
QUOTES = pl.DataFrame({"timestamp": TIMES, "bid": PRICES, "ask": PRICES + 0.25, "bid_size": 1.0, "ask_size": 0.0})
IDS = [pl.Series(["buy", "sell"] * (ROWS // 2)).alias("side"), pl.int_range(ROWS, eager=True).alias("trade_id")]


def batch(frame: pl.DataFrame, hints: SourceHints | None = None) -> tuple[Settled, RawTable]:
    """How a file that begins with good rows is read, and its next batch."""
    path, hints = Path("AAA.parquet"), hints or SourceHints()
    settled, _ = settle(path, typed_table(str(path), frame, "Parquet"), hints)
    return settled, typed_table(str(path), frame, "Parquet")


PLAIN = {
    "trades": TRADES,
    "no volume": TRADES.drop("volume"),
    "quotes": QUOTES,
    "locked quotes without sizes": QUOTES.select("timestamp", "bid", pl.col("bid").alias("ask")),
    "trades with quotes": TRADES.hstack(QUOTES.select("bid", "ask")),
    "trades with sides and ids": TRADES.hstack(IDS),
    "an empty column": TRADES.with_columns(bid=pl.lit(None, pl.Float64)),
    "whole numbers": TRADES.with_columns(pl.col("volume").cast(pl.Int32), pl.col("price").cast(pl.Float32)),
    "zero volumes": TRADES.with_columns(volume=pl.lit(-0.0)),
    "us": TRADES.with_columns(pl.col("timestamp").dt.cast_time_unit("us")),
    "ms of New York": TRADES.with_columns(
        pl.col("timestamp").dt.cast_time_unit("ms").dt.convert_time_zone("America/New_York")
    ),
    "epoch s": TRADES.with_columns(pl.col("timestamp").dt.epoch("s")),
    "epoch ms": TRADES.with_columns(pl.col("timestamp").dt.epoch("ms")),
    "epoch ns": TRADES.with_columns(pl.col("timestamp").to_physical()),
}


@pytest.mark.parametrize("name", PLAIN)
def test_plain_rows_are_those_that_pass_all_checks(name: str) -> None:
    settled, table = batch(PLAIN[name])
    rows = plain_rows(settled, table)
    assert rows is not None
    good, rejected, _ = read_batch(settled, table)
    assert rejected.is_empty()
    assert rows.equals(good)
    assert rows.schema == good.schema
    unnamed = plain_rows(settled, table, named=False)
    assert unnamed is not None
    assert unnamed.equals(good.drop("symbol"))


def test_a_stated_unit_holds_for_small_numbers_too() -> None:
    settled, _ = batch(PLAIN["epoch s"], SourceHints(time_unit="s"))
    early = typed_table("AAA.parquet", TRADES.with_columns(timestamp=pl.int_range(pl.len())), "Parquet")
    rows = plain_rows(settled, early)
    assert rows is not None
    assert rows["timestamp"].to_physical()[1] == 10**9


ODD: dict[str, tuple[pl.DataFrame, str, list[object]]] = {
    "price": (TRADES, "price", [0.0, -0.0, -1.0, float("nan"), float("inf"), None]),
    "volume": (TRADES, "volume", [-1.0, float("nan"), float("inf"), None]),
    "quote": (QUOTES, "bid", [101e9, 0.0, -1.0, float("nan"), None]),
    "size": (QUOTES, "bid_size", [-1.0, float("nan"), float("-inf"), None]),
    "beside a trade": (PLAIN["trades with quotes"], "ask", [float("nan"), float("inf"), None]),
    "time": (TRADES, "timestamp", [None]),
    "time beyond ns": (PLAIN["us"], "timestamp", [2**62]),
    "epoch": (PLAIN["epoch ms"], "timestamp", [0, -5, 1_700_000_000, 202_401_051_030, 2**62, None]),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in ODD for value in ODD[name][2]])
def test_one_odd_value_is_for_the_checks_of_single_rows(name: str, value: object) -> None:
    frame, column, _ = ODD[name]
    settled, _ = batch(frame)
    kind = frame[column].dtype
    cells = frame[column].to_physical().to_list()
    cells[ROWS // 2] = value
    odd = frame.with_columns(pl.Series(column, cells, frame[column].to_physical().dtype).cast(kind))
    assert plain_rows(settled, typed_table("AAA.parquet", odd, "Parquet")) is None


def test_what_is_no_tick_of_one_symbol_is_for_the_checks_of_single_rows() -> None:
    bars = dict.fromkeys(("open", "high", "low", "close"), PRICES)
    candles = pl.DataFrame({"timestamp": TIMES, **bars})
    named = TRADES.with_columns(symbol=pl.lit("BBB"))
    framed = TRADES.with_columns(timeframe=pl.lit("1m"))
    naive = TRADES.with_columns(pl.col("timestamp").dt.replace_time_zone(None))
    texts = TRADES.with_columns(pl.col("price").cast(pl.String))
    for frame in (candles, named, framed, naive, texts):
        assert plain_rows(*batch(frame, SourceHints(timezone="UTC"))) is None


def test_a_column_that_the_first_rows_left_empty_is_for_the_checks_of_single_rows() -> None:
    settled, _ = batch(PLAIN["an empty column"])
    late = typed_table("AAA.parquet", TRADES.with_columns(bid=pl.lit(99.0)), "Parquet")
    assert plain_rows(settled, late) is None
