"""Statistics over the last `window` rows: sum, mean, variance, standard deviation, z-score, minimum, maximum.

One construction serves them all. Absolute row numbers are cut into blocks of `window` rows. A window that ends
in a block is a tail of the block before plus a head of its own, so its sum is `tails[position + 1] + head`:
nothing is ever subtracted, hence no drift, and a value that has left the window leaves no trace. Sums are taken of
`x - anchor`, where the anchor is the first row of the block: it lies in every window that ends there, so a
constant window has exactly zero variance and 1e9 + noise loses nothing. All of it depends on the absolute row
number alone, so any cut of the rows gives the same bits.

A window that holds a NaN gives NaN (an infinity too, except for minimum and maximum), and only such a window.
"""

import math

import numpy as np

from kernels.arrays import ROWS, Floats, checked_count, run
from kernels.compilation import kernel

_WINDOW, _POSITION, _ANCHOR, _HEAD1, _HEAD2 = 1, 2, 3, 4, 5
_RING = 6  # the values of the block under way, then the tails of first and second powers


@kernel
def advance_moments(state, value):  # type: ignore[no-untyped-def]
    """Take one row; return (anchor, sum of x - anchor, sum of (x - anchor)²) over the window, NaN while it fills."""
    window = int(state[_WINDOW])
    position = int(state[_POSITION])
    tails1 = _RING + window
    tails2 = tails1 + window + 1
    if position == 0:
        state[_ANCHOR] = value
        state[_HEAD1] = 0.0
        state[_HEAD2] = 0.0
        if state[ROWS] > 0:
            tail1 = 0.0
            tail2 = 0.0
            for row in range(window - 1, 0, -1):
                past = state[_RING + row]
                deviation = past - value + (past - past)  # the last term turns an infinity into NaN
                tail1 += deviation
                tail2 += deviation * deviation
                state[tails1 + row] = tail1
                state[tails2 + row] = tail2
    anchor = state[_ANCHOR]
    deviation = value - anchor + (value - value)
    head1 = state[_HEAD1] + deviation
    head2 = state[_HEAD2] + deviation * deviation
    state[_HEAD1] = head1
    state[_HEAD2] = head2
    state[_RING + position] = value
    state[_POSITION] = 0.0 if position + 1 == window else position + 1.0
    state[ROWS] += 1.0
    if state[ROWS] < window:
        return anchor, math.nan, math.nan
    return anchor, state[tails1 + position + 1] + head1, state[tails2 + position + 1] + head2


@kernel
def variance(sum1, sum2, window, ddof):  # type: ignore[no-untyped-def]
    """Variance from sums of deviations; rounding below zero is cut, NaN passes."""
    value = (sum2 - sum1 * sum1 / window) / (window - ddof)
    return 0.0 if value < 0.0 else value


def moments_state(window: int) -> Floats:
    """State of every statistic that is built on first and second powers: `8 + 3 * window` numbers."""
    window = checked_count("window", window)
    state = np.zeros(_RING + window + 2 * (window + 1))
    state[_WINDOW] = window
    return state


rolling_sum_state = rolling_mean_state = rolling_var_state = rolling_std_state = rolling_zscore_state = moments_state


@kernel
def rolling_sum_update(state, x, out):  # type: ignore[no-untyped-def]
    for row in range(len(x)):
        anchor, sum1, _ = advance_moments(state, x[row])
        out[row] = sum1 + anchor * state[_WINDOW]


@kernel
def rolling_mean_update(state, x, out):  # type: ignore[no-untyped-def]
    for row in range(len(x)):
        anchor, sum1, _ = advance_moments(state, x[row])
        out[row] = anchor + sum1 / state[_WINDOW]


@kernel
def rolling_var_update(state, x, out):  # type: ignore[no-untyped-def]
    for row in range(len(x)):
        _, sum1, sum2 = advance_moments(state, x[row])
        out[row] = variance(sum1, sum2, state[_WINDOW], 1.0)


@kernel
def rolling_std_update(state, x, out):  # type: ignore[no-untyped-def]
    for row in range(len(x)):
        _, sum1, sum2 = advance_moments(state, x[row])
        out[row] = math.sqrt(variance(sum1, sum2, state[_WINDOW], 1.0))


@kernel
def rolling_zscore_update(state, x, out):  # type: ignore[no-untyped-def]
    window = state[_WINDOW]
    for row in range(len(x)):
        anchor, sum1, sum2 = advance_moments(state, x[row])
        deviation = x[row] - anchor - sum1 / window
        std = math.sqrt(variance(sum1, sum2, window, 1.0))
        out[row] = 0.0 if std == 0.0 else deviation / std


