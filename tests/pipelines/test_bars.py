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
    timestamp, _, volume, _ = tick_arrays(ticks)
    made = Bars.concatenate([builder.update(timestamp, ticks[quote].to_numpy(writable=True), volume), builder.flush()])

    names = ("open", "high", "low", "close")
    columns = {"timestamp": 0, **{name: first_column + place for place, name in enumerate(names)}}
    theirs = read_source(oanda / resolution / day, SourceHints(timezone="UTC", kind="candles", columns=columns)).frame

    assert len(made) == len(theirs) == rows
    np.testing.assert_array_equal(made.timestamp, theirs["timestamp"].to_physical().to_numpy())
    for name in names:
        np.testing.assert_array_equal(getattr(made, name), theirs[name].to_numpy())


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


def test_blocks_of_ticks_do_not_show() -> None:
    rng = np.random.default_rng(0)
    stamps = np.cumsum(rng.integers(0, SECOND, 200_000))
    price = 100.0 + 0.01 * np.cumsum(rng.choice([-1.0, 1.0], 200_000))
    volume = rng.exponential(1.0, 200_000)
    whole = BarBuilder(BarSpec("volume", 55.0)).update(stamps, price, volume)
    cut = BarBuilder(BarSpec("volume", 55.0))
    parts = [cut.update(stamps[i : i + 999], price[i : i + 999], volume[i : i + 999]) for i in range(0, 200_000, 999)]
    joined = Bars.concatenate(parts)
    np.testing.assert_array_equal(whole.close, joined.close)
    np.testing.assert_array_equal(whole.dollar, joined.dollar)


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
    assert rows.buy_volume.sum() == 0.0
