"""The same definitions as the libraries that define them: TA-Lib, pandas, Polars, bottleneck."""

import bottleneck as bn
import numpy as np
import pandas as pd
import polars as pl
import pytest
import talib

from kernels import directional, extreme_ages, extremes, lagged, lines, microstructure, ordered, recursive, rolling
from tests.kernels.catalogue import market

DATA = market(5000, seed=11)
PRICE = DATA["price"]


def assert_same(ours: np.ndarray, theirs: np.ndarray, tolerance: float = 1e-10) -> None:
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
    np.testing.assert_allclose(ours, theirs, rtol=0.0, atol=tolerance)


@pytest.mark.parametrize("period", [2, 14, 50])
def test_rsi_is_talibs(period: int) -> None:
    assert_same(recursive.rsi(PRICE, period), talib.RSI(PRICE, period))


def test_rsi_of_a_flat_series_is_neutral() -> None:
    assert (recursive.rsi(np.full(30, 7.0))[14:] == 50.0).all()


@pytest.mark.parametrize("period", [2, 14, 50])
def test_atr_is_talibs(period: int) -> None:
    assert_same(
        recursive.atr(DATA["high"], DATA["low"], PRICE, period), talib.ATR(DATA["high"], DATA["low"], PRICE, period)
    )


@pytest.mark.parametrize("period", [2, 14, 50])
def test_adx_is_talibs(period: int) -> None:
    still = {name: DATA[name].copy() for name in ("high", "low", "price")}
    for values in still.values():
        values[:60] = 100.0  # nothing moves at first: DX is undefined
    for data in (DATA, still):
        arrays = data["high"], data["low"], data["price"]
        assert_same(directional.adx(*arrays, period), talib.ADX(*arrays, period))


def test_bollinger_is_talibs() -> None:
    upper, middle, lower = talib.BBANDS(PRICE, 20, 2.0, 2.0)
    for ours, theirs in zip(lines.bollinger(PRICE), (lower, middle, upper), strict=True):
        assert_same(ours, theirs)


@pytest.mark.parametrize("span", [2, 12, 100])
def test_ema_is_pandas(span: int) -> None:
    assert_same(recursive.ema(PRICE, span), pd.Series(PRICE).ewm(span=span, adjust=False, min_periods=span).mean())


def test_macd_is_pandas_and_settles_on_talibs() -> None:
    series = pd.Series(PRICE)

    def average(values: pd.Series, span: int) -> pd.Series:
        return values.ewm(span=span, adjust=False, min_periods=span).mean()

    line = average(series, 12) - average(series, 26)
    signal = average(line, 9)
    ours = lines.macd(PRICE)
    for mine, theirs in zip(ours, (line, signal, line - signal), strict=True):
        assert_same(mine, theirs.to_numpy())
    for mine, theirs in zip(ours, talib.MACD(PRICE), strict=True):
        np.testing.assert_allclose(mine[600:], theirs[600:], rtol=0.0, atol=1e-10)


@pytest.mark.parametrize("window", [2, 20, 250])
def test_moments_and_extremes_are_polars(window: int) -> None:
    series = pl.Series(PRICE)
    mean, std = series.rolling_mean(window), series.rolling_std(window)
    assert_same(rolling.rolling_sum(PRICE, window), series.rolling_sum(window).to_numpy(), 1e-9)
    assert_same(rolling.rolling_mean(PRICE, window), mean.to_numpy())
    assert_same(rolling.rolling_std(PRICE, window), std.to_numpy(), 1e-9)
    assert_same(rolling.rolling_var(PRICE, window), series.rolling_var(window).to_numpy(), 1e-9)
    assert_same(rolling.rolling_zscore(PRICE, window), ((series - mean) / std).to_numpy(), 1e-6)
    assert_same(extremes.rolling_min(PRICE, window), series.rolling_min(window).to_numpy(), 0.0)
    assert_same(extremes.rolling_max(PRICE, window), series.rolling_max(window).to_numpy(), 0.0)


@pytest.mark.parametrize("window", [1, 2, 20, 250])
def test_order_statistics_are_pandas(window: int) -> None:
    rolling_price, rolling_volume = (pd.Series(DATA[name]).rolling(window) for name in ("price", "volume"))
    assert_same(ordered.rolling_median(PRICE, window), rolling_price.median().to_numpy())
    assert_same(ordered.rolling_quantile(PRICE, window, 0.9), rolling_price.quantile(0.9).to_numpy())
    assert_same(ordered.rolling_rank(PRICE, window), rolling_price.rank(pct=True).to_numpy())
    assert_same(ordered.rolling_rank(DATA["volume"], window), rolling_volume.rank(pct=True).to_numpy())


@pytest.mark.parametrize("window", [1, 2, 20, 250])
def test_ages_of_extremes_are_bottlenecks(window: int) -> None:
    assert_same(extreme_ages.rolling_argmin(PRICE, window), bn.move_argmin(PRICE, window), 0.0)
    assert_same(extreme_ages.rolling_argmax(PRICE, window), bn.move_argmax(PRICE, window), 0.0)


def test_returns_are_polars() -> None:
    series = pl.Series(PRICE)
    for lag in (1, 7):
        assert_same(lagged.returns(PRICE, lag), series.pct_change(lag).to_numpy())
        assert_same(lagged.log_returns(PRICE, lag), (series / series.shift(lag)).log().to_numpy())


def test_realized_volatility_is_polars() -> None:
    series = pl.Series(PRICE)
    squares = (series / series.shift(1)).log() ** 2
    assert_same(lagged.realized_volatility(PRICE, 20), squares.rolling_sum(20).sqrt().to_numpy())


def test_volume_statistics_are_polars() -> None:
    frame = pl.DataFrame(DATA).with_columns(v=pl.col("volume").log1p())
    traded = (pl.col("price") * pl.col("volume")).rolling_sum(20) / pl.col("volume").rolling_sum(20)
    signed = (pl.col("sign") * pl.col("volume")).rolling_sum(20) / pl.col("volume").rolling_sum(20)
    z = (pl.col("v") - pl.col("v").rolling_mean(20)) / pl.col("v").rolling_std(20)
    theirs = frame.select(dev=pl.col("price") / traded - 1, imbalance=signed, z=z)
    volume = DATA["volume"]
    assert_same(microstructure.vwap_deviation(PRICE, volume, 20), theirs["dev"].to_numpy())
    assert_same(microstructure.signed_volume_imbalance(DATA["sign"], volume, 20), theirs["imbalance"].to_numpy())
    assert_same(microstructure.volume_zscore(volume, 20), theirs["z"].to_numpy())
