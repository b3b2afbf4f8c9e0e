"""Covariance and correlation of two series over the last `window` rows."""

import math

from kernels.arrays import Floats, run
from kernels.compilation import inlined, kernel
from kernels.lanes import SUM, square_root, where
from kernels.rolling import finite
from kernels.window_folds import fold_state, fold_windows


def rolling_cov_state(window: int) -> Floats:
    """State of `rolling_cov`."""
    return fold_state(window, inputs=2, terms=3, least=2)


def rolling_corr_state(window: int) -> Floats:
    """State of `rolling_corr`."""
    return fold_state(window, inputs=2, terms=5, least=2)


@inlined
def _products(values, anchors, place):  # type: ignore[no-untyped-def]
    left, right = values[0] - anchors[0], values[1] - anchors[1]
    return left, right, left * right


@inlined
def _products_and_squares(values, anchors, place):  # type: ignore[no-untyped-def]
    left, right = values[0] - anchors[0], values[1] - anchors[1]
    return left, right, left * right, left * left, right * right


@inlined
def _about_means(sums, window):  # type: ignore[no-untyped-def]
    """(sum of the left, of the right, of their products about the means); NaN where one is infinite."""
    left, right = finite(sums[0]), finite(sums[1])
    return left, right, sums[2] - left * (right * (1.0 / window))


@inlined
def _covariance(kind, sums, values, anchors, place, window):  # type: ignore[no-untyped-def]
    _, _, both = _about_means(sums, window)
    return (both * (1.0 / (window - 1.0)),)


@inlined
def _correlation(kind, sums, values, anchors, place, window):  # type: ignore[no-untyped-def]
    left, right, both = _about_means(sums, window)
    lefts = sums[3] - left * (left * (1.0 / window))
    rights = sums[4] - right * (right * (1.0 / window))
    corr = both / (square_root(lefts) * square_root(rights))
    corr = where(corr > 1.0, 1.0, where(corr < -1.0, -1.0, corr))
    return (where(lefts > 0.0, where(rights > 0.0, corr, math.nan), math.nan),)


@kernel
def rolling_cov_update(state, x, y, out):  # type: ignore[no-untyped-def]
    fold_windows(state, (x, y), (out,), (0.0, 0.0, 0.0), _products, SUM, _covariance)


@kernel
def rolling_corr_update(state, x, y, out):  # type: ignore[no-untyped-def]
    zeros = (0.0, 0.0, 0.0, 0.0, 0.0)
    fold_windows(state, (x, y), (out,), zeros, _products_and_squares, SUM, _correlation)


def rolling_cov(x: Floats, y: Floats, window: int, out: Floats | None = None) -> Floats:
    """Sample covariance (ddof = 1) of the last `window` rows of two series.

    Args:
        x, y: (time,) float64, any units.
        window: rows, at least 2.
        out: (time,) float64 to write into; a new array when None.

    Returns:
        (time,) float64 in the unit of `x` times that of `y`; NaN for the first `window - 1` rows and where the
        window of either holds a NaN or an infinity; 0 where either is constant.

    Raises:
        TypeError, ValueError: wrong dtype, dimension, lengths or window; the message names the argument.
    """
    return run(rolling_cov_update, rolling_cov_state(window), {"x": x, "y": y}, out)


def rolling_corr(x: Floats, y: Floats, window: int, out: Floats | None = None) -> Floats:
    """Pearson correlation of the last `window` rows of two series, from -1 to 1; NaN where either is constant.

    Arguments, the rest of the NaN rule and errors as in `rolling_cov`; no unit.
    """
    return run(rolling_corr_update, rolling_corr_state(window), {"x": x, "y": y}, out)
