"""Statistics of the last `window` rows that rest on sums: sum, mean, variance, standard deviation, z-score.

One construction serves them all. Absolute row numbers are cut into blocks of `window` rows. A window that ends
in a block is a tail of the block before plus a head of its own, so its sum is `tails[position + 1] + head`:
nothing is ever subtracted, hence no drift, and a value that has left the window leaves no trace. Sums are taken of
`x - anchor`, where the anchor is the first row of the block: it lies in every window that ends there, so a
constant window has exactly zero variance and 1e9 + noise loses nothing. All of it depends on the absolute row
number alone, so any cut of the rows gives the same bits.

Rows come one by one (`advance_moments`) or, where a whole block and the row after it are at hand, block by block
(`_whole_blocks`): the heads of a block and the tails for the next one are two chains that the processor runs side by
side, and what is made of the sums vectorises. Both do the same additions in the same order.

A window that holds a NaN or an infinity gives NaN, and only such a window.
"""

import math

import numpy as np

from kernels.arrays import ROWS, Floats, checked_count, run
from kernels.compilation import ONE, kernel

WINDOW = 1
_POSITION, _ANCHOR, _HEAD1, _HEAD2 = 2, 3, 4, 5
_RING = 6  # the values of the block under way, then the tails of first and second powers

# What is made of the sums; those up to DEVIATION need first powers only.
SUM, MEAN, DEVIATION, VARIANCE, STD, ZSCORE, POPULATION_STD, RELATIVE_STD, BAND_POSITION = range(9)


def moments_state(window: int) -> Floats:
    """State of every statistic that is built on first and second powers: `8 + 3 * window` numbers."""
    window = checked_count("window", window)
    state = np.zeros(_RING + window + 2 * (window + 1))
    state[WINDOW] = window
    return state


@kernel
def _take_tails(block, anchor, tails1, tails2):  # type: ignore[no-untyped-def]
    tail1 = 0.0
    tail2 = 0.0
    for row in range(len(block) - 1, 0, -1):
        deviation = block[row] - anchor
        tail1 += deviation
        tail2 += deviation * deviation
        tails1[row] = tail1
        tails2[row] = tail2


@kernel
def advance_moments(state, value):  # type: ignore[no-untyped-def]
    """Take one row; return (anchor, sum of x - anchor, sum of (x - anchor)²) over the window, NaN while it fills."""
    window = int(state[WINDOW])
    position = int(state[_POSITION])
    tails1 = _RING + window
    tails2 = tails1 + window + 1
    if position == 0:
        if state[ROWS] > 0.0:
            _take_tails(state[_RING:tails1], value, state[tails1:tails2], state[tails2:])
        state[_ANCHOR] = value
        state[_HEAD1] = 0.0
        state[_HEAD2] = 0.0
    anchor = state[_ANCHOR]
    deviation = value - anchor
    state[_HEAD1] += deviation
    state[_HEAD2] += deviation * deviation
    state[_RING + position] = value
    state[_POSITION] = 0.0 if position + 1 == window else position + 1.0
    state[ROWS] += 1.0
    if state[ROWS] < window:
        return anchor, math.nan, math.nan
    return anchor, state[tails1 + position + 1] + state[_HEAD1], state[tails2 + position + 1] + state[_HEAD2]


@kernel
def statistic(kind, value, anchor, sum1, sum2, window):  # type: ignore[no-untyped-def]
    """What `kind` says of a window with these sums; rounding below zero variance is cut."""
    sum1 += sum1 - sum1  # turns an infinity into NaN
    mean = sum1 / window
    if kind == SUM:
        return sum1 + anchor * window
    if kind == MEAN:
        return anchor + mean
    if kind == DEVIATION:
        return value / (anchor + mean) - 1.0
    ddof = 0.0 if kind in (POPULATION_STD, BAND_POSITION) else 1.0
    variance = (sum2 - sum1 * mean) / (window - ddof)
    variance = 0.0 if variance < 0.0 else variance
    if kind == VARIANCE:
        return variance
    std = math.sqrt(variance)
    if kind in (STD, POPULATION_STD):
        return std
    if kind == RELATIVE_STD:
        return std / (anchor + mean)
    score = (value - anchor - mean) / (2.0 * std if kind == BAND_POSITION else std)
    return 0.0 if std == 0.0 else score


