"""The last rows in order: a window in which a number takes the place of another.

A number is taken out of a sorted row, or put into it, in one pass of vectors without a search or a branch: what a
processor guesses wrong costs more than moving 64 numbers. A short window is one row; infinities follow it. A long one
is cut into chunks of up to 64 numbers, each with infinities after them, and the first numbers of all chunks say which
one a number belongs to. A full chunk is split in two; an empty one is joined with a neighbour, and so are two that fill
no more than half a chunk together, so that the number of chunks is bounded.

The chunks are a part of a kernel's state, from `first` on: how many are in use; then in their order, free ones last,
their first numbers, where they stand in the state, and, after a number that stands for none, their sizes; then the room
of all.
"""

import math

import numpy as np

from kernels.arrays import Floats
from kernels.compilation import ONE, inlined
from kernels.lane_memory import load_columns, store_columns
from kernels.lane_picks import after_each, before_each, how_many, in_each
from kernels.lanes import LANES, WIDTH, where

_CHUNK = 64
_VECTORS = _CHUNK // LANES
_HALF = np.uint64(_CHUNK // 2)


def sorted_zeros(window: int, first: int) -> Floats:
    """A sorted window of zeros, for a state in which it begins at `first`."""
    most, used = int(_most_chunks(window)), -(-window // int(_HALF))
    is_used = np.arange(most) < used
    held = np.array([len(part) for part in np.array_split(np.zeros(window), used)] + [0] * (most - used))
    fronts = np.where(is_used, 0.0, math.inf)
    starts = first + 2.0 + 3 * most + _CHUNK * np.arange(most)
    sizes = np.where(is_used, held, _CHUNK)  # nothing joins what is not there
    rooms = np.where(np.arange(_CHUNK) < held[:, None], 0.0, math.inf)
    return np.concatenate([[used], fronts, starts, [_CHUNK], sizes, rooms.ravel()])


@inlined
def _most_chunks(window):  # type: ignore[no-untyped-def]
    """How many chunks there can be, in whole vectors: any two neighbours fill more than half a chunk."""
    return (np.uint64(2) * (np.uint64(window) // _HALF) + np.uint64(3 + LANES - 1)) // WIDTH * WIDTH


@inlined
def _load(state, place):  # type: ignore[no-untyped-def]
    return load_columns(state, place, WIDTH, (0.0,))


@inlined
def _store(state, place, bundle):  # type: ignore[no-untyped-def]
    store_columns(state, place, WIDTH, bundle)


@inlined
def _columns(window, first):  # type: ignore[no-untyped-def]
    """Where the first numbers, starts and sizes of chunks begin in the state."""
    most = _most_chunks(window)
    return first + ONE, first + ONE + most, first + np.uint64(2) + most + most


@inlined
def _chunk_of(state, first, value):  # type: ignore[no-untyped-def]
    """The last chunk that begins with no larger number, or the first one."""
    upto = np.uint64(0)
    for group in range(np.uint64(0), np.uint64(state[first]), WIDTH):
        (fronts,) = _load(state, first + ONE + group)
        upto += how_many(value >= fronts)
    return upto - ONE if upto > 0 else upto


@inlined
def _close_gap(state, start, value):  # type: ignore[no-untyped-def]
    """Take `value` out of the chunk at `start`: from it on, each number is replaced by the next."""
    (here,) = _load(state, start)
    for vector in range(_VECTORS):
        place = start + np.uint64(vector) * WIDTH
        further = _load(state, place + WIDTH)[0] if vector < _VECTORS - 1 else in_each(math.inf)
        _store(state, place, (where(here < value, here, after_each(here, further)),))
        here = further


@inlined
def _make_gap(state, start, value):  # type: ignore[no-untyped-def]
    """Put `value` into the chunk at `start`: from its place on, each number is replaced by the one before."""
    before = in_each(-math.inf)
    for vector in range(_VECTORS):
        place = start + np.uint64(vector) * WIDTH
        (here,) = _load(state, place)
        lower, moved = where(here < value, here, value), before_each(here, before)
        _store(state, place, (where(moved > lower, moved, lower),))
        before = here


def sorted_row_of_zeros(window: int) -> Floats:
    """A sorted window of zeros in one row, for `replace`: infinities follow it, more than a vector of them."""
    row = np.full((window // LANES + 2) * LANES, math.inf)
    row[:window] = 0.0
    return row


@inlined
def replace(state, window, first, leaving, value):  # type: ignore[no-untyped-def]
    """Put `value` in the place of `leaving` in a window of one row, as if by `_close_gap` and `_make_gap`."""
    before = in_each(-math.inf)
    (here,) = _load(state, first)
    for place in range(first, first + window, WIDTH):
        (further,) = _load(state, place + WIDTH)
        closed = where(here < leaving, here, after_each(here, further))
        lower, moved = where(closed < value, closed, value), before_each(closed, before)
        _store(state, place, (where(moved > lower, moved, lower),))
        before, here = closed, further


@inlined
def join(state, window, first, chunk):  # type: ignore[no-untyped-def]
    """Append a thin chunk's smaller neighbour to it, or it to that; the room of the later one is free then."""
    fronts, starts, sizes = _columns(window, first)
    if state[sizes + chunk - ONE] < state[sizes + chunk + ONE]:
        chunk -= ONE
    target = np.uint64(state[starts + chunk]) + np.uint64(state[sizes + chunk])
    source = np.uint64(state[starts + chunk + ONE])
    for place in range(np.uint64(state[sizes + chunk + ONE])):
        state[target + place] = state[source + place]
        state[source + place] = math.inf
    state[sizes + chunk] += state[sizes + chunk + ONE]
    state[fronts + chunk] = state[np.uint64(state[starts + chunk])]
    state[first] -= 1.0
    last = np.uint64(state[first])
    for column in (fronts, starts, sizes):
        for place in range(column + chunk + ONE, column + last):
            state[place] = state[place + ONE]
    state[fronts + last], state[starts + last], state[sizes + last] = math.inf, float(source), float(_CHUNK)


@inlined
def split(state, window, first, chunk):  # type: ignore[no-untyped-def]
    """Give the upper half of this full chunk a room of its own."""
    fronts, starts, sizes = _columns(window, first)
    last = np.uint64(state[first])
    source = np.uint64(state[starts + chunk]) + _HALF
    target = np.uint64(state[starts + last])
    for place in range(_HALF):
        state[target + place] = state[source + place]
        state[source + place] = math.inf
    for column in (fronts, starts, sizes):
        for step in range(last - chunk - ONE):
            state[column + last - step] = state[column + last - step - ONE]
    state[fronts + chunk + ONE], state[starts + chunk + ONE] = state[target], float(target)
    state[sizes + chunk] = state[sizes + chunk + ONE] = float(_HALF)
    state[first] += 1.0


@inlined
def take_out(state, window, first, value):  # type: ignore[no-untyped-def]
    """Take one number out, which must be there; returns the chunk it was in."""
    fronts, starts, sizes = _columns(window, first)
    chunk = _chunk_of(state, first, value)
    start = np.uint64(state[starts + chunk])
    _close_gap(state, start, value)
    _renew_front(state, fronts + chunk, start)
    state[sizes + chunk] -= 1.0
    return chunk


@inlined
def put_in(state, window, first, value):  # type: ignore[no-untyped-def]
    """Put a number in its place; returns the chunk it is in."""
    fronts, starts, sizes = _columns(window, first)
    chunk = _chunk_of(state, first, value)
    start = np.uint64(state[starts + chunk])
    _make_gap(state, start, value)
    _renew_front(state, fronts + chunk, start)
    state[sizes + chunk] += 1.0
    return chunk


@inlined
def _renew_front(state, front, start):  # type: ignore[no-untyped-def]
    if state[front] != state[start]:  # seldom; a vector that was just written to in part is slow to load
        state[front] = state[start]


@inlined
def is_thin(state, window, first, chunk):  # type: ignore[no-untyped-def]
    """Whether a chunk is to be joined with a neighbour."""
    place = _columns(window, first)[2] + chunk
    other = min(state[place - ONE], state[place + ONE])
    return (state[place] + other <= _HALF) | ((state[place] == 0.0) & (other < _CHUNK))


@inlined
def is_full(state, window, first, chunk):  # type: ignore[no-untyped-def]
    """Whether a chunk is to be split."""
    return state[_columns(window, first)[2] + chunk] == _CHUNK


@inlined
def find(state, window, first, rank, near):  # type: ignore[no-untyped-def]
    """The chunk that holds the number of this rank, from 0, and how many are before it; `near` is such a pair."""
    sizes = _columns(window, first)[2]
    chunk, before = near
    while before > rank:
        chunk -= ONE
        before -= np.uint64(state[sizes + chunk])
    size = np.uint64(state[sizes + chunk])
    while before + size <= rank:
        chunk, before = chunk + ONE, before + size
        size = np.uint64(state[sizes + chunk])
    return chunk, before


@inlined
def two_from(state, window, first, rank, near):  # type: ignore[no-untyped-def]
    """The number of this rank, and the one above it or infinity; `near` is what `find` says."""
    fronts, starts, sizes = _columns(window, first)
    chunk, before = near
    place = np.uint64(state[starts + chunk]) + rank - before
    is_last = rank + ONE == before + np.uint64(state[sizes + chunk])
    return state[place], state[fronts + chunk + ONE if is_last else place + ONE]
