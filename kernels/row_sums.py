"""A number that a column has and, for all practical purposes, no other: by it rows are known again when they are read.

The sum of (2 r + 1) · (w xor w >> 29) modulo 2^64 over the rows, with r the number of a row and w its bits. Both steps
can be undone, so that one value that changes always changes the sum; the shift brings the high bits down, for the low
ones of round numbers are all 0 and rows that change places would often leave the sum as it is.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.compilation import kernel

SIZE = 2**64


@kernel
def _sum(words, first):  # type: ignore[no-untyped-def]
    total = np.uint64(0)
    for row in range(len(words)):
        word = words[row]
        total += (word ^ (word >> np.uint64(29))) * np.uint64(2 * (first + row) + 1)
    return total


def row_sum(values: NDArray[Any], first: int = 0) -> int:
    """The sum of rows; those of runs of rows, added modulo `SIZE`, are that of all.

    Args:
        values: (time,) contiguous numbers of 8 bytes, taken as bits. first: the number of the first row.

    Raises:
        TypeError: numbers of another size. ValueError: not one contiguous dimension.
    """
    if values.dtype.itemsize != 8:
        raise TypeError(f"values: expected numbers of 8 bytes, received {values.dtype}")
    if values.ndim != 1 or not values.flags.c_contiguous:
        raise ValueError(f"values: expected one contiguous dimension, received shape {values.shape}")
    return int(_sum(values.view(np.uint64), first))
