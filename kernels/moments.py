"""Skewness and excess kurtosis of the last `window` rows, with the bias corrections of pandas."""

import math

from kernels.arrays import Floats, run
from kernels.compilation import inlined, kernel
from kernels.lanes import SUM, square_root, where
from kernels.window_folds import fold_state, fold_windows


def rolling_skew_state(window: int) -> Floats:
    """State of `rolling_skew`."""
    return fold_state(window, terms=3, least=3)


def rolling_kurt_state(window: int) -> Floats:
    """State of `rolling_kurt`."""
    return fold_state(window, terms=4, least=4)


@inlined
def _three_powers(values, anchors, place):  # type: ignore[no-untyped-def]
    deviation = values[0] - anchors[0]
    square = deviation * deviation
    return deviation, square, square * deviation


@inlined
def _four_powers(values, anchors, place):  # type: ignore[no-untyped-def]
    deviation = values[0] - anchors[0]
    square = deviation * deviation
    return deviation, square, square * deviation, square * square


@inlined
def _skewness(kind, sums, values, anchors, place, window):  # type: ignore[no-untyped-def]
    mean = sums[0] * (1.0 / window)
    second = sums[1] - sums[0] * mean
    third = sums[2] - mean * 3.0 * sums[1] + mean * 2.0 * mean * sums[0]
    bias = window * math.sqrt(window - 1.0) / (window - 2.0)
    skewness = third * bias / (second * square_root(second))
    return (where(second > 0.0, skewness, math.nan),)


@inlined
def _kurtosis(kind, sums, values, anchors, place, window):  # type: ignore[no-untyped-def]
    mean = sums[0] * (1.0 / window)
    second = sums[1] - sums[0] * mean
    fourth = sums[3] - mean * (sums[2] * 4.0 - mean * (sums[1] * 6.0 - mean * 3.0 * sums[0]))
    rest = (window - 2.0) * (window - 3.0)
    factor, shift = window * (window + 1.0) * (window - 1.0) / rest, 3.0 * (window - 1.0) * (window - 1.0) / rest
    return (where(second > 0.0, fourth / (second * second) * factor - shift, math.nan),)


@kernel
def rolling_skew_update(state, x, out):  # type: ignore[no-untyped-def]
    fold_windows(state, (x,), (out,), (0.0, 0.0, 0.0), _three_powers, SUM, _skewness)


@kernel
def rolling_kurt_update(state, x, out):  # type: ignore[no-untyped-def]
    fold_windows(state, (x,), (out,), (0.0, 0.0, 0.0, 0.0), _four_powers, SUM, _kurtosis)


def rolling_skew(x: Floats, window: int, out: Floats | None = None) -> Floats:
    """Skewness of the last `window` rows, corrected for bias as pandas' `skew`.

    Args:
        x: (time,) float64, any unit.
        window: rows, at least 3.
        out: (time,) float64 to write into; a new array when None.

    Returns:
        (time,) float64 without unit; NaN for the first `window - 1` rows, where the window holds a NaN or an
        infinity, and where it is constant (0 / 0), as in pandas.

    Raises:
        TypeError, ValueError: wrong dtype, dimension or window; the message names the argument.
    """
    return run(rolling_skew_update, rolling_skew_state(window), {"x": x}, out)


def rolling_kurt(x: Floats, window: int, out: Floats | None = None) -> Floats:
    """Excess kurtosis of the last `window` rows, corrected for bias as pandas' `kurt`; `window` is at least 4.

    Arguments, NaN rule and errors as in `rolling_skew`.
    """
    return run(rolling_kurt_update, rolling_kurt_state(window), {"x": x}, out)
