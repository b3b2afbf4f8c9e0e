"""Discounted sums `u = rest · u₋₁ + x`, of which every recursion in `recursive` and `lines` is made.

Row by row each sum would wait for the one before, a multiplication and an addition. Rows that take part are therefore
cut in groups of four: in a group, `u = restᵏ · base + partial`, where `base` is the sum at the end of the group before
and `partial` that of the group's own rows. Only `base` goes from group to group, so the processor works on several
groups at once. Single rows (`advance_sum`) and whole groups (`group_sums`) do the same operations in the same order.

A NaN or an infinity takes no part: it gives NaN and leaves the state as it was.
"""

import math

import numpy as np

from kernels.arrays import ROWS, Floats, checked_count
from kernels.compilation import ONE, kernel

REST, WARMUP = 1, 2
_POSITION, _LEAD, _START, _BASE, _PARTIAL, _FACTOR = 3, 4, 5, 6, 7, 8
SUM_SIZE = 9
GROUP = 4
TWO, THREE, FOUR = np.uint64(2), np.uint64(3), np.uint64(GROUP)


def discounted_state(rest: float, warmup: int, *, lead: int, start: float = 1.0, position: int = 0) -> Floats:
    """State of one discounted sum.

    Args:
        rest: weight of the sum before. warmup: rows until it is told, at least `lead`.
        lead: first rows, which are added up without discount; `start`: what that sum is multiplied with then.
        position: where in its group the row after the lead stands.
    """
    # a partial sum begins at -0.0, the one number of which an addition keeps no trace
    return np.array([0.0, rest, warmup, position, lead, start, 0.0, -0.0, 1.0])


def exponential_state(span: int, *, position: int = 0) -> Floats:
    """State of the sum that is `ema` but for its weight: it starts as if the first value had always been there."""
    return discounted_state(1.0 - ema_weight(span), span, lead=1, start=1.0 / ema_weight(span), position=position)


def ema_weight(span: int) -> float:
    """Weight of a row in an exponential moving average."""
    return 2.0 / (checked_count("span", span) + 1.0)


@kernel
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
    state[_PARTIAL] = state[REST] * state[_PARTIAL] + value
    state[_FACTOR] *= state[REST]
    state[_POSITION] += 1.0
    total = state[_FACTOR] * state[_BASE] + state[_PARTIAL]
    if state[_POSITION] == GROUP:
        end_group(state, total, 0)
    return total if state[ROWS] >= state[WARMUP] else math.nan


@kernel
def begins_group(state, rows):  # type: ignore[no-untyped-def]
    """Whether the next `rows` rows begin with a whole group, and the warm-up is over."""
    return rows >= GROUP and state[_POSITION] == 0.0 and state[ROWS] >= state[WARMUP]


@kernel
def group_base(state):  # type: ignore[no-untyped-def]
    """The sum at the end of the last group, and the first four powers of `rest`."""
    rest = state[REST]
    return state[_BASE], (rest, rest * rest, rest * rest * rest, rest * rest * rest * rest)


@kernel
def group_sums(base, powers, x0, x1, x2, x3):  # type: ignore[no-untyped-def]
    """The four sums of a group, then the last partial one: not finite where a value of the group is not."""
    partial1 = powers[0] * x0 + x1
    partial2 = powers[0] * partial1 + x2
    partial3 = powers[0] * partial2 + x3
    sums = powers[0] * base + x0, powers[1] * base + partial1, powers[2] * base + partial2, powers[3] * base + partial3
    return sums, partial3


@kernel
def end_group(state, total, rows):  # type: ignore[no-untyped-def]
    """Take `total` for the sum at the end of a group, `rows` after the last that were counted."""
    state[ROWS] += rows
    state[_POSITION] = 0.0
    state[_BASE] = total
    state[_PARTIAL] = -0.0
    state[_FACTOR] = 1.0


@kernel
def _whole_groups(state, x, out, weight):  # type: ignore[no-untyped-def]
    """Take the whole groups before the first that holds a row without part; return how many rows that was."""
    base, powers = group_base(state)
    row = np.uint64(0)
    while row + FOUR <= np.uint64(len(x)):
        sums, check = group_sums(base, powers, x[row], x[row + ONE], x[row + TWO], x[row + THREE])
        if check - check != 0.0:
            break
        base = sums[3]
        out[row] = weight * sums[0]
        out[row + ONE] = weight * sums[1]
        out[row + TWO] = weight * sums[2]
        out[row + THREE] = weight * sums[3]
        row += FOUR
    end_group(state, base, row)
    return int(row)


@kernel
def update_sum(state, x, out, weight):  # type: ignore[no-untyped-def]
    """Take rows and write `weight` times the discounted sum at each; `out` may be `x`."""
    row = 0
    while row < len(x):
        if begins_group(state, len(x) - row):
            row += _whole_groups(state, x[row:], out[row:], weight)
        if row < len(x):
            out[row] = weight * advance_sum(state, x[row])
            row += 1
