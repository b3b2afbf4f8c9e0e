"""Sums of first and second powers over the last `window` rows: the ground of `rolling`.

Absolute row numbers are cut into blocks of `window` rows. A window that ends in a block is a tail of the block before
plus a head of its own, so its sum is `tails[position + 1] + head`: nothing is ever subtracted, hence no drift, and a
value that has left the window leaves no trace. Sums are taken of `x - anchor`, where the anchor is the first row of
the block: it lies in every window that ends there, so a constant window has exactly zero variance and 1e9 + noise
loses nothing. All of it depends on the absolute row number alone, so any cut of the rows gives the same bits.

Rows come one by one (`advance_moments`), as part of a block (`part_of_block`), or block by block where a whole block
and the row after it are at hand (`sum_blocks`): there the heads of a block and the tails for the next one are two
chains that the processor runs side by side. All do the same additions in the same order.
"""

import math

import numpy as np

from kernels.arrays import ROWS, Floats, checked_count
from kernels.compilation import ONE, kernel

WINDOW, POSITION, KIND = 1, 2, 3  # what is made of the sums is `rolling`'s to say
_ANCHOR, _HEAD1, _HEAD2 = 4, 5, 6
_RING = 7  # the values of the block under way, then the tails of first and second powers
TILE = 512  # rows whose sums are made before anything is made of them: small blocks share one vector loop
FEW = 4  # rows of a block below which they come one by one


def sums_state(window: int) -> Floats:
    """State of every statistic that is built on first and second powers: `9 + 3 * window` numbers."""
    window = checked_count("window", window)
    state = np.zeros(_RING + window + 2 * (window + 1))
    state[WINDOW] = window
    return state


@kernel
def _take_tails(block, anchor, tails1, tails2):  # type: ignore[no-untyped-def]
    tail1 = 0.0
    tail2 = 0.0
    for row in range(len(block) - 1, 0, -1):
        deviation = block[row] - anchor
        tail1 += deviation
        tail2 += deviation * deviation
        tails1[row] = tail1
        tails2[row] = tail2


@kernel
def _begin_block(state, value):  # type: ignore[no-untyped-def]
    tails1 = _RING + int(state[WINDOW])
    tails2 = tails1 + int(state[WINDOW]) + 1
    if state[ROWS] > 0.0:
        _take_tails(state[_RING:tails1], value, state[tails1:tails2], state[tails2:])
    state[_ANCHOR] = value
    state[_HEAD1] = 0.0
    state[_HEAD2] = 0.0


@kernel
def advance_moments(state, value):  # type: ignore[no-untyped-def]
    """Take one row; return (anchor, sum of x - anchor, sum of (x - anchor)²) over the window, NaN while it fills."""
    window = int(state[WINDOW])
    position = int(state[POSITION])
    tails1 = _RING + window
    tails2 = tails1 + window + 1
    if position == 0:
        _begin_block(state, value)
    anchor = state[_ANCHOR]
    deviation = value - anchor
    state[_HEAD1] += deviation
    state[_HEAD2] += deviation * deviation
    state[_RING + position] = value
    state[POSITION] = 0.0 if position + 1 == window else position + 1.0
    state[ROWS] += 1.0
    if state[ROWS] < window:
        return anchor, math.nan, math.nan
    return anchor, state[tails1 + position + 1] + state[_HEAD1], state[tails2 + position + 1] + state[_HEAD2]


@kernel
def _two_powers(block, ahead, tails, coming, anchors, sums1, sums2):  # type: ignore[no-untyped-def]
    """Both sums of the windows that end in a block, and its tails for the next one, which begins with `ahead`."""
    anchor = block[0]
    head1 = head2 = tail1 = tail2 = 0.0
    last = np.uint64(len(block)) - ONE
    for position in range(last + ONE):
        anchors[position] = anchor
        deviation = block[position] - anchor
        head1 += deviation
        head2 += deviation * deviation
        sums1[position] = tails[0, position + ONE] + head1
        sums2[position] = tails[1, position + ONE] + head2
        mirror = last - position
        deviation = block[mirror] - ahead
        tail1 += deviation
        tail2 += deviation * deviation
        coming[0, mirror] = tail1
        coming[1, mirror] = tail2


