"""Whole numbers as packed differences: Parquet's DELTA_BINARY_PACKED, which suits times that rise.

A header (rows a block, parts a block, number of values, the first value), then blocks of 128 differences. A block
states its least difference and, for each of its 4 parts of 32, how many bits the excess over it takes; the excesses
follow, packed from the lowest bit up. Differences wrap around at 64 bits, so that any two values have one.
"""

import numpy as np

from kernels.arrays import Integers
from kernels.byte_streams import Bytes
from kernels.compilation import ONE, inlined, kernel

BLOCK = 128
PARTS = 4
PART = BLOCK // PARTS

_HEADER_BYTES = 2 + 1 + 10 + 10  # varints of BLOCK and PARTS, at most 10 bytes of any other
_BLOCK_BYTES = 10 + PARTS + 8 * BLOCK

_LOW_SEVEN = np.uint64(127)
_MORE = np.uint64(128)
_SEVEN = np.uint64(7)
_WORD = np.uint64(64)
_ZERO = np.uint64(0)


@inlined
def _put_varint(number, out, at):  # type: ignore[no-untyped-def]
    """Seven bits a byte, lowest first; the high bit says that more follow. Returns where the next byte goes."""
    while number >= _MORE:
        out[at] = (number & _LOW_SEVEN) | _MORE
        number = number >> _SEVEN
        at += 1
    out[at] = number
    return at + 1


@inlined
def _zigzag(number):  # type: ignore[no-untyped-def]
    """0 -1 1 -2 2 ... as 0 1 2 3 4 ...: small numbers of both signs become short varints."""
    return (np.uint64(number) << ONE) ^ np.uint64(number >> 63)


@inlined
def _width(bits):  # type: ignore[no-untyped-def]
    """Position of the highest bit set, counted from 1; found by halves."""
    width = _ZERO
    step = np.uint64(32)
    while step != _ZERO:
        if bits >> step != _ZERO:
            bits = bits >> step
            width += step
        step = step >> ONE
    return width + bits


@inlined
def _pack(numbers, width, words):  # type: ignore[no-untyped-def]
    """The low `width` bits of each number, one after the other; `words` has room for all and one more."""
    word, filled, full = _ZERO, _ZERO, 0
    for row in range(len(numbers)):
        word |= numbers[row] << filled
        filled += width
        if filled >= _WORD:
            words[full] = word
            full += 1
            filled -= _WORD
            word = numbers[row] >> (width - filled) if filled > _ZERO else _ZERO
    words[full] = word


@inlined
def _subtract(values, start, count, excess):  # type: ignore[no-untyped-def]
    """Differences of `count` rows from `start` on, less the least of them, which is returned; the rest is set to 0."""
    later, earlier = values[start : start + count], values[start - 1 : start + count - 1]
    least = later[0] - earlier[0]
    for row in range(count):
        difference = later[row] - earlier[row]
        excess[row] = difference
        least = min(least, difference)
    for row in range(count):
        excess[row] -= np.uint64(least)
    excess[count:] = _ZERO
    return least


@kernel
def _pack_deltas(values, out):  # type: ignore[no-untyped-def]
    rows = len(values)
    at = _put_varint(np.uint64(BLOCK), out, 0)
    at = _put_varint(np.uint64(PARTS), out, at)
    at = _put_varint(np.uint64(rows), out, at)
    at = _put_varint(_zigzag(values[0]) if rows else _ZERO, out, at)
    excess = np.empty(BLOCK, np.uint64)
    words = np.empty(PART + 1, np.uint64)
    packed = words.view(np.uint8)
    for start in range(1, rows, BLOCK):
        count = min(BLOCK, rows - start)
        at = _put_varint(_zigzag(_subtract(values, start, count, excess)), out, at)
        widths = at
        at += PARTS
        for part in range(PARTS):
            numbers = excess[part * PART : (part + 1) * PART]
            bits = _ZERO
            for row in range(PART):
                bits |= numbers[row]
            width = _width(bits)
            out[widths + part] = width
            if width:
                _pack(numbers, width, words)
                size = np.int64(width) * PART // 8
                target = out[at : at + size]
                for byte in range(size):
                    target[byte] = packed[byte]
                at += size
    return at


def packed_bytes_at_most(rows: int) -> int:
    """Room that `pack_deltas` needs."""
    return _HEADER_BYTES + -(-rows // BLOCK) * _BLOCK_BYTES


def pack_deltas(values: Integers, out: Bytes | None = None) -> Bytes:
    """`values` as packed differences.

    Args:
        values: (time,) contiguous int64.
        out: contiguous bytes, at least `packed_bytes_at_most(len(values))`; new ones when None.

    Returns:
        The part of `out` that was written. A steady clock takes a tenth of a byte a row, stamps of trades 4 to 5.

    Raises:
        TypeError: not int64. ValueError: not one contiguous dimension, or an `out` that is too small.
    """
    if values.dtype != np.int64:
        raise TypeError(f"values: expected int64, received {values.dtype}")
    if values.ndim != 1 or not values.flags.c_contiguous:
        raise ValueError(f"values: expected one contiguous dimension, received shape {values.shape}")
    room = packed_bytes_at_most(len(values))
    if out is None:
        out = np.empty(room, np.uint8)
    if out.dtype != np.uint8 or out.ndim != 1 or len(out) < room or not out.flags.c_contiguous:
        raise ValueError(f"out: expected at least {room} contiguous bytes, received {out.dtype} of shape {out.shape}")
    return out[: _pack_deltas(values, out)]
