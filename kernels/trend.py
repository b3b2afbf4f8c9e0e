"""Least squares of a series on time over the last `window` rows: slope, share explained, distance of the newest row.

Made as `block_sums` makes its sums: blocks of `window` rows, a window being the tail of a block and the head of the
next, deviations from the first row of the block that the window ends in, nothing ever subtracted. Three sums are kept:
of deviations, of deviations times their place in the block (the places of a tail are negative), and of squares. The
sums over time itself are known numbers.
"""

import math

import numpy as np

from kernels.arrays import ROWS, Floats, checked_count, run
from kernels.compilation import ONE, inlined, kernel

_WINDOW, _POSITION, _KIND, _ANCHOR, _HEADS = 1, 2, 3, 4, 5
_RING = 8  # the rows of the block under way, then three tails
_SLOPE, _RSQUARE, _RESID = range(3)


def _trend_state(window: int, kind: int) -> Floats:
    window = checked_count("window", window, least=2)
    state = np.zeros(_RING + window + 3 * (window + 1))
    state[_WINDOW], state[_KIND] = window, kind
    state[_RING + window :].reshape(3, window + 1)[:, :window] = math.nan  # no window is full before the first block is
    return state


def rolling_slope_state(window: int) -> Floats:
    """State of `rolling_slope`: `11 + 4 * window` numbers."""
    return _trend_state(window, _SLOPE)


def rolling_rsquare_state(window: int) -> Floats:
    """State of `rolling_rsquare`, as of `rolling_slope`."""
    return _trend_state(window, _RSQUARE)


def rolling_resid_state(window: int) -> Floats:
    """State of `rolling_resid`, as of `rolling_slope`."""
    return _trend_state(window, _RESID)


@inlined
def _begin(state, anchor, has_tails):  # type: ignore[no-untyped-def]
    """Begin a block; its tails come from the rows in the ring unless they are there."""
    window = np.uint64(state[_WINDOW])
    ring = np.uint64(_RING)
    tails = ring + window
    wide = window + ONE
    state[_ANCHOR] = anchor
    state[_HEADS : _HEADS + 3] = 0.0
    if has_tails or state[ROWS] == 0.0:
        return
    sum1 = sum_time = sum2 = 0.0
    for step in range(window - ONE):
        place = window - ONE - step
        deviation = state[ring + place] - anchor
        sum1 += deviation
        sum_time += deviation * -(step + 1.0)
        sum2 += deviation * deviation
        state[tails + place] = sum1
        state[tails + wide + place] = sum_time
        state[tails + wide + wide + place] = sum2
    state[ring : ring + window] = 0.0  # as a block taken whole leaves it: a state does not tell of cuts


@inlined
def _extend(state, x, first, count, sums):  # type: ignore[no-untyped-def]
    """Write the three sums of the windows of rows in the block under way."""
    window = np.uint64(state[_WINDOW])
    position = np.uint64(state[_POSITION])
    tails = np.uint64(_RING) + window + position + ONE
    wide = window + ONE
    anchor = state[_ANCHOR]
    head1, head_time, head2 = state[_HEADS], state[_HEADS + 1], state[_HEADS + 2]
    for step in range(count):
        deviation = x[first + step] - anchor
        head1 += deviation
        head_time += deviation * float(position + step)
        head2 += deviation * deviation
        sums[0, step] = state[tails + step] + head1
        sums[1, step] = state[tails + wide + step] + head_time
        sums[2, step] = state[tails + wide + wide + step] + head2
    state[_HEADS], state[_HEADS + 1], state[_HEADS + 2] = head1, head_time, head2


@inlined
def _extend_whole(state, x, first, sums):  # type: ignore[no-untyped-def]
    """`_extend` by a whole block, and the tails of the next one, whose first row is at hand, in the same loop."""
    window = np.uint64(state[_WINDOW])
    tails = np.uint64(_RING) + window
    wide = window + ONE
    anchor, ahead = state[_ANCHOR], x[first + window]
    head1 = head_time = head2 = 0.0
    tail1 = tail_time = tail2 = 0.0
    for step in range(window):
        deviation = x[first + step] - anchor
        head1 += deviation
        head_time += deviation * float(step)
        head2 += deviation * deviation
        sums[0, step] = head1
        sums[1, step] = head_time
        sums[2, step] = head2
        deviation = x[first + window - ONE - step] - ahead
        tail1 += deviation
        tail_time += deviation * -(step + 1.0)
        tail2 += deviation * deviation
        sums[3, window - ONE - step] = tail1
        sums[4, window - ONE - step] = tail_time
        sums[5, window - ONE - step] = tail2
    for step in range(window):
        sums[0, step] = state[tails + step + ONE] + sums[0, step]
        sums[1, step] = state[tails + wide + step + ONE] + sums[1, step]
        sums[2, step] = state[tails + wide + wide + step + ONE] + sums[2, step]
    for place in range(ONE, window):
        state[tails + place] = sums[3, place]
        state[tails + wide + place] = sums[4, place]
        state[tails + wide + wide + place] = sums[5, place]


