"""Skewness, kurtosis, covariance, correlation and least squares: hard levels, outliers, constant windows, peers."""

import numpy as np
import pandas as pd
import pytest
import talib

import kernels
from kernels import reference
from tests.kernels.catalogue import market
from tests.kernels.test_rolling import HARD

ONE_SERIES = ("rolling_skew", "rolling_kurt", "rolling_slope", "rolling_rsquare", "rolling_resid")
DATA = market(3000, seed=11)
PRICE, VOLUME = DATA["price"], DATA["volume"]


@pytest.mark.parametrize("series", HARD)
@pytest.mark.parametrize("window", [64, 1024])
def test_hard_levels_keep_their_digits(series: str, window: int) -> None:
    rng = np.random.default_rng(0)
    x, y = HARD[series](rng, 4096), HARD[series](rng, 4096)
    some = slice(window - 1, None, 7)
    for name in ONE_SERIES:
        ours, twin = getattr(kernels, name)(x, window)[some], getattr(reference, name)(x, window)[some]
        assert np.max(np.abs(ours - twin)) <= 1e-9, name
    ours, twin = kernels.rolling_corr(x, y, window)[some], reference.rolling_corr(x, y, window)[some]
    assert np.max(np.abs(ours - twin)) <= 1e-9


@pytest.mark.parametrize("name", ONE_SERIES)
def test_an_outlier_leaves_no_trace(name: str) -> None:
    clean = 100.0 + np.random.default_rng(1).standard_normal(1000)
    kernel = getattr(kernels, name)
    for at in (64, 100, 127, 128):
        struck = clean.copy()
        struck[at] = 1e12
        np.testing.assert_allclose(kernel(struck, 64)[at + 64 :], kernel(clean, 64)[at + 64 :], rtol=0.0, atol=1e-11)
        assert np.isfinite(kernel(struck, 64)[63:]).all()


def test_an_outlier_leaves_no_trace_in_a_correlation() -> None:
    x, y = 100.0 + np.random.default_rng(1).standard_normal((2, 1000))
    struck = x.copy()
    struck[100] = 1e12
    np.testing.assert_allclose(
        kernels.rolling_corr(struck, y, 64)[164:], kernels.rolling_corr(x, y, 64)[164:], rtol=0.0, atol=1e-12
    )


def test_a_constant_window_has_no_shape_but_a_flat_line() -> None:
    flat, moving = np.full(100, 1e9 + 0.1), np.arange(100.0)
    for name in ("rolling_skew", "rolling_kurt", "rolling_rsquare"):
        assert np.isnan(getattr(kernels, name)(flat, 20)).all(), name
    assert np.isnan(kernels.rolling_corr(flat, moving, 20)).all()
    assert np.isnan(kernels.rolling_corr(moving, flat, 20)).all()
    for values in (
        kernels.rolling_slope(flat, 20),
        kernels.rolling_resid(flat, 20),
        kernels.rolling_cov(flat, moving, 20),
    ):
        assert (values[19:] == 0.0).all()


def test_a_straight_line_is_found() -> None:
    x = 5.0 - 0.25 * np.arange(100.0)
    np.testing.assert_allclose(kernels.rolling_slope(x, 20)[19:], -0.25, rtol=1e-14)
    np.testing.assert_allclose(kernels.rolling_rsquare(x, 20)[19:], 1.0, rtol=1e-14)
    np.testing.assert_allclose(kernels.rolling_resid(x, 20)[19:], 0.0, atol=1e-13)


def test_an_infinity_is_missing() -> None:
    x, y = PRICE[:40].copy(), VOLUME[:40]
    x[10] = np.inf
    missing = [0, 1, 2, 3, 10, 11, 12, 13, 14]
    for name in ONE_SERIES:
        np.testing.assert_array_equal(np.flatnonzero(np.isnan(getattr(kernels, name)(x, 5))), missing)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(kernels.rolling_cov(x, y, 5))), missing)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(kernels.rolling_cov(y, x, 5))), missing)


@pytest.mark.parametrize("window", [4, 20, 250])
def test_shape_and_covariance_are_pandas(window: int) -> None:
    x, y = pd.Series(PRICE), pd.Series(VOLUME)
    for ours, theirs in (
        (kernels.rolling_skew(PRICE, window), x.rolling(window).skew()),
        (kernels.rolling_kurt(PRICE, window), x.rolling(window).kurt()),
        (kernels.rolling_cov(PRICE, VOLUME, window), x.rolling(window).cov(y)),
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)
    ours, theirs = kernels.rolling_corr(PRICE, DATA["high"], window), x.rolling(window).corr(pd.Series(DATA["high"]))
    np.testing.assert_allclose(ours, theirs, rtol=0.0, atol=1e-6)


@pytest.mark.parametrize("window", [2, 20, 250])
def test_slope_is_talibs(window: int) -> None:
    np.testing.assert_allclose(
        kernels.rolling_slope(PRICE, window), talib.LINEARREG_SLOPE(PRICE, window), rtol=0.0, atol=1e-9
    )
    line = talib.LINEARREG(PRICE, window)
    np.testing.assert_allclose(kernels.rolling_resid(PRICE, window), PRICE - line, rtol=0.0, atol=1e-9)


@pytest.mark.parametrize(("name", "least"), [("rolling_skew", 3), ("rolling_kurt", 4), ("rolling_slope", 2)])
def test_short_windows_are_refused(name: str, least: int) -> None:
    with pytest.raises(ValueError, match=f"window: expected at least {least}, received {least - 1}"):
        getattr(kernels, name)(PRICE, least - 1)
