"""Skewness and excess kurtosis of the last `window` rows, with the bias corrections of pandas."""

import math

import numpy as np

from kernels.arrays import Floats, run
from kernels.compilation import kernel
from kernels.joint import COLUMNS, ROOM, WINDOW, joint_state, left_in_block, sum_rows

_SKEW, _KURT = range(2)


def rolling_skew_state(window: int) -> Floats:
    """State of `rolling_skew`, as `joint` describes it."""
    return joint_state(window, least=3)


def rolling_kurt_state(window: int) -> Floats:
    """State of `rolling_kurt`, as `joint` describes it."""
    return joint_state(window, least=4)


@kernel
def _skewness(sum1, sum2, sum3, n):  # type: ignore[no-untyped-def]
    mean = sum1 * (1.0 / n)
    second = sum2 - sum1 * mean
    third = sum3 - 3.0 * mean * sum2 + 2.0 * mean * mean * sum1
    bias = n * math.sqrt(n - 1.0) / (n - 2.0)
    skewness = bias * third / (second * math.sqrt(second))
    return skewness if second > 0.0 else math.nan


@kernel
def _kurtosis(sums, row, n):  # type: ignore[no-untyped-def]
    sum1 = sums[0, row]
    sum2 = sums[1, row]
    sum3 = sums[2, row]
    mean = sum1 * (1.0 / n)
    second = sum2 - sum1 * mean
    fourth = sums[3, row] - mean * (4.0 * sum3 - mean * (6.0 * sum2 - 3.0 * mean * sum1))
    ratio = fourth / (second * second)
    rest = (n - 2.0) * (n - 3.0)
    kurtosis = n * (n + 1.0) * (n - 1.0) / rest * ratio - 3.0 * (n - 1.0) * (n - 1.0) / rest
    return kurtosis if second > 0.0 else math.nan


@kernel
def _update(state, x, out, kind):  # type: ignore[no-untyped-def]
    width = min(int(state[WINDOW]), len(x))
    room = state[ROOM : ROOM + COLUMNS] if len(x) == 1 else np.empty(COLUMNS * width)
    sums = room.reshape(COLUMNS, width)
    n = state[WINDOW]
    start = 0
    while start < len(x):
        rows = left_in_block(state, len(x) - start)
        piece = x[start : start + rows]
        sum_rows(state, piece, piece, True, sums)
        made = out[start : start + rows]
        if kind == _SKEW:
            for row in range(np.uint64(rows)):
                made[row] = _skewness(sums[0, row], sums[1, row], sums[2, row], n)
        else:
            for row in range(np.uint64(rows)):
                made[row] = _kurtosis(sums, row, n)
        start += rows
    if len(x) == 1:
        room[:] = 0.0  # a state holds nothing that depends on how the rows were cut


@kernel
def rolling_skew_update(state, x, out):  # type: ignore[no-untyped-def]
    _update(state, x, out, _SKEW)


@kernel
def rolling_kurt_update(state, x, out):  # type: ignore[no-untyped-def]
    _update(state, x, out, _KURT)


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