@kernel
def _first_power(block, ahead, tails, coming, sums1):  # type: ignore[no-untyped-def]
    """`_two_powers` without the second."""
    anchor = block[0]
    head1 = tail1 = 0.0
    last = np.uint64(len(block)) - ONE
    for position in range(last + ONE):
        head1 += block[position] - anchor
        sums1[position] = tails[0, position + ONE] + head1
        mirror = last - position
        tail1 += block[mirror] - ahead
        coming[0, mirror] = tail1


@kernel
def _first_power_twice(x, window, tails, coming, sums1):  # type: ignore[no-untyped-def]
    """`_first_power` of two blocks and one row: four chains side by side hide more of what an addition takes."""
    before, between, behind = tails[0], coming[1], coming[0]  # the second row has no other use here
    anchor, second_anchor, ahead = x[0], x[window], x[2 * window]
    head1 = head2 = tail1 = tail2 = 0.0
    width = np.uint64(window)
    for position in range(width):
        second = width + position
        head1 += x[position] - anchor
        head2 += x[second] - second_anchor
        sums1[position] = before[position + ONE] + head1
        sums1[second] = head2
        mirror = width - ONE - position
        tail1 += x[mirror] - second_anchor
        tail2 += x[width + mirror] - ahead
        between[mirror] = tail1
        behind[mirror] = tail2
    for position in range(width):
        sums1[width + position] = between[position + ONE] + sums1[width + position]


@kernel
def sum_blocks(x, window, both, tails, coming, anchors, sums1, sums2):  # type: ignore[no-untyped-def]
    """Sums of whole blocks and one row after them; return the tails that go on, and room for the next."""
    first = 0
    while first < len(x) - 1:
        blocks = 1 if both or first + 2 * window >= len(x) else 2
        part = slice(first, first + window)
        if both:
            _two_powers(x[part], x[first + window], tails, coming, anchors[part], sums1[part], sums2[part])
        elif blocks == 2:
            _first_power_twice(x[first:], window, tails, coming, sums1[first:])
            anchors[part] = x[first]
            anchors[first + window : first + 2 * window] = x[first + window]
        else:
            _first_power(x[part], x[first + window], tails, coming, sums1[part])
            anchors[part] = x[first]
        tails, coming = coming, tails
        first += blocks * window
    return tails, coming


@kernel
def known_tails(state, value, tails):  # type: ignore[no-untyped-def]
    """Start with the tails of the block that came with earlier calls, as seen from `value`; NaN before the first."""
    window = int(state[WINDOW])
    if state[ROWS] > 0.0:
        _take_tails(state[_RING : _RING + window], value, tails[0], tails[1])
    else:
        tails[:, 1:window] = math.nan


@kernel
def keep_block(state, x, rows):  # type: ignore[no-untyped-def]
    """Remember the last of whole blocks that hold `rows` rows in all."""
    window = int(state[WINDOW])
    for step in range(window):  # a loop: assigning a slice to a slice costs a second of compilation
        state[_RING + step] = x[rows - window + step]
    state[ROWS] += rows
    return rows


@kernel
def part_of_block(state, x, sums1, sums2):  # type: ignore[no-untyped-def]
    """Take rows that lie in one block and write the two sums of each window; NaN while the first one fills."""
    window = int(state[WINDOW])
    position = int(state[POSITION])
    if position == 0:
        _begin_block(state, x[0])
    values = state[_RING + position :]
    tails1 = state[_RING + window + position + 1 :]
    tails2 = state[_RING + 2 * window + position + 2 :]
    anchor, head1, head2 = state[_ANCHOR], state[_HEAD1], state[_HEAD2]
    for row in range(np.uint64(len(x))):
        values[row] = x[row]
        deviation = x[row] - anchor
        head1 += deviation
        head2 += deviation * deviation
        sums1[row] = tails1[row] + head1
        sums2[row] = tails2[row] + head2
    state[_HEAD1], state[_HEAD2] = head1, head2
    filling = max(window - 1 - int(state[ROWS]), 0)
    sums1[:filling] = math.nan
    state[POSITION] = (position + len(x)) % window
    state[ROWS] += len(x)
    return anchor
