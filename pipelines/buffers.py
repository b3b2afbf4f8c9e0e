"""Memory of batches that is used again, but never while somebody still looks at it."""

import math
import sys
import threading
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.memory import ALIGNMENT, aligned_empty

Shape = tuple[int, ...]


def _holders(array: NDArray[Any]) -> int:
    """How many hold the block that an array lies in, the array and this call among them."""
    return sys.getrefcount(array.base)


_NOBODY_ELSE = _holders(aligned_empty((1,), np.float32))


class BufferPool:
    """Arrays of fixed shapes, float32 and aligned, that lie in one block for each batch.

    A block is given out again when no view of it is left. Every array that shares its memory holds a reference to it,
    also one that another library holds by DLPack until it gives it back; so a batch stays what it was for as long as
    it is kept, and there are as many blocks as batches are in flight, whatever prefetches or keeps them. A fresh block
    for each batch takes 4 to 6 times as long as the gather into it: its pages are faulted in one by one.
    """

    def __init__(self, shapes: list[Shape]) -> None:
        self._shapes = shapes
        step = ALIGNMENT // np.dtype(np.float32).itemsize
        sizes = [-(-math.prod(shape) // step) * step for shape in shapes]
        self._offsets = [0, *accumulate(sizes)]
        self._blocks: list[NDArray[Any]] = []
        self._taking = threading.Lock()

    def __len__(self) -> int:
        """Blocks so far."""
        return len(self._blocks)

    def take(self) -> list[NDArray[np.float32]]:
        """Arrays of the shapes that nobody else looks at; their content is arbitrary."""
        with self._taking:  # of two threads that look for one, both could find the same
            whole = self._unused()
            parts = zip(self._offsets, self._shapes, strict=False)
            return [whole[start : start + math.prod(shape)].reshape(shape) for start, shape in parts]

    def _unused(self) -> NDArray[Any]:
        for block in self._blocks:  # the first before the last: it is the one that the caches still hold
            if _holders(block) == _NOBODY_ELSE:
                return block
        self._blocks.append(aligned_empty((self._offsets[-1],), np.float32))
        return self._blocks[-1]
