"""Sums and maxima of the last `window` rows without subtraction: the ground of all rolling statistics that have such.

Absolute row numbers are cut into blocks of `window` rows. A window that ends in a block is a tail of the block before
plus a head of its own (van Herk, Gil and Werman), so it is folded from `tails[position]` and the head: nothing is ever
subtracted, hence no drift, and a value that has left the window leaves no trace. What is summed are terms of deviations
from an anchor, the first row of the block: it lies in every window that ends there, so a constant window has exactly
zero variance and 1e9 + noise loses nothing. All of it depends on the absolute row number alone, so any cut of the rows
gives the same bits.

A block is taken in groups of eight rows, each group by the vectors of `lanes`. A head is made of the groups before and
of the lanes up to the row; tails are made the same way from the end of a block when the next one begins, for only then
its anchor is known. A single row runs the code of a group in which other rows have not come yet, or came before: there
is no other form.

A family of kernels says with functions what is folded, and what is made of it:

    terms(values, anchors, place) -> lanes of each term; `place` is the row's position in the block that the window
        ends in, negative for rows of the block before
    fold -> `lanes.SUM` or `lanes.MAXIMUM`; `nothing` is what a fold of no rows gives, a number for each term
    finish(kind, folded, values, anchors, place, window) -> lanes of each output
"""

import math

import numpy as np

from kernels.arrays import ROWS, Floats, checked_count
from kernels.compilation import inlined
from kernels.lane_memory import (
    load,
    load_columns,
    load_first,
    load_first_of_columns,
    numbers_at,
    put_numbers,
    row_of,
    store,
    store_between,
    store_columns,
)
from kernels.lanes import (
    LANES,
    SUM,
    WIDTH,
    Fold,
    first_lanes,
    join,
    lanes_after,
    last_lanes,
    places,
    running_down,
    running_up,
)

WINDOW, POSITION, KIND = 1, 2, 3
_ANCHORS = 4  # of each input, then the heads of each term, the rows of the block under way, the tails


def fold_state(
    window: int, *, inputs: int = 1, terms: int = 1, fold: Fold = SUM, kind: float = 0.0, least: int = 1
) -> Floats:
    """State of so many folds over so many inputs, about `(inputs + terms) * window` numbers.

    Args:
        kind: what `finish` is told. least: the smallest window.
    """
    window = checked_count("window", window, least=least)
    state = np.zeros(_ANCHORS + (inputs + terms) * (1 + _room(window)))
    state[WINDOW], state[KIND] = window, kind
    tails = state[len(state) - terms * _room(window) :].reshape(terms, _room(window))
    tails[:, : window - 1] = math.nan  # no window is full before the first block is
    tails[:, window - 1] = fold.neutral
    return state


