"""Smallest and largest of the last `window` rows, by the heads and tails of blocks.

Absolute row numbers are cut into blocks of `window` rows: a window that ends in a block is a tail of the block before
plus a head of its own (van Herk, Gil and Werman), so the cost does not depend on the window. Rows are taken piece by
piece, a piece being what lies in one block, so that a run may start and end anywhere. Blocks of a few rows are too
short for this: there, passes that double the span that a number speaks for go over many rows at once.

Comparisons pass over NaN; the windows that hold one are blanked afterwards, as are those that are not yet full.
Infinities are ordinary values, and a zero is always +0.0, so that equal results have equal bits.
"""

import math

import numpy as np

from kernels.arrays import ROWS, Floats, checked_count, run
from kernels.compilation import ONE, inlined, kernel

_WINDOW, _POSITION, _BLANK, _HEAD = 1, 2, 3, 4  # _BLANK: how many of the coming rows give NaN
_RING = 5  # the rows of the block under way, then the tails of the block before
_SHORT = 24  # up to this window, doubled spans beat blocks: 1.5 against 5 ns a row at 5 rows, 1.9 and 1.9 at 20
_TILE = 1024


def extremum_state(window: int) -> Floats:
    """State of rolling minimum and maximum: `6 + 2 * window` numbers."""
    window = checked_count("window", window)
    state = np.zeros(_RING + 2 * window + 1)
    state[_WINDOW] = window
    state[_BLANK] = window - 1
    state[_HEAD] = -math.inf
    state[_RING + window :] = -math.inf
    return state


rolling_min_state = rolling_max_state = extremum_state


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
def _extend(state, x, out, row, count, sign):  # type: ignore[no-untyped-def]
    """Extend the head by a piece, and write the larger of it and the tail."""
    tails = np.uint64(_RING) + np.uint64(state[_WINDOW]) + np.uint64(state[_POSITION]) + ONE
    head = state[_HEAD]
    for step in range(count):
        value = sign * x[row + step]
        head = value if value > head else head
        out[row + step] = head
    state[_HEAD] = head
    for step in range(count):  # apart from the loop above this one vectorises
        tail = state[tails + step]
        head = out[row + step]
        out[row + step] = sign * (tail if tail > head else head) + 0.0


@inlined
def _close(state, values, last, sign):  # type: ignore[no-untyped-def]
    """Take the tails of the block whose last row is `values[last]`."""
    window = np.uint64(state[_WINDOW])
    end = np.uint64(_RING) + window + window - ONE
    tail = -math.inf
    for step in range(window):
        value = sign * values[last - step]
        tail = value if value > tail else tail
        state[end - step] = tail
    state[_POSITION] = 0.0
    state[_HEAD] = -math.inf


@inlined
def _double_spans(state, x, out, first, sign):  # type: ignore[no-untyped-def]
    """Write the rows from `first` to the last whole block, all of whose windows lie in `x`; return the row after."""
    window = np.uint64(state[_WINDOW])
    tile = np.uint64(_TILE)
    size = tile + window
    spans, wider = np.empty(size), np.empty(size)
    end = first + (np.uint64(len(x)) - first) // window * window
    while first < end:
        count = min(tile, end - first)
        width = count + window - ONE
        for step in range(width):
            spans[step] = sign * x[first + ONE - window + step]
        span = ONE
        while span < window:
            further = min(span, window - span)  # the last two spans overlap
            for step in range(width + ONE - span - further):
                left, right = spans[step], spans[step + further]
                wider[step] = left if left > right else right
            spans, wider = wider, spans
            span += further
        for step in range(count):
            out[first + step] = sign * spans[step] + 0.0
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
def rolling_max_update(state, x, out):  # type: ignore[no-untyped-def]
    _update(state, x, out, 1.0)


@kernel
def rolling_min_update(state, x, out):  # type: ignore[no-untyped-def]
    _update(state, x, out, -1.0)


def rolling_min(x: Floats, window: int, out: Floats | None = None) -> Floats:
    """Smallest of the last `window` rows; NaN where the window holds a NaN, infinities are ordinary values.

    Arguments and errors as in `rolling.rolling_sum`; the unit of `x`; a zero is +0.0.
    """
    return run(rolling_min_update, rolling_min_state(window), {"x": x}, out)


def rolling_max(x: Floats, window: int, out: Floats | None = None) -> Floats:
    """Largest of the last `window` rows; NaN where the window holds a NaN, infinities are ordinary values.

    Arguments and errors as in `rolling.rolling_sum`; the unit of `x`; a zero is +0.0.
    """
    return run(rolling_max_update, rolling_max_state(window), {"x": x}, out)
