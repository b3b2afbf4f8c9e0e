"""Statistics of the last `window` rows that rest on sums: sum, mean, variance, standard deviation, z-score.

How the sums are made, and why any cut of the rows gives the same bits, stands in `block_sums`. What is made of them
vectorises. A window that holds a NaN or an infinity gives NaN, and only such a window.
"""

import math

import numpy as np

from kernels.arrays import Floats, checked_count, run, run_many
from kernels.block_sums import (
    FEW,
    KIND,
    POSITION,
    TILE,
    WINDOW,
    advance_moments,
    keep_block,
    known_tails,
    part_of_block,
    sum_blocks,
    sums_state,
)
from kernels.compilation import kernel

# What is made of the sums; those up to MEAN need first powers only.
SUM, MEAN, VARIANCE, STD, ZSCORE = range(5)


def statistic_state(window: int, kind: int) -> Floats:
    """State of one statistic: which one it is stands in the state, so that one compiled function serves all."""
    state = sums_state(window)
    state[KIND] = kind
    return state


def rolling_sum_state(window: int) -> Floats:
    """State of `rolling_sum`."""
    return statistic_state(window, SUM)


def rolling_mean_state(window: int) -> Floats:
    """State of `rolling_mean`."""
    return statistic_state(window, MEAN)


def rolling_var_state(window: int) -> Floats:
    """State of `rolling_var`."""
    return statistic_state(checked_count("window", window, least=2), VARIANCE)


def rolling_std_state(window: int) -> Floats:
    """State of `rolling_std`."""
    return statistic_state(checked_count("window", window, least=2), STD)


def rolling_zscore_state(window: int) -> Floats:
    """State of `rolling_zscore`."""
    return statistic_state(checked_count("window", window, least=2), ZSCORE)


@kernel
def statistic(kind, value, anchor, sum1, sum2, window):  # type: ignore[no-untyped-def]
    """What `kind` says of a window with these sums; rounding below zero variance is cut."""
    sum1 += sum1 - sum1  # turns an infinity into NaN
    mean = sum1 * (1.0 / window)  # one division a call, not one a row
    if kind == SUM:
        return sum1 + anchor * window
    if kind == MEAN:
        return anchor + mean
    variance = (sum2 - sum1 * mean) * (1.0 / (window - 1.0))
    variance = 0.0 if variance < 0.0 else variance
    if kind == VARIANCE:
        return variance
    std = math.sqrt(variance)
    if kind == STD:
        return std
    score = (value - anchor - mean) / std
    return 0.0 if std == 0.0 else score


@kernel
def _finish(kind, x, anchors, sums2, width, out):  # type: ignore[no-untyped-def]
    """Replace first sums by what `kind` says; a loop for each kind, because each vectorises in its own way."""
    rows = np.uint64(len(x))
    if kind == SUM:
        for row in range(rows):
            out[row] = statistic(SUM, x[row], anchors[row], out[row], 0.0, width)
    elif kind == MEAN:
        for row in range(rows):
            out[row] = statistic(MEAN, x[row], anchors[row], out[row], 0.0, width)
    elif kind == VARIANCE:
        for row in range(rows):
            out[row] = statistic(VARIANCE, x[row], anchors[row], out[row], sums2[row], width)
    elif kind == STD:
        for row in range(rows):
            out[row] = statistic(STD, x[row], anchors[row], out[row], sums2[row], width)
    else:
        for row in range(rows):
            out[row] = statistic(ZSCORE, x[row], anchors[row], out[row], sums2[row], width)


