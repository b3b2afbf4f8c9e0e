"""How long ago the smallest and the largest of the last `window` rows were: by the heads and tails of blocks.

Absolute row numbers are cut into blocks of `window` rows, and a window is a tail of the block before plus a head of its
own (van Herk, Gil and Werman); each number goes with its place, counted from the first row of the block under way, so
that tails have negative ones. Of equal rows the oldest counts. Eight rows at a time go through the vectors of `lanes`;
what is larger is exact, so that it does not matter which eight. Blocks of a few rows are too short for this:
there, all rows of each window are looked at.

Comparisons pass over NaN; the windows that hold one are blanked afterwards, as are those that are not yet full.
"""

import math

import numpy as np

from kernels.arrays import ROWS, Floats, checked_count, run
from kernels.compilation import ONE, inlined, kernel
from kernels.lane_memory import load, load_first, store, store_between
from kernels.lane_picks import in_each, shuffle
from kernels.lanes import DOWNWARD, LANES, UPWARD, WIDTH, last_lanes, places, where

_WINDOW, _POSITION, _BLANK, _HEAD, _HEAD_AT = 1, 2, 3, 4, 5  # _BLANK: how many of the coming rows give NaN
_RING = 6  # the rows of the block under way, then the tails of the block before, then where they are
_SHORT = 12  # up to this window, looking at all rows beats blocks: 0.5 against 3.2 ns a row at 5, 1.6 and 1.8 at 12
_TILE = 1024


def extremum_age_state(window: int) -> Floats:
    """State of rolling argmin and argmax: `15 + 3 * window` numbers; the last seven complete a vector."""
    window = checked_count("window", window)
    state = np.zeros(_RING + 3 * window + 2 + LANES - 1)
    state[_WINDOW] = window
    state[_BLANK] = window - 1
    state[_HEAD] = -math.inf
    state[_RING + window : _RING + 2 * window + 1] = -math.inf
    return state


rolling_argmin_state = rolling_argmax_state = extremum_age_state


@inlined
def _blank(state, x, out, row, count):  # type: ignore[no-untyped-def]
    """Write NaN to rows whose window holds one or is not yet full."""
    missing = 0
    for step in range(count):
        missing += x[row + step] != x[row + step]
    if missing == 0 and state[_BLANK] == 0.0:
        return
    for step in range(count):
        if x[row + step] != x[row + step]:
            state[_BLANK] = state[_WINDOW]
        if state[_BLANK] > 0.0:
            state[_BLANK] -= 1.0
            out[row + step] = math.nan


@inlined
def _older(older, older_at, newer, newer_at):  # type: ignore[no-untyped-def]
    """The larger of two with its place, the older of equal ones."""
    is_older = older >= newer
    return where(is_older, older, newer), where(is_older, older_at, newer_at)


_up1, _up2, _up4 = (shuffle(picks) for picks in UPWARD)
_down1, _down2, _down4 = (shuffle(picks) for picks in DOWNWARD)
_first, _last = shuffle([0] * LANES), shuffle([LANES - 1] * LANES)


@inlined
def _largest_up_to(values, at):  # type: ignore[no-untyped-def]
    """The largest of the lanes up to each, with its place."""
    values, at = _older(_up1(values, math.nan), _up1(at, 0.0), values, at)
    values, at = _older(_up2(values, math.nan), _up2(at, 0.0), values, at)
    return _older(_up4(values, math.nan), _up4(at, 0.0), values, at)


@inlined
def _largest_from(values, at):  # type: ignore[no-untyped-def]
    """The largest of the lanes from each on, with its place."""
    values, at = _older(values, at, _down1(values, -math.inf), _down1(at, 0.0))
    values, at = _older(values, at, _down2(values, -math.inf), _down2(at, 0.0))
    return _older(values, at, _down4(values, -math.inf), _down4(at, 0.0))


@inlined
def _ordered(x, row, count, sign):  # type: ignore[no-untyped-def]
    """Up to eight rows, of which the largest is sought; what is NaN or not there is the least."""
    (rows,) = load((x,), row) if count >= WIDTH else load_first((x,), row, count, (math.nan,))
    values = sign * rows
    return where(values == values, values, -math.inf)


@inlined
def _put(array, row, count, values):  # type: ignore[no-untyped-def]
    """Write up to eight rows."""
    if count >= WIDTH:
        store((array,), row, (values,))
    else:
        store_between((array,), row, np.uint64(0), count, (values,))


