"""Smallest and largest of the last `window` rows.

Comparisons pass over NaN; the windows that hold one are blanked afterwards. Infinities are ordinary values, and a zero
is always +0.0, so that equal results have equal bits.
"""

import math

import numpy as np

from kernels.arrays import Floats, run
from kernels.compilation import inlined, kernel
from kernels.lanes import MAXIMUM
from kernels.window_folds import KIND, WINDOW, fold_state, fold_windows

_BLANK = KIND  # how many of the coming rows give NaN
_TILE = 2048  # rows that are folded, then looked through for NaN while they are in the first-level cache


def extremum_state(window: int) -> Floats:
    """State of rolling minimum and maximum."""
    return fold_state(window, fold=MAXIMUM)


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
        fold_windows(state, (x[rows],), (out[rows],), (-math.inf,), _value, MAXIMUM, _largest)
        _blank(state, x[rows], out[rows])


@kernel
def rolling_min_update(state, x, out):  # type: ignore[no-untyped-def]
    for start in range(0, len(x), _TILE):
        rows = slice(start, min(start + _TILE, len(x)))
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
