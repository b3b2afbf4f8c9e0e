"""Order statistics of the last `window` rows: median, quantile, rank of the newest.

The window is kept in the state in order (`sorted_window`), and a row takes the place of the oldest one. The rank needs
no order at all: it counts. Before the first rows a window of zeros stands in the state, and rows that are not finite
enter as zeros; the windows that hold them are blanked.

A window that holds a NaN or an infinity gives NaN, and only such a window.
"""

import math

import numpy as np

from kernels.arrays import ROWS, Floats, checked_count, run
from kernels.compilation import ONE, inlined, kernel
from kernels.sorted_window import (
    find,
    is_full,
    is_thin,
    join,
    put_in,
    replace,
    sorted_row_of_zeros,
    sorted_zeros,
    split,
    take_out,
    two_from,
)

_WINDOW, _POSITION, _BLANK = 1, 2, 3  # _BLANK: how many of the coming rows give NaN
_RANK, _FRACTION = 4, 5
_LONGEST_ROW = 256  # rows of a window that is kept in one row: 17.6 ns a row, 22.8 at 320, where chunks take 22.0
_NOWHERE = np.uint64(0), np.uint64(0)
_RING = 6  # the last rows; for quantiles then the sorted window


def rolling_rank_state(window: int) -> Floats:
    """State of `rolling_rank`: `6 + window` numbers."""
    window = checked_count("window", window)
    state = np.zeros(_RING + window)
    state[_WINDOW] = window
    state[_BLANK] = window - 1
    return state


def rolling_quantile_state(window: int, q: float) -> Floats:
    """State of `rolling_quantile`: `2 * window` numbers and some, seven times as many where it is long."""
    if isinstance(q, bool) or not isinstance(q, int | float | np.integer | np.floating):
        raise TypeError(f"q: expected a number, received {q!r}")
    if not 0.0 <= q <= 1.0:
        raise ValueError(f"q: expected 0 to 1, received {q}")
    state = rolling_rank_state(window)
    state[_FRACTION], state[_RANK] = math.modf(float(q) * (window - 1))
    ordered = sorted_row_of_zeros(window) if window <= _LONGEST_ROW else sorted_zeros(window, len(state))
    return np.concatenate([state, ordered])


def rolling_median_state(window: int) -> Floats:
    """State of `rolling_median`: that of the quantile 0.5."""
    return rolling_quantile_state(window, 0.5)


@inlined
def _take(state, value):  # type: ignore[no-untyped-def]
    """Put `value` into the ring; return it as it stands there, the one that leaves, and whether the window is blank."""
    if value - value != 0.0:
        state[_BLANK] = state[_WINDOW]
        value = 0.0
    value += 0.0  # -0.0 would equal 0.0 and have other bits
    place = np.uint64(_RING) + np.uint64(state[_POSITION])
    leaving = state[place]
    state[place] = value
    position = state[_POSITION] + 1.0
    state[_POSITION] = 0.0 if position == state[_WINDOW] else position
    blank = state[_BLANK] > 0.0
    state[_BLANK] -= blank
    return value, leaving, blank


@inlined
def _between(lower, upper, fraction):  # type: ignore[no-untyped-def]
    """NumPy's interpolation: exact at both ends."""
    if fraction == 0.0:
        return lower
    span = upper - lower
    return lower + span * fraction if fraction < 0.5 else upper - span * (1.0 - fraction)


@inlined
def _in_row(state, x, out):  # type: ignore[no-untyped-def]
    window, rank = np.uint64(state[_WINDOW]), np.uint64(state[_RANK])
    first = np.uint64(_RING) + window
    for row in range(len(x)):
        value, leaving, blank = _take(state, x[row])
        replace(state, window, first, leaving, value)
        found = _between(state[first + rank], state[first + rank + ONE], state[_FRACTION])
        out[row] = math.nan if blank else found


@inlined
def _in_chunks(state, x, out):  # type: ignore[no-untyped-def]
    window, rank = np.uint64(state[_WINDOW]), np.uint64(state[_RANK])
    first = np.uint64(_RING) + window
    near = _NOWHERE
    for row in range(len(x)):
        value, leaving, blank = _take(state, x[row])
        chunk = take_out(state, window, first, leaving)
        near = near[0], near[1] - np.uint64(chunk < near[0])
        if is_thin(state, window, first, chunk):
            join(state, window, first, chunk)
            near = _NOWHERE
        chunk = put_in(state, window, first, value)
        near = near[0], near[1] + np.uint64(chunk < near[0])
        if is_full(state, window, first, chunk):
            split(state, window, first, chunk)
            near = _NOWHERE
        near = find(state, window, first, rank, near)
        below, above = two_from(state, window, first, rank, near)
        found = _between(below, above, state[_FRACTION])
        out[row] = math.nan if blank else found


@kernel
def rolling_quantile_update(state, x, out):  # type: ignore[no-untyped-def]
    if state[_WINDOW] <= _LONGEST_ROW:
        _in_row(state, x, out)
    else:
        _in_chunks(state, x, out)
    state[ROWS] += len(x)


rolling_median_update = rolling_quantile_update


@inlined
def _rank(values, first, count, value):  # type: ignore[no-untyped-def]
    """Mean rank of `value`, one of these, from 1."""
    below = 0
    upto = 0
    for place in range(count):
        below += values[first + place] < value
        upto += values[first + place] <= value
    return 0.5 * (below + upto + 1)


@kernel
def rolling_rank_update(state, x, out):  # type: ignore[no-untyped-def]
    window = np.uint64(state[_WINDOW])
    ring = np.uint64(_RING)
    for row in range(np.uint64(len(x))):
        value, _, blank = _take(state, x[row])
        # from the ring only where need be: what was just written there comes back slowly
        rank = _rank(x, row + ONE - window, window, value) if row + ONE >= window else _rank(state, ring, window, value)
        out[row] = math.nan if blank else rank / state[_WINDOW]
    state[ROWS] += len(x)


def rolling_quantile(x: Floats, window: int, q: float, out: Floats | None = None) -> Floats:
    """The value below which the part `q` of the last `window` rows lies, between two rows by linear interpolation.

    Args:
        x: (time,) float64, any unit.
        window: rows, at least 1. The cost grows with it: `make bench` has 64 and 1,024.
        q: 0 to 1; 0 is the smallest, 1 the largest.
        out: (time,) float64 to write into; a new array when None.

    Returns:
        (time,) float64 in the unit of `x`, `numpy.quantile` of each window; NaN for the first `window - 1` rows and
        where the window holds a NaN or an infinity.

    Raises:
        TypeError, ValueError: wrong dtype, dimension, window or q; the message names the argument.
    """
    return run(rolling_quantile_update, rolling_quantile_state(window, q), {"x": x}, out)


def rolling_median(x: Floats, window: int, out: Floats | None = None) -> Floats:
    """Median of the last `window` rows; of an even number the middle between the two in the middle.

    Arguments, NaN rule, cost and errors as in `rolling_quantile`; the unit of `x`.
    """
    return run(rolling_median_update, rolling_median_state(window), {"x": x}, out)


def rolling_rank(x: Floats, window: int, out: Floats | None = None) -> Floats:
    """Rank of a row among the last `window` rows, from 1 / `window` to 1; equal rows share the mean of their ranks.

    Arguments, NaN rule and errors as in `rolling_quantile`; no unit; pandas' `rolling(window).rank(pct=True)`. A
    constant window gives (`window` + 1) / (2 · `window`). The cost grows with the window.
    """
    return run(rolling_rank_update, rolling_rank_state(window), {"x": x}, out)
