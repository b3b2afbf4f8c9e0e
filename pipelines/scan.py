"""One pass over the rows of a store that finds where windows may lie: what `splits` says of rows in memory, of rows
that are read a block at a time."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kernels.arrays import Integers
from kernels.windows import windows_until
from pipelines.errors import DataError
from pipelines.row_groups import Columns, StoredRows
from pipelines.sessions import begun
from pipelines.splits import (
    Boundaries,
    Cut,
    auto_max_gap_of,
    first_rows,
    instant_ns,
    ordered_boundaries,
    segments,
    share_of,
)
from pipelines.steps import Steps
from pipelines.window_runs import Parts, WindowRuns

Labels = Callable[[np.ndarray], np.ndarray]  # close (rows,) to labels (rows, target_dim)


class Timed(Protocol):
    """Rows of which it is said when they were known: a `Scan`, or a panel."""

    @property
    def known(self) -> Integers: ...
    @property
    def offsets(self) -> Integers: ...


@dataclass(frozen=True)
class Scan:
    """Where windows may lie.

    Attributes:
        usable: rows of which every feature and the price are finite, in unbroken stretches: one "window" a row.
        labelled: rows with a finite label; None where every row that can have one has one.
        known: (rows,) int64, as in `panel.Panel`. offsets: likewise. max_gap_ns: the longest pause in a stretch.
    """

    usable: WindowRuns
    labelled: WindowRuns | None
    known: Integers
    offsets: Integers
    max_gap_ns: int

    def windows(self, lookback: int, horizon: int) -> WindowRuns:
        """The windows that `panel.panel_windows` finds, less those without a label.

        Raises:
            DataError: not one.
        """
        found = WindowRuns.of_counts(self.usable.first, self.usable.counts - (lookback + horizon - 1))
        if self.labelled is not None:
            found = found.shared_with(self.labelled.moved(1 - lookback))
        if not len(found):
            longest = max(self.usable.counts, default=0)
            raise DataError(
                f"windows: the longest unbroken run of usable rows is {longest}, needed {lookback + horizon} "
                f"(windows.lookback + labels.horizon): use more data, a shorter lookback or a longer windows.max_gap"
            )
        return found


def scan(rows: StoredRows, *, max_gap_ns: int | None, horizon: int = 0, labels: Labels | None = None) -> Scan:
    """Read all rows once.

    Args:
        max_gap_ns: None for the automatic rule, which goes through the times beforehand.
        horizon: rows that a label looks ahead. labels: where some rows have none, such as moves in a dead zone.

    Raises:
        DataError: a file is not what was written.
    """
    gap = _auto_gap(rows) if max_gap_ns is None else max_gap_ns
    known = np.empty(len(rows), np.int64)
    usable, labelled = _Stretches(), _Stretches()
    edges = rows.store.session_edges()
    for begin, end in pairwise(rows.offsets):
        for first, block in _overlapping(_judged(rows, begin, end), 1):
            stamps, finite = block["known"], block["finite"]
            known[first : first + len(stamps)] = stamps
            whole = np.array([0, len(stamps)])
            usable.add(first, segments(block["timestamp"], whole, finite, gap, begun(stamps, edges)))
        if labels is not None:
            for first, block in _overlapping(rows.blocks(begin, end, ["close"]), horizon):
                is_there = np.isfinite(labels(block["close"])).all(axis=1)
                labelled.add(first, np.where(is_there, 0, -1))
    return Scan(usable.runs, None if labels is None else labelled.runs, known, rows.offsets, gap)


def boundaries_of(found: Timed, windows: WindowRuns, *, span: int, validation: Cut, test: Cut) -> Boundaries:
    """As `splits.temporal_boundaries`, of windows that are counted, not listed."""
    test_ns = _boundary(found, windows, windows, test)
    ends_before = WindowRuns.of_counts(windows.first, _until(found, windows.moved(span - 1), test_ns))
    validation_ns = _boundary(found, windows, ends_before, validation)
    return ordered_boundaries(validation_ns, test_ns, validation=validation, test=test)


def split_runs(found: Timed, windows: WindowRuns, boundaries: Boundaries, *, span: int, embargo: int = 0) -> Parts:
    """As `splits.split_windows`, of windows that are counted, not listed."""
    symbol = np.searchsorted(found.offsets, windows.first, side="right") - 1
    validation, test = (
        first_rows(found.known, found.offsets, instant)[symbol]
        for instant in (boundaries.validation_ns, boundaries.test_ns)
    )
    return Parts(
        train=windows.clipped(0, validation - span + 1),
        validation=windows.clipped(validation + embargo, test - span + 1),
        test=windows.clipped(test + embargo, len(found.known)),
    )


def _boundary(found: Timed, windows: WindowRuns, eligible: WindowRuns, cut: Cut) -> int:
    """The begin of the so manyth last eligible window, by halving the time that it lies in."""
    if not isinstance(cut, int | float):
        return instant_ns(cut)
    wanted = share_of(cut, len(windows), len(eligible))
    low, high = int(found.known[eligible.first].min()), int(found.known[eligible.ends - 1].max()) + 1
    while high - low > 1:  # so many windows begin at `low` or later, fewer at `high` or later
        middle = (low + high) // 2
        if len(eligible) - int(_until(found, eligible, middle).sum()) >= wanted:
            low = middle
        else:
            high = middle
    return low


def _until(found: Timed, runs: WindowRuns, instant: int) -> Integers:
    """Windows of each run that begin before the instant."""
    counts = np.empty(len(runs.first), np.int64)
    windows_until(found.known, runs.first, runs.before, instant, counts)
    return counts


class _Stretches:
    """Rows that belong together, from blocks that overlap by the last row before."""

    def __init__(self) -> None:
        self._spans: list[NDArray[np.int64]] = []  # (stretches, 2): first row, and the row after the last
        self._end = -1

    def add(self, first: int, segment: Integers) -> None:
        """Rows from `first` on, by the stretch each belongs to; -1 for none."""
        begins = np.flatnonzero((np.diff(segment, prepend=-1) != 0) & (segment >= 0))
        ends = np.flatnonzero((np.diff(segment, append=-1) != 0) & (segment >= 0)) + 1
        spans = np.column_stack([begins, ends]) + first
        if len(spans) and self._spans and spans[0, 0] == self._end - 1:  # it holds the last row of the block before
            self._spans[-1][-1, 1] = spans[0, 1]
            spans = spans[1:]
        if len(spans):
            self._spans.append(spans)
        self._end = self._spans[-1][-1, 1] if self._spans else -1

    @property
    def runs(self) -> WindowRuns:
        spans = np.concatenate([np.empty((0, 2), np.int64), *self._spans])
        return WindowRuns.of_counts(spans[:, 0], spans[:, 1] - spans[:, 0])


def _overlapping(blocks: Iterable[tuple[int, Columns]], rows: int) -> Iterator[tuple[int, Columns]]:
    """The blocks, each with so many rows before it where there are as many."""
    last: Columns | None = None
    for first, block in blocks:
        if last is not None and rows:
            kept = {name: column[-rows:] for name, column in last.items()}
            first -= len(next(iter(kept.values())))
            block = {name: np.concatenate([kept[name], column]) for name, column in block.items()}
        yield first, block
        last = block


def _judged(rows: StoredRows, begin: int, end: int) -> Iterator[tuple[int, Columns]]:
    """Times of blocks, and which rows are finite as `panel.Panel` says."""
    for first, block in rows.blocks(begin, end, ["timestamp", "known", "close", *rows.features]):
        finite = np.isfinite(block["close"]) & (block["close"] > 0.0)
        for name in rows.features:
            finite &= np.isfinite(block[name])
        yield first, {"timestamp": block["timestamp"], "known": block["known"], "finite": finite}


def _auto_gap(rows: StoredRows) -> int:
    steps = Steps()
    for begin, end in pairwise(rows.offsets):
        for _, block in _overlapping(rows.blocks(begin, end, ["timestamp"]), 1):
            steps.add(block["timestamp"])
    return auto_max_gap_of(steps)
