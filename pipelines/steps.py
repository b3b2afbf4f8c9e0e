"""How far rows that follow one another are apart in time, counted."""

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from kernels.arrays import Integers
from pipelines.columns import Column

BLOCK_ROWS = 1 << 20
# Of irregular times of nanoseconds hardly two steps are the same. So only those near the quantile are counted, two in a
# hundred, and so many steps tell where that is.
SAMPLED = 1 << 17


class Steps:
    """Positive steps by their length.

    Attributes:
        lengths: (n,) int64, ns, ascending. counts: how often each occurs.
    """

    def __init__(self) -> None:
        self.lengths, self.counts = np.empty(0, np.int64), np.empty(0, np.int64)

    def add(self, steps: Integers) -> None:
        """Count steps, but for those that are not positive."""
        lengths, counts = np.unique(steps[steps > 0], return_counts=True)
        every = np.concatenate([self.lengths, lengths])
        self.lengths, place = np.unique(every, return_inverse=True)
        summed = np.zeros(len(self.lengths), np.int64)
        np.add.at(summed, place, np.concatenate([self.counts, counts]))
        self.counts = summed

    def __len__(self) -> int:
        return int(self.counts.sum())

    def at(self, place: int, rest: float) -> float:
        """The length at this place of all in their order; that much further on between it and the next."""
        before = np.cumsum(self.counts)
        places = [place, min(place + 1, int(before[-1]) - 1)]
        return float(np.quantile(self.lengths[np.searchsorted(before, places, side="right")], rest))

    def quantile(self, share: float) -> float:
        """As `numpy.quantile` of the list of all of them; 0 where there is none."""
        place, rest = divmod((len(self) - 1) * share, 1.0)
        return self.at(int(place), rest) if len(self) else 0.0


def step_quantile(timestamp: Column, offsets: Integers, share: float) -> float:
    """A quantile of the positive steps of every symbol, as `numpy.quantile` of their list; 0 where there is none.

    Args:
        timestamp: (rows,) int64, ns UTC, sorted within each symbol.
        offsets: (symbols + 1,) first row of each symbol.
    """
    sample = Steps()
    for steps in _steps(timestamp, offsets):
        sample.add(steps[:: max(len(timestamp) // SAMPLED, 1)])
    aside = 4.0 / math.sqrt(SAMPLED)  # eight standard errors of a median
    bounds = [sample.quantile(min(max(share + one, 0.0), 1.0)) for one in (-aside, aside)]
    for low, high in (bounds, (0.0, math.inf)):
        below, near, above = _counted(timestamp, offsets, low, high)
        place, rest = divmod(max(below + len(near) + above - 1, 0) * share, 1.0)
        within = int(place) - below
        if 0 <= within < len(near) - (above > 0):  # it is near, and so is what follows it
            return near.at(within, rest)
    return 0.0


def _counted(timestamp: Column, offsets: Integers, low: float, high: float) -> tuple[int, Steps, int]:
    """How many steps are below some bounds, those between them, and how many are above."""
    below, near, above = 0, Steps(), 0
    for steps in _steps(timestamp, offsets):
        below += int(np.count_nonzero((steps > 0) & (steps < low)))
        near.add(steps[(steps >= low) & (steps <= high)])
        above += int(np.count_nonzero(steps > high))
    return below, near, above


def _steps(timestamp: Column, offsets: Integers) -> Iterator[Integers]:
    for begin, end in pairwise(offsets.tolist()):
        for first in range(begin, end - 1, BLOCK_ROWS):
            yield np.diff(timestamp[first : min(first + BLOCK_ROWS + 1, end)])
