"""How long ago the smallest and the largest of the last `window` rows were: by the heads and tails of blocks.

Absolute row numbers are cut into blocks of `window` rows, and a window is a tail of the block before plus a head of its
own (van Herk, Gil and Werman); each number goes with its place, counted from the first row of the block under way, so
that tails have negative ones. Of equal rows the oldest counts. Eight rows at a time go through the vectors of `lanes`;
what is larger is exact, so that it does not matter which eight. Blocks of a few rows are too short for this: there,
passes that double the span that a number speaks for go over many rows at once.

Comparisons pass over NaN; the windows that hold one are blanked afterwards, as are those that are not yet full.
"""

import math

import numpy as np

from kernels.arrays import ROWS, Floats, checked_count, run
from kernels.compilation import ONE, inlined, kernel
from kernels.lane_memory import load, store
from kernels.lane_picks import in_each, shuffle
from kernels.lanes import DOWNWARD, LANES, UPWARD, WIDTH, last_lanes, places, where

_WINDOW, _POSITION, _BLANK, _HEAD, _HEAD_AT = 1, 2, 3, 4, 5  # _BLANK: how many of the coming rows give NaN
_RING = 6  # the rows of the block under way, then the tails of the block before, then where they are
_SHORT = 24  # up to this window, doubled spans beat blocks: 0.8 against 8 ns a row at 5 rows, 1.0 and 1.0 at 32
_TILE = 1024


def extremum_age_state(window: int) -> Floats:
    """State of rolling argmin and argmax: `8 + 3 * window` numbers."""
    window = checked_count("window", window)
    state = np.zeros(_RING + 3 * window + 2)
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
def _ordered(x, row, sign):  # type: ignore[no-untyped-def]
    """Eight rows, of which the largest is sought; a NaN is the least."""
    values = sign * load((x,), row)[0]
    return where(values == values, values, -math.inf)


@inlined
def _extend(state, x, out, row, count, sign):  # type: ignore[no-untyped-def]
    """Extend the head by a piece, and write how long ago the larger of it and the tail was; the tail if equal."""
    window = np.uint64(state[_WINDOW])
    tails = np.uint64(_RING) + window + np.uint64(state[_POSITION]) + ONE
    tails_at = tails + window + ONE
    head, head_at = in_each(state[_HEAD]), in_each(state[_HEAD_AT])
    step = np.uint64(0)
    while step + WIDTH <= count:
        position = places(state[_POSITION] + float(step))
        values, at = _largest_up_to(_ordered(x, row + step, sign), position)
        values, at = _older(head, head_at, values, at)
        head, head_at = _last(values, values), _last(at, at)
        _, at = _older(load((state,), tails + step)[0], load((state,), tails_at + step)[0], values, at)
        store((out,), row + step, (position - at,))
        step += WIDTH
    state[_HEAD], state[_HEAD_AT] = last_lanes((head, head_at))
    for one in range(step, count):
        position = state[_POSITION] + float(one)
        value = sign * x[row + one]
        if value > state[_HEAD]:
            state[_HEAD], state[_HEAD_AT] = value, position
        is_tail = state[tails + one] >= state[_HEAD]
        out[row + one] = position - (state[tails_at + one] if is_tail else state[_HEAD_AT])


@inlined
def _close(state, values, last, sign):  # type: ignore[no-untyped-def]
    """Take the tails of the block whose last row is `values[last]`, and where they are, counted from the next block."""
    window = np.uint64(state[_WINDOW])
    tails = np.uint64(_RING) + window
    tails_at = tails + window + ONE
    first = last + ONE - window
    left = window
    tail, tail_at = in_each(-math.inf), in_each(0.0)
    while left >= WIDTH:
        left -= WIDTH
        rows, at = _largest_from(_ordered(values, first + left, sign), places(float(left) - state[_WINDOW]))
        rows, at = _older(rows, at, tail, tail_at)
        store((state,), tails + left, (rows,))
        store((state,), tails_at + left, (at,))
        tail, tail_at = _first(rows, rows), _first(at, at)
    largest, largest_at = last_lanes((tail, tail_at))
    while left > 0:
        left -= ONE
        value = sign * values[first + left]
        value = value if value == value else -math.inf
        if value >= largest:
            largest, largest_at = value, float(left) - state[_WINDOW]
        state[tails + left], state[tails_at + left] = largest, largest_at
    state[_POSITION] = 0.0
    state[_HEAD] = -math.inf
    state[_HEAD_AT] = 0.0


@inlined
def _double_spans(state, x, out, first, sign):  # type: ignore[no-untyped-def]
    """Write the rows from `first` to the last whole block, all of whose windows lie in `x`; return the row after."""
    window = np.uint64(state[_WINDOW])
    tile = np.uint64(_TILE)
    size = tile + window
    spans, wider = np.empty(size), np.empty(size)
    spans_at, wider_at = np.empty(size), np.empty(size)
    end = first + (np.uint64(len(x)) - first) // window * window
    while first < end:
        count = min(tile, end - first)
        width = count + window - ONE
        for step in range(width):
            spans[step] = sign * x[first + ONE - window + step]
            spans_at[step] = step
        span = ONE
        while span < window:
            further = min(span, window - span)  # the last two spans overlap
            for step in range(width + ONE - span - further):
                left, right = spans[step], spans[step + further]
                older = left >= right
                wider[step] = left if older else right
                left, right = spans_at[step], spans_at[step + further]
                wider_at[step] = left if older else right
            spans, wider, spans_at, wider_at = wider, spans, wider_at, spans_at
            span += further
        for step in range(count):
            out[first + step] = float(step + window - ONE) - spans_at[step]
        _blank(state, x, out, first, count)
        first += count
    return end


@inlined
def _update(state, x, out, sign):  # type: ignore[no-untyped-def]
    window = np.uint64(state[_WINDOW])  # unsigned: no index is checked for being negative, and the loops vectorise
    ring = np.uint64(_RING)
    rows = np.uint64(len(x))
    row = np.uint64(0)
    while row < rows:
        position = np.uint64(state[_POSITION])
        if window <= _SHORT and position == 0 and row + ONE >= window and rows - row > 4 * window:
            row = _double_spans(state, x, out, row, sign)
            _close(state, x, row - ONE, sign)
            continue
        count = min(window - position, rows - row)
        _extend(state, x, out, row, count, sign)
        _blank(state, x, out, row, count)
        row += count
        if count == window:
            _close(state, x, row - ONE, sign)
            continue
        for step in range(count):
            state[ring + position + step] = x[row - count + step]
        state[_POSITION] += count
        if position + count == window:
            _close(state, state, ring + window - ONE, sign)
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
