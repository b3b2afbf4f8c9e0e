"""Which windows may be used, named by the runs they lie in: `kernels/windows.py` says how."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kernels.arrays import Integers
from kernels.windows import locate_windows
from pipelines.splits import Split


@dataclass(frozen=True)
class WindowRuns:
    """Windows in an order of their own, numbered from 0: run after run, and within a run row after row.

    Attributes:
        first: (runs,) int64, first row of the first window of each run.
        before: (runs + 1,) int64, windows before each run, then all windows.
    """

    first: Integers
    before: Integers

    @classmethod
    def of_starts(cls, starts: Integers) -> "WindowRuns":
        """The windows that begin at these rows, (windows,) int64, numbered as they stand."""
        if not len(starts):
            return cls(np.empty(0, np.int64), np.zeros(1, np.int64))
        begins = np.flatnonzero(np.diff(starts, prepend=starts[0] - 2) != 1)
        return cls(np.ascontiguousarray(starts[begins]), np.append(begins, len(starts)))

    @classmethod
    def of_rows(cls, mask: NDArray[np.bool_]) -> "WindowRuns":
        """Rows that are marked, (rows,) bool, as windows of one row."""
        edges = np.diff(mask.view(np.int8), prepend=np.int8(0), append=np.int8(0))
        first = np.flatnonzero(edges == 1)
        return cls.of_counts(first, np.flatnonzero(edges == -1) - first)

    @classmethod
    def of_blocks(cls, masks: Iterable[NDArray[np.bool_]]) -> "WindowRuns":
        """As `of_rows`, of a mask that comes in blocks."""
        first, ends, begin = [np.empty(0, np.int64)], [np.empty(0, np.int64)], 0
        for mask in masks:
            runs = cls.of_rows(mask).moved(begin)
            first.append(runs.first)
            ends.append(runs.ends)
            begin += len(mask)
        begins, stops = np.concatenate(first), np.concatenate(ends)
        apart = begins[1:] != stops[:-1]
        begins, stops = begins[np.append(True, apart)[: len(begins)]], stops[np.append(apart, True)[: len(stops)]]
        return cls.of_counts(begins, stops - begins)

    @classmethod
    def of_counts(cls, first: Integers, counts: Integers) -> "WindowRuns":
        """Runs of so many windows; those of none are left out."""
        kept = counts > 0
        return cls(first[kept], np.concatenate([[0], np.cumsum(counts[kept], dtype=np.int64)]))

    def __len__(self) -> int:
        return int(self.before[-1])

    @property
    def counts(self) -> Integers:
        """(runs,) int64, windows of each run."""
        return np.diff(self.before)

    def starts(self, begin: int = 0, end: int | None = None) -> Integers:
        """First rows of windows number `begin` to before `end`, of all when left out; (windows,) int64."""
        return self.at(np.arange(begin, len(self) if end is None else end))

    def at(self, numbers: Integers) -> Integers:
        """First rows of the windows of these numbers, (windows,) int64, in the place of the numbers."""
        if len(numbers):
            locate_windows(self.first, self.before, numbers, numbers)
        return numbers

    @property
    def ends(self) -> Integers:
        """(runs,) int64, the row after the first row of the last window of each run."""
        return self.first + self.counts

    def marked(self, begin: int, end: int) -> NDArray[np.bool_]:
        """Which of the rows `begin` to before `end` a window begins at, (rows,) bool."""
        mask = np.zeros(end - begin, np.bool_)
        mask[self.within(begin, end).starts()] = True
        return mask

    def clipped(self, low: Integers | int, high: Integers | int) -> "WindowRuns":
        """The windows whose first rows are `low` to before `high`, which may differ from run to run."""
        first = np.maximum(self.first, low)
        return WindowRuns.of_counts(first, np.minimum(self.ends, high) - first)

    def rows(self, lookback: int) -> "WindowRuns":
        """The rows that the windows hold, each once and ascending, as windows of one row."""
        order = np.argsort(self.first, kind="stable")
        first, end = self.first[order], self.ends[order] + lookback - 1
        reached = np.maximum.accumulate(end)
        begins = np.flatnonzero(first > np.concatenate([[-1], reached[:-1]])) if len(first) else order
        lasts = np.append(begins[1:], len(first))[: len(begins)] - 1
        return WindowRuns.of_counts(first[begins], reached[lasts] - first[begins])

    def moved(self, rows: int) -> "WindowRuns":
        """Windows that begin so many rows later."""
        return WindowRuns(self.first + rows, self.before)

    def shared_with(self, other: "WindowRuns") -> "WindowRuns":
        """The windows that are among the others too; no window is twice in either."""
        edges = np.concatenate([self.first, other.first, self.ends, other.ends])
        opens = len(self.first) + len(other.first)
        order = np.argsort(edges, kind="stable")
        open_after = np.cumsum(np.where(order < opens, 1, -1))
        begins = edges[order]
        lengths = np.append(begins[1:], 0) - begins
        return WindowRuns.of_counts(begins, np.where(open_after == 2, lengths, 0))

    def within(self, begin: int, end: int) -> "WindowRuns":
        """The windows whose first rows are `begin` to before `end`; rows count from `begin` on."""
        return self.clipped(begin, end).moved(-begin)


@dataclass(frozen=True)
class Parts:
    """Windows of each part, ascending."""

    train: WindowRuns
    validation: WindowRuns
    test: WindowRuns

    @classmethod
    def of(cls, split: Split) -> "Parts":
        """The same windows, named by runs."""
        return cls(*(WindowRuns.of_starts(starts) for starts in (split.train, split.validation, split.test)))
