"""How long ago the smallest and the largest of the last `window` rows were: by the heads and tails of blocks.

As in `extremes`, absolute row numbers are cut into blocks of `window` rows, and a window is a tail of the block before
plus a head of its own; each number goes with its place. Of equal rows the oldest counts. Both are chains of comparisons
that wait for one another; where windows are not long and many rows are at hand, passes that double the span that a
number speaks for are faster.

Comparisons pass over NaN; the windows that hold one are blanked afterwards, as are those that are not yet full.
"""

import math

import numpy as np

from kernels.arrays import ROWS, Floats, checked_count, run
from kernels.compilation import ONE, inlined, kernel

_WINDOW, _POSITION, _BLANK, _HEAD, _HEAD_AT = 1, 2, 3, 4, 5  # _BLANK: how many of the coming rows give NaN
_RING = 6  # the rows of the block under way, then the tails of the block before, then how long before its end they are
# up to this window, doubled spans beat blocks: 0.8, 1.3, 1.9 and 2.6 ns a row at 5, 64, 256 and 512 rows, against 4.4
_SHORT = 512
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
def _extend(state, x, out, row, count, sign):  # type: ignore[no-untyped-def]
    """Extend the head by a piece, and write how long ago the larger of it and the tail was; the tail if equal."""
    window = np.uint64(state[_WINDOW])
    tails = np.uint64(_RING) + window + np.uint64(state[_POSITION]) + ONE
    ages = tails + window + ONE
    head = state[_HEAD]
    head_at = state[_HEAD_AT]
    for step in range(count):
        position = state[_POSITION] + step
        value = sign * x[row + step]
        head_at = position if value > head else head_at
        head = value if value > head else head
        tail, age = state[tails + step], state[ages + step]
        out[row + step] = position + (age if tail >= head else -head_at)
    state[_HEAD] = head
    state[_HEAD_AT] = head_at


@inlined
def _close(state, values, last, sign):  # type: ignore[no-untyped-def]
    """Take the tails of the block whose last row is `values[last]`, and how long before its end they are."""
    window = np.uint64(state[_WINDOW])
    end = np.uint64(_RING) + window + window - ONE
    tail = -math.inf
    age = 0.0
    for step in range(window):
        value = sign * values[last - step]
        age = step + 1.0 if value >= tail else age
        state[end - step + window + ONE] = age
        tail = value if value >= tail else tail
        state[end - step] = tail
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