@inlined
def _extend(state, x, out, row, count, sign):  # type: ignore[no-untyped-def]
    """Extend the head by a piece, and write how long ago the larger of it and the tail was; the tail if equal."""
    window = np.uint64(state[_WINDOW])
    tails = np.uint64(_RING) + window + np.uint64(state[_POSITION]) + ONE
    tails_at = tails + window + ONE
    head, head_at = in_each(state[_HEAD]), in_each(state[_HEAD_AT])
    for step in range(np.uint64(0), count, WIDTH):
        left = count - step
        position = places(state[_POSITION] + float(step))
        values, at = _largest_up_to(_ordered(x, row + step, left, sign), position)
        values, at = _older(head, head_at, values, at)
        head, head_at = _last(values, values), _last(at, at)
        _, at = _older(load((state,), tails + step)[0], load((state,), tails_at + step)[0], values, at)
        _put(out, row + step, left, position - at)
    state[_HEAD], state[_HEAD_AT] = last_lanes((head, head_at))


@inlined
def _close(state, values, first, sign):  # type: ignore[no-untyped-def]
    """Take the tails of the block that begins at `values[first]`, and where they are, counted from the next block."""
    window = np.uint64(state[_WINDOW])
    tails = np.uint64(_RING) + window
    tails_at = tails + window + ONE
    tail, tail_at = in_each(-math.inf), in_each(0.0)
    end = window
    while end > 0:
        count = min(end, WIDTH)
        end -= count
        rows, at = _largest_from(_ordered(values, first + end, count, sign), places(float(end) - state[_WINDOW]))
        rows, at = _older(rows, at, tail, tail_at)
        _put(state, tails + end, count, rows)
        _put(state, tails_at + end, count, at)
        tail, tail_at = _first(rows, rows), _first(at, at)
    state[_POSITION] = 0.0
    state[_HEAD] = -math.inf
    state[_HEAD_AT] = 0.0


@inlined
def _look_at_all(state, x, out, first, sign):  # type: ignore[no-untyped-def]
    """Write whole blocks and vectors from `first` on, whose windows all lie in `x`; return the row after."""
    window, whole = np.uint64(state[_WINDOW]), WIDTH * np.uint64(state[_WINDOW])
    end = first + (np.uint64(len(x)) - first) // whole * whole
    while first < end:
        stop = min(first + np.uint64(_TILE), end)
        for row in range(first, stop, WIDTH):
            values, ages = _ordered(x, row, WIDTH, sign), in_each(0.0)
            for back in range(ONE, window):
                values, ages = _older(_ordered(x, row - back, WIDTH, sign), in_each(float(back)), values, ages)
            store((out,), row, (ages,))
        _blank(state, x, out, first, stop - first)
        first = stop
    return end


@inlined
def _update(state, x, out, sign):  # type: ignore[no-untyped-def]
    window = np.uint64(state[_WINDOW])  # unsigned: no index is checked for being negative, and the loops vectorise
    ring = np.uint64(_RING)
    rows = np.uint64(len(x))
    row = np.uint64(0)
    while row < rows:
        position = np.uint64(state[_POSITION])
        if window <= _SHORT and position == 0 and row + ONE >= window and rows - row >= WIDTH * window:
            row = _look_at_all(state, x, out, row, sign)
            _close(state, x, row - window, sign)
            continue
        count = min(window - position, rows - row)
        _extend(state, x, out, row, count, sign)
        _blank(state, x, out, row, count)
        row += count
        if count == window:
            _close(state, x, row - window, sign)
            continue
        for step in range(count):
            state[ring + position + step] = x[row - count + step]
        state[_POSITION] += count
        if position + count == window:
            _close(state, state, ring, sign)
            state[ring : ring + window] = 0.0  # as a block taken whole leaves it: a state does not tell of cuts
    state[ROWS] += rows


@kernel
def rolling_argmax_update(state, x, out):  # type: ignore[no-untyped-def]
    _update(state, x, out, 1.0)


@kernel
def rolling_argmin_update(state, x, out):  # type: ignore[no-untyped-def]
    _update(state, x, out, -1.0)


def rolling_argmin(x: Floats, window: int, out: Floats | None = None) -> Floats:
    """How many rows ago the smallest of the last `window` rows was, the oldest of equal ones.

    Returns:
        (time,) float64, whole numbers from 0 (this row) to `window - 1`; NaN for the first `window - 1` rows and
        where the window holds a NaN.

    Arguments and errors as in `rolling.rolling_sum`; infinities are ordinary values.
    """
    return run(rolling_argmin_update, rolling_argmin_state(window), {"x": x}, out)


def rolling_argmax(x: Floats, window: int, out: Floats | None = None) -> Floats:
    """How many rows ago the largest of the last `window` rows was, the oldest of equal ones.

    Rows, NaN rule, arguments and errors as in `rolling_argmin`.
    """
    return run(rolling_argmax_update, rolling_argmax_state(window), {"x": x}, out)
