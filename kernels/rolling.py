"""Statistics of the last `window` rows that rest on sums: sum, mean, variance, standard deviation, z-score.

How the sums are made, and why any cut of the rows gives the same bits, stands in `block_sums`. What is made of them
vectorises. A window that holds a NaN or an infinity gives NaN, and only such a window.
"""

import math

import numpy as np

from kernels.arrays import Floats, checked_count, run, run_many
from kernels.block_sums import (
    FEW,
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

# What is made of the sums; those up to DEVIATION need first powers only.
SUM, MEAN, DEVIATION, VARIANCE, STD, ZSCORE, POPULATION_STD, RELATIVE_STD, BAND_POSITION = range(9)

moments_state = sums_state  # of every statistic here


@kernel
def statistic(kind, value, anchor, sum1, sum2, window):  # type: ignore[no-untyped-def]
    """What `kind` says of a window with these sums; rounding below zero variance is cut."""
    sum1 += sum1 - sum1  # turns an infinity into NaN
    mean = sum1 * (1.0 / window)  # one division a call, not one a row
    if kind == SUM:
        return sum1 + anchor * window
    if kind == MEAN:
        return anchor + mean
    if kind == DEVIATION:
        return value / (anchor + mean) - 1.0
    ddof = 0.0 if kind in (POPULATION_STD, BAND_POSITION) else 1.0
    variance = (sum2 - sum1 * mean) * (1.0 / (window - ddof))
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
    window = int(state[WINDOW])
    tails, coming = np.zeros((2, window + 1)), np.zeros((2, window + 1))
    known_tails(state, x[0], tails)
    rows = (len(x) - 1) // window * window
    tile = min(max(TILE // window, 2) * window, rows)
    anchors, sums2 = np.empty(tile), np.empty(tile)
    for start in range(0, rows, tile):
        stop = min(start + tile, rows)
        made = out[start:stop]
        tails, coming = sum_blocks(x[start : stop + 1], window, kind > DEVIATION, tails, coming, anchors, made, sums2)
        _finish(kind, x[start:stop], anchors, sums2, state[WINDOW], made)
    return keep_block(state, x, rows)


@kernel
def _finish(kind, x, anchors, sums2, width, out):  # type: ignore[no-untyped-def]
    """Replace first sums by what `kind` says."""
    if kind <= DEVIATION:
        for row in range(np.uint64(len(x))):
            out[row] = statistic(kind, x[row], anchors[row], out[row], 0.0, width)
    else:
        for row in range(np.uint64(len(x))):
            out[row] = statistic(kind, x[row], anchors[row], out[row], sums2[row], width)


@kernel
def _take_part(state, x, out, kind):  # type: ignore[no-untyped-def]
    second = np.empty(len(x))
    anchor = part_of_block(state, x, out, second)
    for row in range(np.uint64(len(x))):
        out[row] = statistic(kind, x[row], anchor, out[row], second[row], state[WINDOW])


@kernel
def update_statistic(state, x, out, kind):  # type: ignore[no-untyped-def]
    """Take rows and write what `kind` says of the window that ends at each; `x` and `out` may not overlap."""
    window = int(state[WINDOW])
    row = 0
    while row < len(x):
        if state[POSITION] == 0.0 and len(x) - row > window:
            row += _whole_blocks(state, x[row:], out[row:], kind)
        stop = min(row + window - int(state[POSITION]), len(x))
        if stop - row > FEW:
            _take_part(state, x[row:stop], out[row:stop], kind)
            row = stop
        else:
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


rolling_moments_state = moments_state


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


def rolling_moments(x: Floats, window: int) -> tuple[Floats, Floats, Floats]:
    """(rolling_mean, rolling_std, rolling_zscore) of one window from one pass over the sums, with the same bits.

    Arguments, NaN rule and errors as in `rolling_zscore`; `window` is at least 2.
    """
    state = rolling_moments_state(checked_count("window", window, least=2))
    mean, std, zscore = run_many(rolling_moments_update, state, {"x": x}, 3)
    return mean, std, zscore
