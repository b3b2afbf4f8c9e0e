"""Smallest and largest of the last `window` rows.

Comparisons pass over NaN; the windows that hold one are blanked afterwards. Infinities are ordinary values, and a zero
is always +0.0, so that equal results have equal bits.
"""

import math

import numpy as np

from kernels.arrays import ROWS, Floats, run
from kernels.compilation import ONE, inlined, kernel
from kernels.lane_memory import load, store
from kernels.lanes import MAXIMUM, WIDTH, join
from kernels.window_folds import KIND, WINDOW, fold_state, fold_windows

_BLANK = KIND  # how many of the coming rows give NaN
_TILE = 2048  # rows that are folded, then looked through for NaN while they are in the first-level cache
_SHORT = 16  # up to this window, looking at all rows of each is faster than a fold
_RING = 6  # of a short window: row r of all stands in slot r modulo `window`


def extremum_state(window: int) -> Floats:
    """State of rolling minimum and maximum."""
    state = fold_state(window, fold=MAXIMUM)
    state[_BLANK] = window - 1
    return state


rolling_min_state = rolling_max_state = extremum_state


@inlined
def _value(values, anchors, place):  # type: ignore[no-untyped-def]
    return (values[0],)


@inlined
def _largest(kind, folded, values, anchors, place, window):  # type: ignore[no-untyped-def]
    return (folded[0] + 0.0,)


@inlined
def _opposite(values, anchors, place):  # type: ignore[no-untyped-def]
    return (0.0 - values[0],)


@inlined
def _smallest(kind, folded, values, anchors, place, window):  # type: ignore[no-untyped-def]
    return (0.0 - folded[0],)


@inlined
def _look_at_all(state, x, out, sign):  # type: ignore[no-untyped-def]
    """Compare all rows of each window, in loops over many windows where their rows are all in `x`."""
    window, rows, ring = np.uint64(state[WINDOW]), np.uint64(len(x)), np.uint64(_RING)
    few = min(rows, window - ONE)
    for row in range(few):  # with rows of earlier calls, which are in the ring
        _remember(state, x, row)
        out[row] = _largest_of(state, ring, window, sign)
    after = few
    while after + WIDTH <= rows:
        best = _signed(load((x,), after), sign)
        for back in range(ONE, window):
            best = join(MAXIMUM, best, _signed(load((x,), after - back), sign))
        store((out,), after, (best[0] * sign + 0.0,))
        after += WIDTH
    for row in range(after, rows):
        out[row] = _largest_of(x, row + ONE - window, window, sign)
    for row in range(max(few, rows - min(rows, window)), rows):
        _remember(state, x, row)
    state[ROWS] += float(rows)


@inlined
def _signed(rows, sign):  # type: ignore[no-untyped-def]
    return (rows[0] * sign,)


@inlined
def _remember(state, x, row):  # type: ignore[no-untyped-def]
    state[np.uint64(_RING) + (np.uint64(state[ROWS]) + row) % np.uint64(state[WINDOW])] = x[row]


@inlined
def _largest_of(values, first, count, sign):  # type: ignore[no-untyped-def]
    largest = -math.inf
    for step in range(count):
        value = sign * values[first + step]
        largest = value if value > largest else largest
    return sign * largest + 0.0


@inlined
def _blank(state, x, out):  # type: ignore[no-untyped-def]
    """Write NaN to rows whose window holds one."""
    missing = 0
    for row in range(np.uint64(len(x))):
        missing += x[row] != x[row]
    if missing == 0 and state[_BLANK] == 0.0:
        return
    for row in range(len(x)):
        if x[row] != x[row]:
            state[_BLANK] = state[WINDOW]
        if state[_BLANK] > 0.0:
            state[_BLANK] -= 1.0
            out[row] = math.nan


@kernel
def rolling_max_update(state, x, out):  # type: ignore[no-untyped-def]
    for start in range(0, len(x), _TILE):
        rows = slice(start, min(start + _TILE, len(x)))
        if state[WINDOW] <= _SHORT:
            _look_at_all(state, x[rows], out[rows], 1.0)
        else:
            fold_windows(state, (x[rows],), (out[rows],), (-math.inf,), _value, MAXIMUM, _largest)
        _blank(state, x[rows], out[rows])


@kernel
def rolling_min_update(state, x, out):  # type: ignore[no-untyped-def]
    for start in range(0, len(x), _TILE):
        rows = slice(start, min(start + _TILE, len(x)))
        if state[WINDOW] <= _SHORT:
            _look_at_all(state, x[rows], out[rows], -1.0)
        else:
            fold_windows(state, (x[rows],), (out[rows],), (-math.inf,), _opposite, MAXIMUM, _smallest)
        _blank(state, x[rows], out[rows])


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
