"""Bars of real ticks against bars made by somebody else, and the forms that bars come in."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.bars import BarBuilder, Bars, BarSpec, tick_arrays
from pipelines.ingest import read_source
from pipelines.schema import SourceHints

SECOND = 10**9


@pytest.mark.parametrize(("resolution", "step", "rows"), [("second", SECOND, 24_388), ("minute", 60 * SECOND, 1_419)])
@pytest.mark.parametrize(("quote", "first_column"), [("bid", 1), ("ask", 6)])
def test_oanda_ticks_give_leans_bars(
    market_data: Path, resolution: str, step: int, rows: int, quote: str, first_column: int
) -> None:
    oanda = market_data / "lean" / "forex" / "oanda"
    day = Path("eurusd") / "20140508_quote.zip"
    ticks = read_source(oanda / "tick" / day, SourceHints(timezone="UTC")).frame
    builder = BarBuilder(BarSpec("time", step))
    timestamp, _, volume, _, quotes = tick_arrays(ticks)
    price = ticks[quote].to_numpy(writable=True)
    made = Bars.concatenate([builder.update(timestamp, price, volume, quotes=quotes), builder.flush()])

    names = ("open", "high", "low", "close")
    columns = {"timestamp": 0, **{name: first_column + place for place, name in enumerate(names)}}
    theirs = read_source(oanda / resolution / day, SourceHints(timezone="UTC", kind="candles", columns=columns)).frame

    assert len(made) == len(theirs) == rows
    np.testing.assert_array_equal(made.timestamp, theirs["timestamp"].to_physical().to_numpy())
    for name in names:
        np.testing.assert_array_equal(getattr(made, name), theirs[name].to_numpy())
    np.testing.assert_array_equal(getattr(made, quote), made.close)
    assert np.isnan(made.bid_size).all()  # this source has no sizes
    assert np.isnan(made.quote_flow).all()


def test_every_tick_is_a_row_without_bars() -> None:
    builder = BarBuilder(BarSpec("none", 1))
    stamps, price, volume = np.array([1, 1, 5]), np.array([2.0, 3.0, 2.5]), np.array([1.0, 0.0, 4.0])
    rows = builder.update(stamps, price, volume)
    for prices in (rows.open, rows.high, rows.low, rows.close):
        np.testing.assert_array_equal(prices, price)
    np.testing.assert_array_equal(rows.timestamp, stamps)
    np.testing.assert_array_equal(rows.last_timestamp, stamps)
    np.testing.assert_array_equal(rows.sell_volume, [0.0, 0.0, 4.0])  # a fall sells, by the tick rule
    assert len(builder.flush()) == 0


def test_cuts_of_the_ticks_do_not_show() -> None:
    rng = np.random.default_rng(0)
    stamps = np.cumsum(rng.integers(0, SECOND, 200_000))
    price = 100.0 + 0.01 * np.cumsum(rng.choice([-1.0, 1.0], 200_000))
    volume = rng.exponential(1.0, 200_000)
    whole = BarBuilder(BarSpec("volume", 55.0)).update(stamps, price, volume)
    cut = BarBuilder(BarSpec("volume", 55.0))
    parts = [cut.update(stamps[i : i + 999], price[i : i + 999], volume[i : i + 999]) for i in range(0, 200_000, 999)]
    joined = Bars.concatenate(parts)
    assert whole.columns.tobytes() == joined.columns.tobytes()


def test_candles_pass_through() -> None:
    frame = pl.DataFrame(
        {
            "timestamp": pl.Series([0, 60 * SECOND]).cast(pl.Datetime("ns", "UTC")),
            "symbol": "A",
            **{name: [1.0, 2.0] for name in ("open", "high", "low", "close")},
            "volume": [3.0, 0.0],
        }
    )
    rows = Bars.from_candles(frame)
    np.testing.assert_array_equal(rows.timestamp, [0, 60 * SECOND])
    np.testing.assert_array_equal(rows.dollar, [3.0, 0.0])
    np.testing.assert_array_equal(rows.ticks, [1, 1])
    for name in ("buy_volume", "sell_volume", "buys", "sells", "unchanged", "path", "largest"):
        np.testing.assert_array_equal(getattr(rows, name), [0, 0])
    for name in ("bid", "ask", "bid_size", "ask_size", "quote_flow"):
        assert np.isnan(getattr(rows, name)).all()


def test_a_slice_is_a_view() -> None:
    rows = BarBuilder(BarSpec("none", 1)).update(np.arange(3), np.ones(3), np.ones(3))
    part = rows[1:]
    assert np.shares_memory(part.columns, rows.columns)
    np.testing.assert_array_equal(part.timestamp, [1, 2])
    with pytest.raises(AttributeError, match="Bars has no column 'spread'"):
        rows.spread  # noqa: B018


def test_quotes_of_a_frame_are_handed_on() -> None:
    frame = pl.DataFrame(
        {
            "timestamp": pl.Series([1, 2]).cast(pl.Datetime("ns", "UTC")),
            "price": [1.0, 2.0],
            "volume": [1.0, 1.0],
            "bid": [0.9, None],
            "ask": [1.1, 2.1],
            "ask_size": [5.0, 6.0],
        }
    )
    quotes = tick_arrays(frame)[4]
    assert quotes is not None
    np.testing.assert_array_equal(quotes, [[0.9, np.nan], [1.1, 2.1], [np.nan, np.nan], [5.0, 6.0]])
    assert tick_arrays(frame.drop("bid"))[4] is None


@pytest.mark.parametrize("copied", [True, False])
def test_ticks_in_several_pieces_become_arrays(copied: bool) -> None:
    piece = pl.DataFrame({"timestamp": [1, 2], "price": [1.0, 2.0], "volume": [3.0, 4.0], "side": [1, -1]})
    frame = pl.concat([piece, piece.with_columns(pl.col("timestamp") + 2)], rechunk=False)
    timestamp, price, volume, side, quotes = tick_arrays(frame, copied=copied)
    assert [array.tolist() for array in (timestamp, price, volume, side)] == [
        [1, 2, 3, 4], [1.0, 2.0, 1.0, 2.0], [3.0, 4.0, 3.0, 4.0], [1.0, -1.0, 1.0, -1.0]
    ]  # fmt: skip
    assert {array.flags.writeable for array in (timestamp, price, volume, side)} == {copied}
    assert quotes is None
