"""Order statistics of the last `window` rows: median, quantile, rank of the newest.

The sorted window is kept in the state. A row takes the place of the oldest one in a single pass without a search or a
branch (`_replace`): what a processor guesses wrong costs more than comparing 64 numbers. Long windows are cut into
chunks of equal size: the two that lose and gain a row are replaced like that, those between pass one number on. The
rank needs no order at all: it counts. Before the first rows a window of zeros stands in the state, and rows that are
not finite enter as zeros; the windows that hold them are blanked.

A window that holds a NaN or an infinity gives NaN, and only such a window.
"""

import math

import numpy as np

from kernels.arrays import ROWS, Floats, checked_count, run
from kernels.compilation import ONE, inlined, kernel

_WINDOW, _POSITION, _BLANK = 1, 2, 3  # _BLANK: how many of the coming rows give NaN
_RANK, _FRACTION, _SORTED = 4, 5, 6
_FLAT = 320  # up to this window one pass over all is fastest; above it over chunks: at 1,024 rows 94 against 220 ns
_CHUNK, _MARGIN = 64, 65  # numbers of a chunk; room on either side, by which it can move, and a sentinel
_HALF = _CHUNK + 2 * _MARGIN
_RING = 7  # the last rows; for quantiles then two sorted windows between infinities, one of them in force, or chunks


def rolling_rank_state(window: int) -> Floats:
    """State of `rolling_rank`: `7 + window` numbers."""
    window = checked_count("window", window)
    state = np.zeros(_RING + window)
    state[_WINDOW] = window
    state[_BLANK] = window - 1
    return state


def rolling_quantile_state(window: int, q: float) -> Floats:
    """State of `rolling_quantile`: `11 + 3 * window` numbers, about `7 * window` where it is long."""
    if isinstance(q, bool) or not isinstance(q, int | float | np.integer | np.floating):
        raise TypeError(f"q: expected a number, received {q!r}")
    if not 0.0 <= q <= 1.0:
        raise ValueError(f"q: expected 0 to 1, received {q}")
    state = rolling_rank_state(window)
    state[_FRACTION], state[_RANK] = math.modf(float(q) * (window - 1))
    if window > _FLAT:
        return np.concatenate([state, _chunks(window, len(state))])
    state[_SORTED] = len(state)
    ordered = np.concatenate([[-math.inf], np.zeros(window), [math.inf]])
    return np.concatenate([state, ordered, ordered])


def _chunks(window: int, first: int) -> Floats:
    """Fronts, starts and room of the chunks of a window of zeros; the room begins at `first` plus two per chunk."""
    count = -(-window // _CHUNK)
    room = np.zeros((count, 2, _HALF))
    starts = first + 2 * count + 2.0 * _HALF * np.arange(count) + _MARGIN
    room[-1, 0, _MARGIN + window - (count - 1) * _CHUNK :] = math.inf
    return np.concatenate([np.zeros(count), starts, room.ravel()], dtype=np.float64)


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
def _replace(state, source, target, window, leaving, value):  # type: ignore[no-untyped-def]
    """Write the sorted window at `source` to `target`, without one `leaving` and with `value`."""
    for place in range(ONE, window + ONE):
        before = state[source + place - ONE]
        here = state[source + place]
        after = state[source + place + ONE]
        before = before if before < leaving else here
        after = here if here < leaving else after
        upper = value if value < after else after
        state[target + place] = before if before > upper else upper


@inlined
def _rewrite(state, start_at, home, leaving, value):  # type: ignore[no-untyped-def]
    """`_replace` in one chunk, from the half of its room where it is to the middle of the other."""
    chunk = np.uint64(_CHUNK)
    source = np.uint64(int(state[start_at]))
    target = home + np.uint64(_MARGIN)
    target += np.uint64(_HALF) if source < home + np.uint64(_HALF) else np.uint64(0)
    state[source - ONE] = -math.inf
    state[source + chunk] = math.inf
    _replace(state, source - ONE, target - ONE, chunk, leaving, value)
    state[start_at] = target


@inlined
def _replace_in_chunks(state, window, leaving, value):  # type: ignore[no-untyped-def]
    """Take one `leaving` out of its chunk, put `value` into its own, and let one number cross each border between."""
    chunk, half = np.uint64(_CHUNK), np.uint64(_HALF)
    count = (window + chunk - ONE) // chunk
    fronts = np.uint64(_RING) + window
    starts = fronts + count
    rooms = starts + count
    at = 0
    goal = 0
    for place in range(count):
        at += state[fronts + place] <= leaving
        goal += state[fronts + place] <= value
    number = np.uint64(max(at - 1, 0))
    last = np.uint64(max(goal - 1, 0))
    first = number
    up = number < last
    if number > last and value > state[np.uint64(int(state[starts + last])) + chunk - ONE]:
        last += ONE  # above the one that leaves this chunk
    while True:
        if number == last:
            coming = value
        elif up:
            coming = state[fronts + number + ONE]
        else:
            coming = state[np.uint64(int(state[starts + number - ONE])) + chunk - ONE]
        home = rooms + number * (half + half)
        start = np.uint64(int(state[starts + number]))
        offset = start - home
        offset -= half if offset >= half else np.uint64(0)
        if number in (first, last) or offset == ONE or offset == half - chunk - ONE:
            _rewrite(state, starts + number, home, leaving, coming)
        elif up:
            state[start + chunk] = coming
            state[starts + number] += 1.0
        else:
            state[start - ONE] = coming
            state[starts + number] -= 1.0
        state[fronts + number] = state[np.uint64(int(state[starts + number]))]
        if number == last:
            return
        if up:
            number += ONE
            leaving = state[fronts + number]
        else:
            number -= ONE
            leaving = state[np.uint64(int(state[starts + number])) + chunk - ONE]


@inlined
def _in_chunks(state, window, rank):  # type: ignore[no-untyped-def]
    """The number of this rank, from 0."""
    chunk = np.uint64(_CHUNK)
    starts = np.uint64(_RING) + window + (window + chunk - ONE) // chunk
    return state[np.uint64(int(state[starts + rank // chunk])) + rank % chunk]


@inlined
def _between(lower, upper, fraction):  # type: ignore[no-untyped-def]
    """NumPy's interpolation: exact at both ends."""
    span = upper - lower
    return lower + span * fraction if fraction < 0.5 else upper - span * (1.0 - fraction)


@kernel
def rolling_quantile_update(state, x, out):  # type: ignore[no-untyped-def]
    window = np.uint64(state[_WINDOW])
    source = np.uint64(state[_SORTED])
    first = np.uint64(_RING) + window
    both = first + first + window + np.uint64(2)
    lower = ONE + np.uint64(state[_RANK])
    upper = min(lower + ONE, window)
    for row in range(len(x)):
        value, leaving, blank = _take(state, x[row])
        if window > _FLAT:
            _replace_in_chunks(state, window, leaving, value)
            below, above = _in_chunks(state, window, lower - ONE), _in_chunks(state, window, upper - ONE)
        else:
            _replace(state, source, both - source, window, leaving, value)
            source = both - source
            below, above = state[source + lower], state[source + upper]
        found = _between(below, above, state[_FRACTION])
        out[row] = math.nan if blank else found
    state[_SORTED] = source
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
