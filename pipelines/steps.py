"""How far rows that follow one another are apart in time, counted: of rows in memory as of rows that come in blocks."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from kernels.arrays import Integers
from pipelines.columns import Column

BLOCK_ROWS = 1 << 20


class Steps:
    """Positive steps by their length.

    Attributes:
        lengths: (n,) int64, ns, ascending. counts: how often each occurs.
    """

    def __init__(self) -> None:
        self.lengths, self.counts = np.empty(0, np.int64), np.empty(0, np.int64)

    @classmethod
    def between(cls, timestamp: Column, offsets: Integers | Sequence[int]) -> "Steps":
        """Those of every symbol.

        Args:
            timestamp: (rows,) int64, ns UTC, sorted within each symbol.
            offsets: (symbols + 1,) first row of each symbol.
        """
        found = cls()
        for begin, end in pairwise(offsets):
            for first in range(begin, end - 1, BLOCK_ROWS):
                found.add(timestamp[first : min(first + BLOCK_ROWS + 1, end)])
        return found

    def add(self, timestamp: Integers) -> None:
        """Count the steps between rows of one symbol that follow one another."""
        lengths, counts = np.unique(np.diff(timestamp), return_counts=True)
        lengths, counts = lengths[lengths > 0], counts[lengths > 0]
        every = np.concatenate([self.lengths, lengths])
        self.lengths, place = np.unique(every, return_inverse=True)
        summed = np.zeros(len(self.lengths), np.int64)
        np.add.at(summed, place, np.concatenate([self.counts, counts]))
        self.counts = summed

    def __len__(self) -> int:
        return int(self.counts.sum())

    def quantile(self, share: float) -> float:
        """As `numpy.quantile` of the list of all of them, of which there is one at least."""
        before = np.cumsum(self.counts)
        place, rest = divmod((int(before[-1]) - 1) * share, 1.0)
        places = [int(place), min(int(place) + 1, int(before[-1]) - 1)]
        return float(np.quantile(self.lengths[np.searchsorted(before, places, side="right")], rest))
