"""What a rolling statistic must survive: hard levels, outliers, constant runs."""

import numpy as np
import pytest

import kernels
from kernels import extremes, reference, rolling

HARD = {
    "1e6 + 1e-3 noise": lambda rng, n: 1e6 + 1e-3 * rng.standard_normal(n),
    "1e9 + noise": lambda rng, n: 1e9 + rng.standard_normal(n),
    "1e-5 prices": lambda rng, n: 1e-5 * (1 + 1e-3 * rng.standard_normal(n)),
}


@pytest.mark.parametrize("series", HARD)
@pytest.mark.parametrize("window", [64, 1024])
def test_hard_levels_keep_their_digits(series: str, window: int) -> None:
    x = HARD[series](np.random.default_rng(0), 4096)
    checked = slice(window - 1, None, 7)
    for name, limit in (("rolling_mean", 1e-15), ("rolling_std", 1e-12)):
        ours = getattr(rolling, name)(x, window)[checked]
        twin = getattr(reference, name)(x, window)[checked]
        assert np.max(np.abs(ours / twin - 1.0)) <= limit, name
    ours, twin = rolling.rolling_zscore(x, window)[checked], reference.rolling_zscore(x, window)[checked]
    assert np.max(np.abs(ours - twin)) <= 1e-9


@pytest.mark.parametrize("name", ["rolling_sum", "rolling_mean", "rolling_std", "rolling_zscore", "rolling_max"])
def test_an_outlier_leaves_no_trace(name: str) -> None:
    clean = 100.0 + np.random.default_rng(1).standard_normal(3000)
    for at in (64, 100, 127, 128):
        struck = clean.copy()
        struck[at] = 1e12
        kernel = getattr(kernels, name)
        # a window that begins after the outlier equals one of a series that never had it, up to its block's anchor
        np.testing.assert_allclose(kernel(struck, 64)[at + 64 :], kernel(clean, 64)[at + 64 :], rtol=1e-12, atol=1e-12)
        assert np.isfinite(kernel(struck, 64)[63:]).all()


def test_a_constant_window_has_no_variance() -> None:
    x = np.concatenate([np.random.default_rng(2).standard_normal(50) + 1e9, np.full(200, 1e9 + 0.1)])
    assert (rolling.rolling_var(x, 20)[69:] == 0.0).all()
    assert (rolling.rolling_std(x, 20)[69:] == 0.0).all()
    assert (rolling.rolling_zscore(x, 20)[69:] == 0.0).all()


def test_an_infinity_is_missing_for_sums_and_a_value_for_extremes() -> None:
    x = np.arange(1.0, 40.0)
    x[10] = np.inf
    for name in ("rolling_mean", "rolling_std", "rolling_zscore", "rolling_sum"):
        np.testing.assert_array_equal(np.flatnonzero(np.isnan(getattr(rolling, name)(x, 4))), [0, 1, 2, 10, 11, 12, 13])
    assert (extremes.rolling_max(x, 4)[10:14] == np.inf).all()
    assert np.isfinite(extremes.rolling_min(x, 4)[3:]).all()


def test_out_is_written_in_place() -> None:
    out = np.empty(50)
    assert rolling.rolling_mean(np.arange(50.0), 5, out) is out


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([1.0, 2.0], 2), TypeError, "x: expected a float64 array, received list"),
        ((np.arange(5, dtype=np.float32), 2), TypeError, "x: expected a float64 array, received float32"),
        ((np.zeros((3, 2)), 2), ValueError, r"x: expected one dimension, received shape \(3, 2\)"),
        ((np.zeros(5), 0), ValueError, "window: expected at least 1, received 0"),
        ((np.zeros(5), 2.5), TypeError, "window: expected a whole number of rows, received 2.5"),
        ((np.zeros(5), 2, np.zeros(4)), ValueError, r"out\[0\]: expected 5 rows, received 4"),
        ((np.zeros(5), 2, np.zeros(10)[::2]), ValueError, r"out\[0\]: expected a contiguous, writable array"),
    ],
)
def test_bad_arguments_are_named(arguments: tuple, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        rolling.rolling_mean(*arguments)


def test_out_may_not_be_the_input() -> None:
    x = np.arange(10.0)
    with pytest.raises(ValueError, match=r"out\[0\]: expected an array apart from the inputs"):
        rolling.rolling_mean(x, 2, x)


def test_spread_needs_two_rows() -> None:
    for kernel in (rolling.rolling_std, rolling.rolling_var, rolling.rolling_zscore):
        with pytest.raises(ValueError, match="window: expected at least 2, received 1"):
            kernel(np.zeros(5), 1)
