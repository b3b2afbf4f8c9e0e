"""Smallest and largest of the last `window` rows, by the heads and tails of blocks (van Herk, Gil and Werman).

Absolute row numbers are cut into blocks of `window` rows: a window that ends in a block is a tail of the block before
plus a head of its own. The cost does not depend on the window. As in `rolling`, rows come one by one, or block by
block where a whole block is at hand, with the same results. NaN wins every comparison, so a window that holds one
gives NaN; infinities are ordinary values.
"""

import math

import numpy as np

from kernels.arrays import ROWS, Floats, checked_count, run
from kernels.compilation import ONE, kernel

_WINDOW, _POSITION, _HEAD = 1, 2, 3
_RING = 4  # the values of the block under way, then the tails


def extremum_state(window: int) -> Floats:
    """State of rolling minimum and maximum: `5 + 2 * window` numbers."""
    window = checked_count("window", window)
    state = np.zeros(_RING + 2 * window + 1)
    state[_WINDOW] = window
    return state


rolling_min_state = rolling_max_state = extremum_state


@kernel
def _larger(left, right):  # type: ignore[no-untyped-def]
    return left if left > right or left != left else right


@kernel
def _take_tails(block, tails):  # type: ignore[no-untyped-def]
    tail = block[len(block) - 1]
    for row in range(len(block) - 1, 0, -1):
        tail = _larger(tail, block[row])
        tails[row] = tail


@kernel
def advance_maximum(state, value):  # type: ignore[no-untyped-def]
    """Take one row and return the maximum of the window, NaN while it fills."""
    window = int(state[_WINDOW])
    position = int(state[_POSITION])
    tails = _RING + window
    if position == 0 and state[ROWS] > 0.0:
        _take_tails(state[_RING:tails], state[tails:])
    head = value if position == 0 else _larger(state[_HEAD], value)
    state[_HEAD] = head
    state[_RING + position] = value
    state[_POSITION] = 0.0 if position + 1 == window else position + 1.0
    state[ROWS] += 1.0
    if state[ROWS] < window:
        return math.nan
    return head if position + 1 == window else _larger(state[tails + position + 1], head)


@kernel
def _whole_blocks(state, x, out, sign):  # type: ignore[no-untyped-def]
    """Take as many whole blocks as have a row after them, and return how many rows that was."""
    window = np.uint64(state[_WINDOW])
    tails = np.empty(int(window) + 1)
    coming = np.empty(int(window) + 1)
    values = np.empty(int(window))
    if state[ROWS] > 0.0:
        _take_tails(state[_RING : _RING + int(window)], tails)
    blocks = (np.uint64(len(x)) - ONE) // window
    for block in range(blocks):
        first = block * window
        whole = True
        for position in range(window):
            values[position] = sign * x[first + position]
            whole &= values[position] == values[position]
        if whole:
            head = values[0]
            tail = values[window - ONE]
            for position in range(window):
                value = values[position]
                head = head if head > value else value
                out[first + position] = head
                mirror = window - ONE - position
                value = values[mirror]
                tail = tail if tail > value else value
                coming[mirror] = tail
        else:
            head = values[0]
            for position in range(window):
                head = _larger(head, values[position])
                out[first + position] = head
            _take_tails(values, coming)
        if block > 0 or state[ROWS] > 0.0:
            for position in range(window - ONE):
                out[first + position] = sign * _larger(tails[position + ONE], out[first + position])
            out[first + window - ONE] *= sign
        else:
            out[: window - ONE] = math.nan
            out[window - ONE] *= sign
        tails, coming = coming, tails
    rows = int(blocks * window)
    for position in range(int(window)):
        state[_RING + position] = sign * x[rows - int(window) + position]
    state[ROWS] += rows
    return rows


@kernel
def _update(state, x, out, sign):  # type: ignore[no-untyped-def]
    window = int(state[_WINDOW])
    row = 0
    while row < len(x):
        if state[_POSITION] == 0.0 and len(x) - row > window:
            row += _whole_blocks(state, x[row:], out[row:], sign)
        out[row] = sign * advance_maximum(state, sign * x[row])
        row += 1


@kernel
def rolling_max_update(state, x, out):  # type: ignore[no-untyped-def]
    _update(state, x, out, 1.0)


@kernel
def rolling_min_update(state, x, out):  # type: ignore[no-untyped-def]
    _update(state, x, out, -1.0)


def rolling_min(x: Floats, window: int, out: Floats | None = None) -> Floats:
    """Smallest of the last `window` rows; NaN where the window holds a NaN, infinities are ordinary values.

    Arguments and errors as in `rolling.rolling_sum`; the unit of `x`.
    """
    return run(rolling_min_update, rolling_min_state(window), {"x": x}, out)


def rolling_max(x: Floats, window: int, out: Floats | None = None) -> Floats:
    """Largest of the last `window` rows; NaN where the window holds a NaN, infinities are ordinary values.

    Arguments and errors as in `rolling.rolling_sum`; the unit of `x`.
    """
    return run(rolling_max_update, rolling_max_state(window), {"x": x}, out)
