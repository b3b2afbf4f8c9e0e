"""Least squares of a series on time over the last `window` rows: slope, share explained, distance of the newest row.

Besides deviations their products with time are summed, where time is the place of a row in the block that the window
ends in. The sums over time itself are known numbers.
"""

import math

from kernels.arrays import Floats, run
from kernels.compilation import inlined, kernel
from kernels.lanes import SUM, where
from kernels.rolling import finite
from kernels.window_folds import fold_state, fold_windows

_SLOPE, _RESID = range(2)


def rolling_slope_state(window: int) -> Floats:
    """State of `rolling_slope`."""
    return fold_state(window, terms=2, kind=_SLOPE, least=2)


def rolling_resid_state(window: int) -> Floats:
    """State of `rolling_resid`."""
    return fold_state(window, terms=2, kind=_RESID, least=2)


def rolling_rsquare_state(window: int) -> Floats:
    """State of `rolling_rsquare`."""
    return fold_state(window, terms=3, least=2)


@inlined
def _over_time(values, anchors, place):  # type: ignore[no-untyped-def]
    deviation = values[0] - anchors[0]
    return deviation, deviation * place


@inlined
def _over_time_and_square(values, anchors, place):  # type: ignore[no-untyped-def]
    deviation = values[0] - anchors[0]
    return deviation, deviation * place, deviation * deviation


@inlined
def _about_mean_time(sums, place, window):  # type: ignore[no-untyped-def]
    """(sum of deviations, of their products with time about its mean, slope); NaN where the sum is infinite."""
    total = finite(sums[0])
    product = sums[1] - total * (place - 0.5 * (window - 1.0))
    return total, product, product * (12.0 / (window * (window * window - 1.0)))


@inlined
def _slope_or_residual(kind, sums, values, anchors, place, window):  # type: ignore[no-untyped-def]
    total, _, slope = _about_mean_time(sums, place, window)
    if kind == _SLOPE:
        return (slope,)
    return (values[0] - anchors[0] - total * (1.0 / window) - slope * (0.5 * (window - 1.0)),)


@inlined
def _rsquare(kind, sums, values, anchors, place, window):  # type: ignore[no-untyped-def]
    total, product, slope = _about_mean_time(sums, place, window)
    spread = sums[2] - total * (total * (1.0 / window))
    square = slope * (product / spread)
    return (where(spread > 0.0, where(square > 1.0, 1.0, square), math.nan),)


@kernel
def line_update(state, x, out):  # type: ignore[no-untyped-def]
    """Take rows and write slope or residual, as the state says."""
    fold_windows(state, (x,), (out,), (0.0, 0.0), _over_time, SUM, _slope_or_residual)


rolling_slope_update = rolling_resid_update = line_update


@kernel
def rolling_rsquare_update(state, x, out):  # type: ignore[no-untyped-def]
    fold_windows(state, (x,), (out,), (0.0, 0.0, 0.0), _over_time_and_square, SUM, _rsquare)


def rolling_slope(x: Floats, window: int, out: Floats | None = None) -> Floats:
    """Slope per row of the least-squares line through the last `window` rows (qlib's `Slope`).

    Args:
        x: (time,) float64, any unit.
        window: rows, at least 2.
        out: (time,) float64 to write into; a new array when None.

    Returns:
        (time,) float64 in the unit of `x` a row; NaN for the first `window - 1` rows and where the window holds a
        NaN or an infinity; exactly 0 where it is constant.

    Raises:
        TypeError, ValueError: wrong dtype, dimension or window; the message names the argument.
    """
    return run(line_update, rolling_slope_state(window), {"x": x}, out)


def rolling_rsquare(x: Floats, window: int, out: Floats | None = None) -> Floats:
    """Share of the variance of the last `window` rows that their least-squares line explains, from 0 to 1.

    Arguments, NaN rule and errors as in `rolling_slope`; no unit; NaN where the window is constant, as in qlib.
    """
    return run(rolling_rsquare_update, rolling_rsquare_state(window), {"x": x}, out)


def rolling_resid(x: Floats, window: int, out: Floats | None = None) -> Floats:
    """How far the newest row lies above the least-squares line through the last `window` rows (qlib's `Resi`).

    Arguments, NaN rule and errors as in `rolling_slope`; the unit of `x`; exactly 0 where the window is constant.
    """
    return run(line_update, rolling_resid_state(window), {"x": x}, out)