def _room(window: int) -> int:
    """Rows of a column in the state: whole groups."""
    return -(-window // LANES) * LANES


@inlined
def _layout(state, inputs, nothing):  # type: ignore[no-untyped-def]
    """(rows of a column in the state, where the rings begin, where the tails)."""
    room = (np.uint64(state[WINDOW]) + np.uint64(LANES - 1)) // WIDTH * WIDTH
    rings = np.uint64(_ANCHORS + len(inputs) + len(nothing))
    return room, rings, rings + np.uint64(len(inputs)) * room


@inlined
def _from_inputs(state, inputs, nothing, first, count, rest):  # type: ignore[no-untyped-def]
    """Up to eight rows of the inputs; `rest` where there are fewer."""
    return load(inputs, first) if count >= WIDTH else load_first(inputs, first, count, rest)


@inlined
def _from_rings(state, inputs, nothing, first, count, rest):  # type: ignore[no-untyped-def]
    """Up to eight rows of the rings; `rest` where there are fewer."""
    room, rings, _ = _layout(state, inputs, nothing)
    return load_first_of_columns(state, rings + first, room, count, rest)


@inlined
def _take_tails(state, inputs, nothing, terms, fold, rows_from, first):  # type: ignore[no-untyped-def]
    """Fold the block whose first row is `first` from its end: what lies after each position."""
    window = np.uint64(state[WINDOW])
    room, _, tails = _layout(state, inputs, nothing)
    anchors = numbers_at(state, np.uint64(_ANCHORS), row_of(inputs, np.uint64(0)))
    behind = nothing
    group = room
    while group > 0:
        group -= WIDTH
        rows = rows_from(state, inputs, nothing, first + group, window - group, anchors)
        running = running_down(fold, terms(rows, anchors, places(float(group)) - state[WINDOW]))
        store_columns(state, tails + group, room, join(fold, lanes_after(fold, running), behind))
        behind = join(fold, behind, first_lanes(running))


@inlined
def _begin_block(state, inputs, nothing, terms, fold, row, is_behind):  # type: ignore[no-untyped-def]
    """Take the anchors of the block that begins with `row`; the block before it lies in the inputs, or in the rings."""
    put_numbers(state, np.uint64(_ANCHORS), row_of(inputs, row))
    put_numbers(state, np.uint64(_ANCHORS + len(inputs)), nothing)
    if is_behind:
        _take_tails(state, inputs, nothing, terms, fold, _from_inputs, row - np.uint64(state[WINDOW]))
    elif state[ROWS] > 0.0 or row > 0:
        _take_tails(state, inputs, nothing, terms, fold, _from_rings, np.uint64(0))


@inlined
def _keep(state, inputs, nothing, position, row, count):  # type: ignore[no-untyped-def]
    """Write rows of one block to the rings."""
    room, ring, _ = _layout(state, inputs, nothing)
    for values in inputs:
        for step in range(count):
            state[ring + position + step] = values[row + step]
        ring += room


@inlined
def _take_rows(state, inputs, outs, nothing, terms, fold, finish, position, row, count):  # type: ignore[no-untyped-def]
    """Take rows of one block, which the rings hold already where they do not begin with a group."""
    room, _, tails = _layout(state, inputs, nothing)
    kind, width = state[KIND], state[WINDOW]
    anchors = numbers_at(state, np.uint64(_ANCHORS), row_of(inputs, np.uint64(0)))
    at_heads = np.uint64(_ANCHORS + len(inputs))
    heads = numbers_at(state, at_heads, nothing)
    end = position + count
    origin = row - position  # where position 0 is, or would be, in the inputs
    group = position // WIDTH * WIDTH
    while group < end:
        there = end - group
        if group < position:
            values = _from_rings(state, inputs, nothing, group, there, anchors)
        else:
            values = _from_inputs(state, inputs, nothing, origin + group, there, anchors)
        place = places(float(group))
        running = running_up(fold, terms(values, anchors, place))
        folded = join(fold, load_columns(state, tails + group, room, nothing), join(fold, running, heads))
        made = finish(kind, folded, values, anchors, place, width)
        if group < position or there < WIDTH:
            begin = position - group if group < position else np.uint64(0)
            store_between(outs, origin + group, begin, min(there, WIDTH), made)
        else:
            store(outs, origin + group, made)
        if there >= WIDTH:
            heads = join(fold, heads, last_lanes(running))
        group += WIDTH
    put_numbers(state, at_heads, heads)


@inlined
def fold_windows(state, inputs, outs, nothing, terms, fold, finish):  # type: ignore[no-untyped-def]
    """Take rows: `inputs` and `outs` are tuples of vectors, which may not overlap."""
    window, rows = np.uint64(state[WINDOW]), np.uint64(len(inputs[0]))
    row = np.uint64(0)
    is_behind = False
    while row < rows:
        position = np.uint64(state[POSITION])
        count = min(window - position, rows - row)
        if position == 0:
            _begin_block(state, inputs, nothing, terms, fold, row, is_behind)
        is_behind = count == window
        if not is_behind:
            _keep(state, inputs, nothing, position, row, count)
        _take_rows(state, inputs, outs, nothing, terms, fold, finish, position, row, count)
        row += count
        state[POSITION] = 0.0 if position + count == window else float(position + count)
    if rows >= window:  # a block taken whole is not in the rings yet
        position = np.uint64(state[POSITION])
        _keep(state, inputs, nothing, np.uint64(0), rows - position, position)
        _keep(state, inputs, nothing, position, rows - window, window - position)
    state[ROWS] += float(rows)
