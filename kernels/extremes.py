"""Smallest and largest of the last `window` rows, and how long ago they were, by the heads and tails of blocks.

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

_WINDOW, _POSITION, _BLANK, _HEAD, _HEAD_AT = 1, 2, 3, 4, 5  # _BLANK: how many of the coming rows give NaN
_RING = 6  # the rows of the block under way, then the tails of the block before, then how long before its end they are
_SHORT = 24  # up to this window, doubled spans beat blocks: 1.5 against 5 ns a row at 5 rows, 1.9 and 1.9 at 20
_TILE = 1024


def extremum_state(window: int) -> Floats:
    """State of rolling minimum and maximum: `7 + 2 * window` numbers."""
    window = checked_count("window", window)
    state = np.zeros(_RING + 2 * window + 1)
    state[_WINDOW] = window
    state[_BLANK] = window - 1
    state[_HEAD] = -math.inf
    state[_RING + window :] = -math.inf
    return state


def extremum_age_state(window: int) -> Floats:
    """State of rolling argmin and argmax: `8 + 3 * window` numbers."""
    return np.concatenate([extremum_state(window), np.zeros(window + 1)])


rolling_min_state = rolling_max_state = extremum_state
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
def _extend_ages(state, x, out, row, count, sign):  # type: ignore[no-untyped-def]
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
def _close(state, values, last, sign, ages):  # type: ignore[no-untyped-def]
    """Take the tails of the block whose last row is `values[last]`, and how long before its end they are."""
    window = np.uint64(state[_WINDOW])
    end = np.uint64(_RING) + window + window - ONE
    tail = -math.inf
    age = 0.0
    for step in range(window):
        value = sign * values[last - step]
        if ages:
            age = step + 1.0 if value >= tail else age
            state[end - step + window + ONE] = age
            tail = value if value >= tail else tail
        else:
            tail = value if value > tail else tail
        state[end - step] = tail
    state[_POSITION] = 0.0
    state[_HEAD] = -math.inf
    state[_HEAD_AT] = 0.0


@inlined
def _double_spans(state, x, out, first, sign, ages):  # type: ignore[no-untyped-def]
    """Write the rows from `first` to the last whole block, all of whose windows lie in `x`; return the row after."""
    window = np.uint64(state[_WINDOW])
    tile = np.uint64(_TILE)
    size = tile + window
    spans, wider = np.empty(size), np.empty(size)
    spans_at, wider_at = np.empty(size if ages else ONE), np.empty(size if ages else ONE)
    end = first + (np.uint64(len(x)) - first) // window * window
    while first < end:
        count = min(tile, end - first)
        width = count + window - ONE
        for step in range(width):
            spans[step] = sign * x[first + ONE - window + step]
            if ages:
                spans_at[step] = step
        span = ONE
        while span < window:
            further = min(span, window - span)  # the last two spans overlap
            for step in range(width + ONE - span - further):
                left, right = spans[step], spans[step + further]
                older = left >= right if ages else left > right
                wider[step] = left if older else right
                if ages:
                    left, right = spans_at[step], spans_at[step + further]
                    wider_at[step] = left if older else right
            spans, wider, spans_at, wider_at = wider, spans, wider_at, spans_at
            span += further
        for step in range(count):
            if ages:
                out[first + step] = float(step + window - ONE) - spans_at[step]
            else:
                out[first + step] = sign * spans[step] + 0.0
        _blank(state, x, out, first, count)
        first += count
    return end


@inlined
def _update(state, x, out, sign, ages):  # type: ignore[no-untyped-def]
    window = np.uint64(state[_WINDOW])  # unsigned: no index is checked for being negative, and the loops vectorise
    ring = np.uint64(_RING)
    rows = np.uint64(len(x))
    row = np.uint64(0)
    while row < rows:
        position = np.uint64(state[_POSITION])
        if window <= _SHORT and position == 0 and row + ONE >= window and rows - row > 4 * window:
            row = _double_spans(state, x, out, row, sign, ages)
            _close(state, x, row - ONE, sign, ages)
            continue
        count = min(window - position, rows - row)
        if ages:
            _extend_ages(state, x, out, row, count, sign)
        else:
            _extend(state, x, out, row, count, sign)
        _blank(state, x, out, row, count)
        row += count
        if count == window:
            _close(state, x, row - ONE, sign, ages)
            continue
        for step in range(count):
            state[ring + position + step] = x[row - count + step]
        state[_POSITION] += count
        if position + count == window:
            _close(state, state, ring + window - ONE, sign, ages)
            state[ring : ring + window] = 0.0  # as a block taken whole leaves it: a state does not tell of cuts
    state[ROWS] += rows


@kernel
def rolling_max_update(state, x, out):  # type: ignore[no-untyped-def]
    _update(state, x, out, 1.0, False)


@kernel
def rolling_min_update(state, x, out):  # type: ignore[no-untyped-def]
    _update(state, x, out, -1.0, False)


@kernel
def rolling_argmax_update(state, x, out):  # type: ignore[no-untyped-def]
    _update(state, x, out, 1.0, True)


@kernel
def rolling_argmin_update(state, x, out):  # type: ignore[no-untyped-def]
    _update(state, x, out, -1.0, True)


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