@kernel
def _whole_blocks(state, x, out):  # type: ignore[no-untyped-def]
    """Take as many whole blocks as have a row after them, and return how many rows that was."""
    window = int(state[WINDOW])
    kind = int(state[KIND])
    tails, coming = np.zeros((2, window + 1)), np.zeros((2, window + 1))
    known_tails(state, x[0], tails)
    rows = (len(x) - 1) // window * window
    tile = min(max(TILE // window, 2) * window, rows)
    anchors, sums2 = np.empty(tile), np.empty(tile)
    for start in range(0, rows, tile):
        stop = min(start + tile, rows)
        made = out[start:stop]
        tails, coming = sum_blocks(x[start : stop + 1], window, kind > MEAN, tails, coming, anchors, made, sums2)
        _finish(kind, x[start:stop], anchors, sums2, state[WINDOW], made)
    return keep_block(state, x, rows)


@kernel
def _take_part(state, x, out):  # type: ignore[no-untyped-def]
    anchors, sums2 = np.empty(len(x)), np.empty(len(x))
    anchors[:] = part_of_block(state, x, out, sums2)
    _finish(int(state[KIND]), x, anchors, sums2, state[WINDOW], out)


@kernel
def statistic_update(state, x, out):  # type: ignore[no-untyped-def]
    """Take rows and write the statistic of the window that ends at each; `x` and `out` may not overlap."""
    window = int(state[WINDOW])
    row = 0
    while row < len(x):
        if state[POSITION] == 0.0 and len(x) - row > window:
            row += _whole_blocks(state, x[row:], out[row:])
        stop = min(row + window - int(state[POSITION]), len(x))
        if stop - row > FEW:
            _take_part(state, x[row:stop], out[row:stop])
            row = stop
        else:
            anchor, sum1, sum2 = advance_moments(state, x[row])
            out[row] = statistic(int(state[KIND]), x[row], anchor, sum1, sum2, state[WINDOW])
            row += 1


rolling_sum_update = rolling_mean_update = rolling_var_update = rolling_std_update = statistic_update
rolling_zscore_update = statistic_update


def rolling_moments_state(window: int) -> Floats:
    """State of `rolling_moments`."""
    return sums_state(checked_count("window", window, least=2))


@kernel
def _finish_moments(x, anchors, sums1, sums2, width, mean, std, zscore):  # type: ignore[no-untyped-def]
    for row in range(np.uint64(len(x))):
        sum1 = sums1[row]
        sum2 = sums2[row]
        mean[row] = statistic(MEAN, x[row], anchors[row], sum1, sum2, width)
        std[row] = statistic(STD, x[row], anchors[row], sum1, sum2, width)
        zscore[row] = statistic(ZSCORE, x[row], anchors[row], sum1, sum2, width)


@kernel
def _whole_block_moments(state, x, mean, std, zscore):  # type: ignore[no-untyped-def]
    """`_whole_blocks` for three statistics of the same sums."""
    window = int(state[WINDOW])
    tails, coming = np.zeros((2, window + 1)), np.zeros((2, window + 1))
    known_tails(state, x[0], tails)
    rows = (len(x) - 1) // window * window
    tile = min(max(TILE // window, 2) * window, rows)
    anchors, sums1, sums2 = np.empty(tile), np.empty(tile), np.empty(tile)
    for start in range(0, rows, tile):
        stop = min(start + tile, rows)
        tails, coming = sum_blocks(x[start : stop + 1], window, True, tails, coming, anchors, sums1, sums2)
        made = slice(start, stop)
        _finish_moments(x[made], anchors, sums1, sums2, state[WINDOW], mean[made], std[made], zscore[made])
    return keep_block(state, x, rows)


@kernel
def _part_moments(state, x, mean, std, zscore):  # type: ignore[no-untyped-def]
    rows = len(x)
    anchors, sums1, sums2 = np.empty(rows), np.empty(rows), np.empty(rows)
    anchors[:] = part_of_block(state, x, sums1, sums2)
    _finish_moments(x, anchors, sums1, sums2, state[WINDOW], mean, std, zscore)


@kernel
def rolling_moments_update(state, x, mean, std, zscore):  # type: ignore[no-untyped-def]
    window = int(state[WINDOW])
    row = 0
    while row < len(x):
        if state[POSITION] == 0.0 and len(x) - row > window:
            row += _whole_block_moments(state, x[row:], mean[row:], std[row:], zscore[row:])
        stop = min(row + window - int(state[POSITION]), len(x))
        if stop - row > FEW:
            part = slice(row, stop)
            _part_moments(state, x[part], mean[part], std[part], zscore[part])
            row = stop
        else:
            anchor, sum1, sum2 = advance_moments(state, x[row])
            mean[row] = statistic(MEAN, x[row], anchor, sum1, sum2, state[WINDOW])
            std[row] = statistic(STD, x[row], anchor, sum1, sum2, state[WINDOW])
            zscore[row] = statistic(ZSCORE, x[row], anchor, sum1, sum2, state[WINDOW])
            row += 1


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
    return run(rolling_var_update, rolling_var_state(window), {"x": x}, out)


def rolling_std(x: Floats, window: int, out: Floats | None = None) -> Floats:
    """Sample standard deviation (ddof = 1) of the last `window` rows; `window` is at least 2.

    NaN rule and errors as in `rolling_sum`; the unit of `x`; exactly 0 where the window is constant.
    """
    return run(rolling_std_update, rolling_std_state(window), {"x": x}, out)


def rolling_zscore(x: Floats, window: int, out: Floats | None = None) -> Floats:
    """(x - rolling mean) / rolling standard deviation (ddof = 1); `window` is at least 2.

    NaN rule and errors as in `rolling_sum`; no unit. A constant window gives 0, not NaN: the row equals its mean,
    and series such as the volume of an index are constant zero.
    """
    return run(rolling_zscore_update, rolling_zscore_state(window), {"x": x}, out)


def rolling_moments(
    x: Floats, window: int, out: tuple[Floats, Floats, Floats] | None = None
) -> tuple[Floats, Floats, Floats]:
    """(rolling_mean, rolling_std, rolling_zscore) of one window from one pass over the sums, with the same bits.

    Arguments, NaN rule and errors as in `rolling_zscore`; `window` is at least 2.
    """
    mean, std, zscore = run_many(rolling_moments_update, rolling_moments_state(window), {"x": x}, 3, out)
    return mean, std, zscore
