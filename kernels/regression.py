"""Covariance and correlation of two series over the last `window` rows, and least squares of one on time."""

import math

import numpy as np

from kernels.arrays import ROWS, Floats, run
from kernels.compilation import kernel
from kernels.joint import COLUMNS, ROOM, WINDOW, joint_state, left_in_block, sum_rows

_COV, _CORR, _SLOPE, _RSQUARE, _RESID = range(5)


def pair_state(window: int) -> Floats:
    """State of every kernel here, as `joint` describes it; `window` is at least 2."""
    return joint_state(window, least=2)


rolling_cov_state = rolling_corr_state = pair_state
rolling_slope_state = rolling_rsquare_state = rolling_resid_state = pair_state


@kernel
def _statistic(kind, deviation, sums, row, n):  # type: ignore[no-untyped-def]
    """What `kind` says of a window; for the least squares, the second series is the row number."""
    share = 1.0 / n
    left = sums[0, row] + (sums[0, row] - sums[0, row])  # turns an infinity into NaN
    right = sums[1, row] + (sums[1, row] - sums[1, row])
    both = sums[4, row] - left * (right * share)
    if kind == _COV:
        return both * (1.0 / (n - 1.0))
    time = n * (n * n - 1.0) * (1.0 / 12.0)
    slope = both / time
    if kind == _SLOPE:
        return slope
    if kind == _RESID:
        return deviation - left * share - slope * (0.5 * (n - 1.0))
    lefts = sums[2, row] - left * (left * share)
    rights = sums[3, row] - right * (right * share)
    if kind == _RSQUARE:
        square = slope * (both / lefts)
        square = 1.0 if square > 1.0 else square
        return square if lefts > 0.0 else math.nan
    corr = both / (math.sqrt(lefts) * math.sqrt(rights))
    corr = 1.0 if corr > 1.0 else -1.0 if corr < -1.0 else corr
    return corr if lefts > 0.0 and rights > 0.0 else math.nan


@kernel
def _update_pair(state, x, y, out, kind):  # type: ignore[no-untyped-def]
    width = min(int(state[WINDOW]), len(x))
    room = state[ROOM : ROOM + COLUMNS] if len(x) == 1 else np.empty(COLUMNS * width)
    sums = room.reshape(COLUMNS, width)
    start = 0
    while start < len(x):
        rows = left_in_block(state, len(x) - start)
        if kind < _SLOPE:
            second = y[start : start + rows]
        else:
            second = sums[5, :rows]
            for row in range(rows):
                second[row] = state[ROWS] + row
        first = x[start : start + rows]
        anchor, _ = sum_rows(state, first, second, False, sums)
        made = out[start : start + rows]
        for row in range(np.uint64(rows)):
            made[row] = _statistic(kind, first[row] - anchor, sums, row, state[WINDOW])
        start += rows


@kernel
def rolling_cov_update(state, x, y, out):  # type: ignore[no-untyped-def]
    _update_pair(state, x, y, out, _COV)


@kernel
def rolling_corr_update(state, x, y, out):  # type: ignore[no-untyped-def]
    _update_pair(state, x, y, out, _CORR)


@kernel
def rolling_slope_update(state, x, out):  # type: ignore[no-untyped-def]
    _update_pair(state, x, x, out, _SLOPE)


@kernel
def rolling_rsquare_update(state, x, out):  # type: ignore[no-untyped-def]
    _update_pair(state, x, x, out, _RSQUARE)


@kernel
def rolling_resid_update(state, x, out):  # type: ignore[no-untyped-def]
    _update_pair(state, x, x, out, _RESID)


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


def rolling_slope(x: Floats, window: int, out: Floats | None = None) -> Floats:
    """Slope per row of the least-squares line through the last `window` rows (qlib's `Slope`).

    Args:
        x: (time,) float64, any unit.
        window: rows, at least 2.
        out: (time,) float64 to write into; a new array when None.

    Returns:
        (time,) float64 in the unit of `x`; NaN for the first `window - 1` rows and where the window holds a NaN or
        an infinity; exactly 0 where it is constant.

    Raises:
        TypeError, ValueError: wrong dtype, dimension or window; the message names the argument.
    """
    return run(rolling_slope_update, rolling_slope_state(window), {"x": x}, out)


def rolling_rsquare(x: Floats, window: int, out: Floats | None = None) -> Floats:
    """Share of the variance that the line of `rolling_slope` explains, from 0 to 1 (qlib's `Rsquare`).

    Arguments and errors as in `rolling_slope`; NaN also where the window is constant, as in qlib; no unit.
    """
    return run(rolling_rsquare_update, rolling_rsquare_state(window), {"x": x}, out)


def rolling_resid(x: Floats, window: int, out: Floats | None = None) -> Floats:
    """The newest row minus the line of `rolling_slope` at it (qlib's `Resi`); exactly 0 where the window is constant.

    Arguments, NaN rule and errors as in `rolling_slope`; the unit of `x`.
    """
    return run(rolling_resid_update, rolling_resid_state(window), {"x": x}, out)
