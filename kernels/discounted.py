"""Discounted sums `u = rest · u₋₁ + x`, of which every recursion in `recursive` and `lines` is made.

Row by row each sum would wait for the one before, a multiplication and an addition. Rows that take part are therefore
cut in groups of eight: in a group, `u = restᵏ · base + partial`, where `base` is the sum at the end of the group before
and `partial` that of the group's own rows, made of pairs, pairs of pairs, and halves. Only `base` goes from group to
group, so the processor works on several groups at once, each in the vectors of `lanes`. Single rows (`advance_sum`) and
whole groups (`group_sums`) do the same operations in the same order.

A NaN or an infinity takes no part: it gives NaN and leaves the state as it was.
"""

import math

import numpy as np

from kernels.arrays import ROWS, Floats, checked_count
from kernels.compilation import inlined, kernel
from kernels.lane_memory import load, store
from kernels.lane_picks import all_finite, shuffle
from kernels.lanes import LANES, UPWARD, WIDTH, last_lanes

REST, WARMUP = 1, 2
_POSITION, _FIRST, _LEAD, _START, _BASE = 3, 4, 5, 6, 7  # _FIRST: where in its group the row after the base stands
_PARTS = 8  # what single rows of a group leave for later ones: the last row, pair and half
_POWERS = 11  # of `rest`, from the first
GROUP = LANES
SUM_SIZE = _POWERS + GROUP


def discounted_state(rest: float, warmup: int, *, lead: int, start: float = 1.0, position: int = 0) -> Floats:
    """State of one discounted sum.

    Args:
        rest: weight of the sum before. warmup: rows until it is told, at least `lead`.
        lead: first rows, which are added up without discount; `start`: what that sum is multiplied with then.
        position: where in its group the row after the lead stands.
    """
    powers = np.cumprod(np.full(GROUP, rest))
    # parts begin at -0.0, the one number of which an addition keeps no trace
    return np.concatenate([[0.0, rest, warmup, position, position, lead, start, 0.0, -0.0, -0.0, -0.0], powers])


def exponential_state(span: int, *, position: int = 0) -> Floats:
    """State of the sum that is `ema` but for its weight: it starts as if the first value had always been there."""
    return discounted_state(1.0 - ema_weight(span), span, lead=1, start=1.0 / ema_weight(span), position=position)


def ema_weight(span: int) -> float:
    """Weight of a row in an exponential moving average."""
    return 2.0 / (checked_count("span", span) + 1.0)


@inlined
def advance_sum(state, value):  # type: ignore[no-untyped-def]
    """Take one row and return the discounted sum, NaN while it warms up."""
    if value - value != 0.0:
        return math.nan
    state[ROWS] += 1.0
    if state[ROWS] <= state[_LEAD]:
        state[_BASE] += value
        if state[ROWS] == state[_LEAD]:
            state[_BASE] *= state[_START]
        return state[_BASE] if state[ROWS] >= state[WARMUP] else math.nan
    place = int(state[_POSITION])
    partial = _add_parts(state, place, value)
    total = state[_POWERS + place - int(state[_FIRST])] * state[_BASE] + partial
    state[_POSITION] += 1.0
    if state[_POSITION] == GROUP:
        end_group(state, total, 0)
    return total if state[ROWS] >= state[WARMUP] else math.nan


@inlined
def _add_parts(state, place, value):  # type: ignore[no-untyped-def]
    """The partial sum at this place of a group, as `_partial_sums` makes it."""
    for level in range(3):
        size = 1 << level
        if place & size:
            value += state[_POWERS + place % size] * state[_PARTS + level]
        else:
            state[_PARTS + level] = value
    return value


@inlined
def begins_group(state, rows):  # type: ignore[no-untyped-def]
    """Whether the next `rows` rows begin with a whole group, and the warm-up is over."""
    return rows >= GROUP and state[_POSITION] == 0.0 and state[ROWS] >= state[WARMUP]


@inlined
def group_base(state):  # type: ignore[no-untyped-def]
    """The sum at the end of the last group, and the powers of `rest`."""
    return state[_BASE], load((state,), np.uint64(_POWERS))[0]


_pair, _pair_of_pairs, _halves = (shuffle(picks) for picks in UPWARD)  # what is before a row, pair or half, or nothing
_first_power = shuffle([0] * 8)
_two_powers = shuffle([0, 0, 0, 1, 0, 0, 0, 1])
_four_powers = shuffle([0, 0, 0, 0, 0, 1, 2, 3])


@inlined
def _partial_sums(powers, values):  # type: ignore[no-untyped-def]
    """Discounted sums of the rows of a group alone."""
    values = values + _first_power(powers, powers) * _pair(values, -0.0)
    values = values + _two_powers(powers, powers) * _pair_of_pairs(values, -0.0)
    return values + _four_powers(powers, powers) * _halves(values, -0.0)


@inlined
def group_sums(base, powers, values):  # type: ignore[no-untyped-def]
    """The sums of a group as lanes, and the last of them, which is the next base."""
    partial = _partial_sums(powers, values)
    # the last one by itself: the next group waits for it, and taking it out of a vector takes time
    last_power, last = last_lanes((powers, partial))
    return powers * base + partial, last_power * base + last


@inlined
def end_group(state, total, rows):  # type: ignore[no-untyped-def]
    """Take `total` for the sum at the end of a group, `rows` after the last that were counted."""
    state[ROWS] += rows
    state[_POSITION] = state[_FIRST] = 0.0
    state[_BASE] = total
    state[_PARTS] = state[_PARTS + 1] = state[_PARTS + 2] = -0.0


@kernel
def _whole_groups(state, x, out, weight):  # type: ignore[no-untyped-def]
    """Take the whole groups before the first that holds a row without part; return how many rows that was."""
    base, powers = group_base(state)
    row = np.uint64(0)
    while row + WIDTH <= np.uint64(len(x)):
        values = load((x,), row)
        if not all_finite(values):
            break
        sums, base = group_sums(base, powers, values[0])
        store((out,), row, (weight * sums,))
        row += WIDTH
    end_group(state, base, row)
    return int(row)


@inlined
def update_sum(state, x, out, weight):  # type: ignore[no-untyped-def]
    """Take rows and write `weight` times the discounted sum at each; `out` may be `x`."""
    row = 0
    while row < len(x):
        if begins_group(state, len(x) - row):
            row += _whole_groups(state, x[row:], out[row:], weight)
        if row < len(x):
            out[row] = weight * advance_sum(state, x[row])
            row += 1