@inlined
def _statistic(kind, deviation, place, sum1, sum_time, sum2, window):  # type: ignore[no-untyped-def]
    sum1 += sum1 - sum1  # turns an infinity into NaN
    both = sum_time - sum1 * (place - 0.5 * (window - 1.0))
    slope = both * (12.0 / (window * (window * window - 1.0)))
    if kind == _SLOPE:
        return slope
    if kind == _RESID:
        return deviation - sum1 * (1.0 / window) - slope * (0.5 * (window - 1.0))
    spread = sum2 - sum1 * (sum1 * (1.0 / window))
    square = slope * (both / spread)
    square = 1.0 if square > 1.0 else square
    return square if spread > 0.0 else math.nan


@inlined
def _finish(state, x, first, count, sums, out):  # type: ignore[no-untyped-def]
    window, anchor, position = state[_WINDOW], state[_ANCHOR], state[_POSITION]
    if state[_KIND] == _SLOPE:
        for step in range(count):
            sum1, sum_time, place = sums[0, step], sums[1, step], position + step
            out[first + step] = _statistic(_SLOPE, 0.0, place, sum1, sum_time, 0.0, window)
    elif state[_KIND] == _RESID:
        for step in range(count):
            sum1, sum_time, place = sums[0, step], sums[1, step], position + step
            out[first + step] = _statistic(_RESID, x[first + step] - anchor, place, sum1, sum_time, 0.0, window)
    else:
        for step in range(count):
            sum1, sum_time, place = sums[0, step], sums[1, step], position + step
            out[first + step] = _statistic(_RSQUARE, 0.0, place, sum1, sum_time, sums[2, step], window)


@inlined
def _keep(state, x, first, count):  # type: ignore[no-untyped-def]
    """Keep the rows of a block that is not whole yet, for its tails."""
    position = np.uint64(state[_POSITION])
    for step in range(count):
        state[np.uint64(_RING) + position + step] = x[first + step]
    position += count
    state[_POSITION] = 0.0 if position == np.uint64(state[_WINDOW]) else float(position)


@inlined
def _take_one(state, value):  # type: ignore[no-untyped-def]
    """The statistic of the window that ends with one more row, without working space."""
    window = int(state[_WINDOW])
    position = int(state[_POSITION])
    tails = _RING + window + position + 1
    deviation = value - state[_ANCHOR]
    state[_HEADS] += deviation
    state[_HEADS + 1] += deviation * float(position)
    state[_HEADS + 2] += deviation * deviation
    sum1 = state[tails] + state[_HEADS]
    sum_time = state[tails + window + 1] + state[_HEADS + 1]
    sum2 = state[tails + 2 * window + 2] + state[_HEADS + 2]
    return _statistic(state[_KIND], deviation, float(position), sum1, sum_time, sum2, state[_WINDOW])


@kernel
def trend_update(state, x, out):  # type: ignore[no-untyped-def]
    """Take rows and write the statistic that the state names of the window that ends at each."""
    window = np.uint64(state[_WINDOW])
    rows = np.uint64(len(x))
    row = np.uint64(0)
    has_tails = False
    if rows == ONE:
        if state[_POSITION] == 0.0:
            _begin(state, x[0], False)
        out[0] = _take_one(state, x[0])
        _keep(state, x, row, ONE)
        state[ROWS] += 1.0
        return
    sums = np.empty((6 if rows > window else 3, min(window, rows)))
    while row < rows:
        position = np.uint64(state[_POSITION])
        count = min(window - position, rows - row)
        if position == 0:
            _begin(state, x[row], has_tails)
        if count == window and row + window < rows:
            _extend_whole(state, x, row, sums)
            _finish(state, x, row, count, sums, out)
            has_tails = True
        else:
            _extend(state, x, row, count, sums)
            _finish(state, x, row, count, sums, out)
            _keep(state, x, row, count)
            has_tails = False
        row += count
        state[ROWS] += count


rolling_slope_update = rolling_rsquare_update = rolling_resid_update = trend_update


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
    return run(trend_update, rolling_slope_state(window), {"x": x}, out)


def rolling_rsquare(x: Floats, window: int, out: Floats | None = None) -> Floats:
    """Share of the variance of the last `window` rows that their least-squares line explains, from 0 to 1.

    Arguments, NaN rule and errors as in `rolling_slope`; no unit; NaN where the window is constant, as in qlib.
    """
    return run(trend_update, rolling_rsquare_state(window), {"x": x}, out)


def rolling_resid(x: Floats, window: int, out: Floats | None = None) -> Floats:
    """How far the newest row lies above the least-squares line through the last `window` rows (qlib's `Resi`).

    Arguments, NaN rule and errors as in `rolling_slope`; the unit of `x`; exactly 0 where the window is constant.
    """
    return run(trend_update, rolling_resid_state(window), {"x": x}, out)
