"""Numbers out of delimited text: columns of plain cells, straight from the bytes into arrays.

A plain cell is digits, with a point between two of them where it is no whole number. Of one with up to 19 digits that
make no more than 2^53 together, the quotient of the digits and a power of ten is the float64 nearest to what is written
(W. D. Clinger (1990), "How to read floating point numbers accurately", PLDI), as both are exact. Whoever meets anything
else reads the text by other means: nothing is guessed here.
"""

from collections.abc import Sequence

import numpy as np

from kernels.arrays import Floats, Integers
from kernels.compilation import inlined, kernel

SKIPPED, INTEGER, NUMBER = 0, 1, 2  # kinds of columns

_LINE_END, _RETURN, _QUOTE, _POINT = (ord(character) for character in '\n\r".')
_ZERO = np.uint8(ord("0"))
_MOST_DIGITS = 19  # beyond what an int64 holds they make it negative
_EXACT = 2**53
_TENS = 10.0 ** np.arange(_MOST_DIGITS + 1)


@inlined
def _skip(text, at, delimiter):  # type: ignore[no-untyped-def]
    """The end of a cell that is not looked into; -1 where it holds what may be no cell at all."""
    while text[at] != delimiter and text[at] != _LINE_END:
        if text[at] == _QUOTE or text[at] == _RETURN or text[at] == 0 or text[at] > 127:
            return -1
        at += 1
    return at


@inlined
def _digits(text, at, value):  # type: ignore[no-untyped-def]
    """The end of the digits that begin here, and the number that they make after those of `value`."""
    digit = np.uint8(text[at] - _ZERO)
    while digit <= 9:
        value = value * 10 + np.int64(digit)
        at += 1
        digit = np.uint8(text[at] - _ZERO)
    return at, value


@kernel
def _read(text, delimiter, kinds, out):  # type: ignore[no-untyped-def]
    """How many rows were read; -1 where there is a cell that is not plain, or a row of another width.

    The text ends with a line end, at which every loop over bytes stops.
    """
    at, row, last = 0, 0, len(kinds) - 1
    integers = out.view(np.int64)
    while at < len(text):
        place = 0
        for column in range(len(kinds)):
            start, places = at, 0
            if kinds[column] == SKIPPED:
                at = _skip(text, at, delimiter)
                if at < 0:
                    return -1
            else:
                at, value = _digits(text, at, np.int64(0))
                if at == start or at - start > _MOST_DIGITS or value < 0:
                    return -1
                integers[place, row] = value
                if kinds[column] == NUMBER:
                    if text[at] == _POINT:
                        point = at
                        at, value = _digits(text, at + 1, value)
                        places = at - point - 1
                        if places == 0 or at - start - 1 > _MOST_DIGITS:
                            return -1
                    if value < 0 or value > _EXACT:
                        return -1
                    out[place, row] = value / _TENS[places]
                place += 1
            if text[at] != (_LINE_END if column == last else delimiter):
                return -1
            at += 1
        row += 1
    return row


def read_numbers(text: bytes, delimiter: str, kinds: Sequence[int]) -> list[Integers | Floats] | None:
    """The columns of numbers of whole lines; None unless every line has as many cells as `kinds`, all of them plain.

    Args:
        text: lines that end in LF; the last may have no end.
        delimiter: one ASCII character, no digit and no point.
        kinds: of each column, SKIPPED, INTEGER or NUMBER; skipped cells hold no quotes and nothing but ASCII.

    Returns:
        (rows,) int64 or float64 of each column that is not skipped.

    Cost: 0.8 to 1 ns a byte.
    """
    if not text.endswith(b"\n"):
        text += b"\n"
    used = [kind for kind in kinds if kind != SKIPPED]
    out = np.empty((len(used), len(text) // (len(kinds) + len(used))))  # a byte a number, and one that ends each cell
    rows = _read(np.frombuffer(text, np.uint8), ord(delimiter), np.array(kinds, np.uint8), out)
    if rows < 0:
        return None
    columns = zip(used, out[:, :rows], strict=True)
    return [column.view(np.int64) if kind == INTEGER else column for kind, column in columns]