@kernel
def _whole_blocks(state, x, out, kind):  # type: ignore[no-untyped-def]
    """Take as many whole blocks as have a row after them, and return how many rows that was."""
    width = state[WINDOW]
    window = np.uint64(width)  # unsigned: no index is checked for being negative, and the loops vectorise
    tails1 = np.zeros(int(window) + 1)
    tails2 = np.zeros(int(window) + 1)
    next1 = np.zeros(int(window) + 1)
    next2 = np.zeros(int(window) + 1)
    heads2 = np.zeros(int(window))
    if state[ROWS] > 0.0:
        _take_tails(state[_RING : _RING + int(window)], x[0], tails1, tails2)
    blocks = (np.uint64(len(x)) - ONE) // window
    for block in range(blocks):
        first = block * window
        anchor = x[first]
        ahead = x[first + window]
        head1 = 0.0
        head2 = 0.0
        tail1 = 0.0
        tail2 = 0.0
        if kind <= DEVIATION:
            for position in range(window):
                head1 += x[first + position] - anchor
                heads2[position] = head1 + tails1[position + ONE]
                mirror = window - ONE - position
                tail1 += x[first + mirror] - ahead
                next1[mirror] = tail1
            for position in range(window):
                row = first + position
                out[row] = statistic(kind, x[row], anchor, heads2[position], 0.0, width)
        else:
            for position in range(window):
                deviation = x[first + position] - anchor
                head1 += deviation
                head2 += deviation * deviation
                out[first + position] = head1
                heads2[position] = head2
                mirror = window - ONE - position
                deviation = x[first + mirror] - ahead
                tail1 += deviation
                tail2 += deviation * deviation
                next1[mirror] = tail1
                next2[mirror] = tail2
            for position in range(window):
                row = first + position
                sum1 = tails1[position + ONE] + out[row]
                sum2 = tails2[position + ONE] + heads2[position]
                out[row] = statistic(kind, x[row], anchor, sum1, sum2, width)
        tails1, next1 = next1, tails1
        tails2, next2 = next2, tails2
    rows = int(blocks * window)
    if state[ROWS] == 0.0:
        out[: int(window) - 1] = math.nan
    state[_RING : _RING + int(window)] = x[rows - int(window) : rows]
    state[ROWS] += rows
    return rows


@kernel
def update_statistic(state, x, out, kind):  # type: ignore[no-untyped-def]
    """Take rows and write what `kind` says of the window that ends at each; `x` and `out` may not overlap."""
    window = int(state[WINDOW])
    row = 0
    while row < len(x):
        if state[_POSITION] == 0.0 and len(x) - row > window:
            row += _whole_blocks(state, x[row:], out[row:], kind)
        anchor, sum1, sum2 = advance_moments(state, x[row])
        out[row] = statistic(kind, x[row], anchor, sum1, sum2, state[WINDOW])
        row += 1


rolling_sum_state = rolling_mean_state = rolling_var_state = rolling_std_state = rolling_zscore_state = moments_state


@kernel
def rolling_sum_update(state, x, out):  # type: ignore[no-untyped-def]
    update_statistic(state, x, out, SUM)


@kernel
def rolling_mean_update(state, x, out):  # type: ignore[no-untyped-def]
    update_statistic(state, x, out, MEAN)


@kernel
def rolling_var_update(state, x, out):  # type: ignore[no-untyped-def]
    update_statistic(state, x, out, VARIANCE)


@kernel
def rolling_std_update(state, x, out):  # type: ignore[no-untyped-def]
    update_statistic(state, x, out, STD)


@kernel
def rolling_zscore_update(state, x, out):  # type: ignore[no-untyped-def]
    update_statistic(state, x, out, ZSCORE)


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
