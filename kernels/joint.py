"""Sums over the last `window` rows of powers of one series, or of products of two: the ground of `moments` and
`regression`.

Made as `rolling` makes its sums: blocks of `window` rows, a window being the tail of a block and the head of the next,
and deviations from the first row of the block that the window ends in. Nothing is ever subtracted, and any cut of the
rows gives the same bits.
"""

import math

import numpy as np

from kernels.arrays import ROWS, Floats, checked_count
from kernels.compilation import kernel

WINDOW = 1
_POSITION, _ANCHORS, _HEADS, ROOM = 2, 3, 5, 10
COLUMNS = 6  # five sums and a second series, for each row of a piece
_RINGS = ROOM + COLUMNS


def joint_state(window: int, *, least: int) -> Floats:
    """State of five running sums: `23 + 7 * window` numbers."""
    window = checked_count("window", window, least=least)
    state = np.zeros(_RINGS + 2 * window + 5 * (window + 1))
    state[WINDOW] = window
    tails = state[_RINGS + 2 * window :].reshape(5, window + 1)
    tails[:, 1:window] = math.nan  # before the first row there is nothing that a window could hold
    return state


@kernel
def terms(left, right, powers):  # type: ignore[no-untyped-def]
    """What is summed of two deviations: powers one to four of the left, or both, their squares and their product."""
    if powers:
        square = left * left
        return left, square, square * left, square * square, 0.0
    return left, right, left * left, right * right, left * right


@kernel
def _take_tails(state, powers):  # type: ignore[no-untyped-def]
    window = int(state[WINDOW])
    lefts, rights = state[_RINGS : _RINGS + window], state[_RINGS + window : _RINGS + 2 * window]
    tails = state[_RINGS + 2 * window :].reshape(5, window + 1)
    left, right = state[_ANCHORS], state[_ANCHORS + 1]
    sum0 = sum1 = sum2 = sum3 = sum4 = 0.0
    for row in range(window - 1, 0, -1):
        term = terms(lefts[row] - left, rights[row] - right, powers)
        sum0 += term[0]
        sum1 += term[1]
        sum2 += term[2]
        sum3 += term[3]
        sum4 += term[4]
        tails[0, row], tails[1, row], tails[2, row], tails[3, row], tails[4, row] = sum0, sum1, sum2, sum3, sum4


@kernel
def _add_heads(state, x, y, powers, tails, sums):  # type: ignore[no-untyped-def]
    left, right = state[_ANCHORS], state[_ANCHORS + 1]
    head0, head1, head2, head3, head4 = state[_HEADS : _HEADS + 5]
    for row in range(np.uint64(len(x))):
        term = terms(x[row] - left, y[row] - right, powers)
        head0 += term[0]
        head1 += term[1]
        head2 += term[2]
        head3 += term[3]
        head4 += term[4]
        sums[0, row] = tails[0, row] + head0
        sums[1, row] = tails[1, row] + head1
        sums[2, row] = tails[2, row] + head2
        sums[3, row] = tails[3, row] + head3
        sums[4, row] = tails[4, row] + head4
    state[_HEADS], state[_HEADS + 1], state[_HEADS + 2] = head0, head1, head2
    state[_HEADS + 3], state[_HEADS + 4] = head3, head4


@kernel
def left_in_block(state, rows):  # type: ignore[no-untyped-def]
    """How many of the next `rows` rows lie in the block under way."""
    return min(int(state[WINDOW]) - int(state[_POSITION]), rows)


@kernel
def sum_rows(state, x, y, powers, sums):  # type: ignore[no-untyped-def]
    """Take rows of one block and write the five sums of each window, NaN while the first fills; return the anchors."""
    window = int(state[WINDOW])
    position = int(state[_POSITION])
    if position == 0:
        state[_ANCHORS], state[_ANCHORS + 1] = x[0], y[0]
        if state[ROWS] > 0.0:
            _take_tails(state, powers)
        state[_HEADS : _HEADS + 5] = 0.0
    tails = state[_RINGS + 2 * window :].reshape(5, window + 1)
    _add_heads(state, x, y, powers, tails[:, position + 1 :], sums)
    start = _RINGS + position
    for row in range(np.uint64(len(x))):
        state[np.uint64(start) + row] = x[row]
        state[np.uint64(start + window) + row] = y[row]
    state[_POSITION] = (position + len(x)) % window
    state[ROWS] += len(x)
    return state[_ANCHORS], state[_ANCHORS + 1]