def rolling_sum(x: Floats, window: int, out: Floats | None = None) -> Floats:
    """Sum of the last `window` rows.

    Args:
        x: (time,) float64, any unit.
        window: rows, at least 1.
        out: (time,) float64 to write into; a new array when None.

    Returns:
        (time,) float64 in the unit of `x`; NaN for the first `window - 1` rows and where the window holds a
        NaN or an infinity.

    Raises:
        TypeError, ValueError: wrong dtype, dimension or window; the message names the argument.
    """
    return run(rolling_sum_update, rolling_sum_state(window), {"x": x}, out)


def rolling_mean(x: Floats, window: int, out: Floats | None = None) -> Floats:
    """Arithmetic mean of the last `window` rows (simple moving average).

    Arguments, NaN rule and errors as in `rolling_sum`; the unit of `x`.
    """
    return run(rolling_mean_update, rolling_mean_state(window), {"x": x}, out)


def rolling_var(x: Floats, window: int, out: Floats | None = None) -> Floats:
    """Sample variance (ddof = 1) of the last `window` rows; `window` is at least 2.

    NaN rule and errors as in `rolling_sum`; the unit of `x` squared; exactly 0 where the window is constant.
    """
    return run(rolling_var_update, rolling_var_state(checked_count("window", window, least=2)), {"x": x}, out)


def rolling_std(x: Floats, window: int, out: Floats | None = None) -> Floats:
    """Sample standard deviation (ddof = 1) of the last `window` rows; `window` is at least 2.

    NaN rule and errors as in `rolling_sum`; the unit of `x`; exactly 0 where the window is constant.
    """
    return run(rolling_std_update, rolling_std_state(checked_count("window", window, least=2)), {"x": x}, out)


def rolling_zscore(x: Floats, window: int, out: Floats | None = None) -> Floats:
    """(x - rolling mean) / rolling standard deviation (ddof = 1); `window` is at least 2.

    NaN rule and errors as in `rolling_sum`; no unit. A constant window gives 0, not NaN: the row equals its mean,
    and series such as the volume of an index are constant zero.
    """
    state = rolling_zscore_state(checked_count("window", window, least=2))
    return run(rolling_zscore_update, state, {"x": x}, out)


_EXTREME_HEAD = 3
_EXTREME_RING = 4


def extremum_state(window: int) -> Floats:
    """State of rolling minimum and maximum: `5 + 2 * window` numbers."""
    window = checked_count("window", window)
    state = np.zeros(_EXTREME_RING + 2 * window + 1)
    state[_WINDOW] = window
    return state


rolling_min_state = rolling_max_state = extremum_state


@kernel
def _larger(left, right):  # type: ignore[no-untyped-def]
    return left if left > right or left != left else right


@kernel
def advance_maximum(state, value):  # type: ignore[no-untyped-def]
    """Take one row and return the maximum of the window, NaN while it fills (van Herk's heads and tails)."""
    window = int(state[_WINDOW])
    position = int(state[_POSITION])
    tails = _EXTREME_RING + window
    if position == 0 and state[ROWS] > 0:
        tail = state[_EXTREME_RING + window - 1]
        for row in range(window - 1, 0, -1):
            tail = _larger(tail, state[_EXTREME_RING + row])
            state[tails + row] = tail
    head = value if position == 0 else _larger(state[_EXTREME_HEAD], value)
    state[_EXTREME_HEAD] = head
    state[_EXTREME_RING + position] = value
    state[_POSITION] = 0.0 if position + 1 == window else position + 1.0
    state[ROWS] += 1.0
    if state[ROWS] < window:
        return math.nan
    return head if position + 1 == window else _larger(state[tails + position + 1], head)


@kernel
def rolling_max_update(state, x, out):  # type: ignore[no-untyped-def]
    for row in range(len(x)):
        out[row] = advance_maximum(state, x[row])


@kernel
def rolling_min_update(state, x, out):  # type: ignore[no-untyped-def]
    for row in range(len(x)):
        out[row] = -advance_maximum(state, -x[row])


def rolling_min(x: Floats, window: int, out: Floats | None = None) -> Floats:
    """Smallest of the last `window` rows; NaN where the window holds a NaN, infinities are ordinary values.

    Arguments and errors as in `rolling_sum`; the unit of `x`.
    """
    return run(rolling_min_update, rolling_min_state(window), {"x": x}, out)


def rolling_max(x: Floats, window: int, out: Floats | None = None) -> Floats:
    """Largest of the last `window` rows; NaN where the window holds a NaN, infinities are ordinary values.

    Arguments and errors as in `rolling_sum`; the unit of `x`.
    """
    return run(rolling_max_update, rolling_max_state(window), {"x": x}, out)
