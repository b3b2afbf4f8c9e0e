"""Covariance and correlation of two series over the last `window` rows."""

import math

import numpy as np

from kernels.arrays import Floats, run
from kernels.compilation import kernel
from kernels.joint import COLUMNS, ROOM, WINDOW, joint_state, left_in_block, sum_rows


def pair_state(window: int) -> Floats:
    """State of every kernel here, as `joint` describes it; `window` is at least 2."""
    return joint_state(window, least=2)


rolling_cov_state = rolling_corr_state = pair_state


@kernel
def _statistic(normed, sums, row, n):  # type: ignore[no-untyped-def]
    """The covariance of a window, or the correlation if `normed`."""
    share = 1.0 / n
    left = sums[0, row] + (sums[0, row] - sums[0, row])  # turns an infinity into NaN
    right = sums[1, row] + (sums[1, row] - sums[1, row])
    both = sums[4, row] - left * (right * share)
    if not normed:
        return both * (1.0 / (n - 1.0))
    lefts = sums[2, row] - left * (left * share)
    rights = sums[3, row] - right * (right * share)
    corr = both / (math.sqrt(lefts) * math.sqrt(rights))
    corr = 1.0 if corr > 1.0 else -1.0 if corr < -1.0 else corr
    return corr if lefts > 0.0 and rights > 0.0 else math.nan


@kernel
def _update_pair(state, x, y, out, normed):  # type: ignore[no-untyped-def]
    width = min(int(state[WINDOW]), len(x))
    room = state[ROOM : ROOM + COLUMNS] if len(x) == 1 else np.empty(COLUMNS * width)
    sums = room.reshape(COLUMNS, width)
    start = 0
    while start < len(x):
        rows = left_in_block(state, len(x) - start)
        part = slice(start, start + rows)
        sum_rows(state, x[part], y[part], False, sums)
        made = out[part]
        for row in range(np.uint64(rows)):
            made[row] = _statistic(normed, sums, row, state[WINDOW])
        start += rows
    if len(x) == 1:
        room[:] = 0.0  # a state holds nothing that depends on how the rows were cut


@kernel
def rolling_cov_update(state, x, y, out):  # type: ignore[no-untyped-def]
    _update_pair(state, x, y, out, False)


@kernel
def rolling_corr_update(state, x, y, out):  # type: ignore[no-untyped-def]
    _update_pair(state, x, y, out, True)


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
