"""One pass over the rows of a store that finds where windows may lie: what `splits` says of rows in memory, of rows
that are read a block at a time."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kernels.arrays import Integers
from pipelines.columns import Column, ScratchColumn
from pipelines.errors import DataError
from pipelines.row_groups import Columns, StoredRows
from pipelines.sessions import begun
from pipelines.splits import (
    Boundaries,
    Cut,
    Scheme,
    auto_max_gap,
    first_rows,
    instant_ns,
    ordered_boundaries,
    require_stretches,
    require_windows,
    segments,
    share_of,
)
from pipelines.window_runs import Parts, WindowRuns


class Timed(Protocol):
    """Rows of which it is said when they were known: a `Scan`, or a panel."""

    @property
    def known(self) -> Column: ...
    @property
    def offsets(self) -> Integers: ...


@dataclass(frozen=True)
class Scan:
    """Where windows may lie, and what is known of each row beside its features.

    Attributes:
        usable: rows of which every feature and the price are finite, in unbroken stretches: one "window" a row.
        timestamp, known, close: as of `panel.Panel`; `timestamp` is `known` where each row is one tick.
        offsets: likewise. max_gap_ns: the longest pause in a stretch.
    """

    usable: WindowRuns
    timestamp: Column
    known: Column
    close: Column
    offsets: Integers
    max_gap_ns: int

    def windows(self, lookback: int, horizon: int) -> WindowRuns:
        """The windows that `panel.panel_windows` finds.

        Raises:
            DataError: not one.
        """
        found = WindowRuns.of_counts(self.usable.first, self.usable.counts - (lookback + horizon - 1))
        if not len(found):
            longest = max(self.usable.counts, default=0)
            raise DataError(
                f"windows: the longest unbroken run of usable rows is {longest}, needed {lookback + horizon} "
                f"(windows.lookback + labels.horizon): use more data, a shorter lookback or a longer windows.max_gap"
            )
        return found


def scan(rows: StoredRows, *, max_gap_ns: int | None) -> Scan:
    """Read all rows once.

    Args:
        max_gap_ns: None for the automatic rule, which goes through the times beforehand.

    Raises:
        DataError: a file is not what was written, or the disk has no room for the columns that are kept.
    """
    timestamp, close = ScratchColumn(np.int64), ScratchColumn(np.float64)
    known = timestamp if rows.known_at_label else ScratchColumn(np.int64)
    kept = {"timestamp": timestamp, "close": close} | ({} if rows.known_at_label else {"known": known})
    gap = _auto_gap(rows, timestamp) if max_gap_ns is None else max_gap_ns
    usable, edges = _Stretches(), rows.store.session_edges()
    for begin, end in pairwise(rows.offsets):
        for first, block in _overlapping(_judged(rows, begin, end), 1):
            whole = np.array([0, len(block["known"])])
            usable.add(first, segments(block["timestamp"], whole, block["finite"], gap, begun(block["known"], edges)))
            for name, column in kept.items():
                column.append(block[name][len(column) - first :])  # what it does not have yet
    return Scan(usable.runs, timestamp, known, close, rows.offsets, gap)


def boundaries_of(found: Timed, windows: WindowRuns, *, span: int, validation: Cut, test: Cut) -> Boundaries:
    """As `splits.temporal_boundaries`, of windows that are counted, not listed."""
    test_ns = _boundary(found, windows, windows, test)
    ends_before = WindowRuns.of_counts(windows.first, _until(found, windows.moved(span - 1), test_ns))
    validation_ns = _boundary(found, windows, ends_before, validation)
    return ordered_boundaries(validation_ns, test_ns, validation=validation, test=test)


def split_runs(found: Timed, windows: WindowRuns, boundaries: Boundaries, *, span: int, embargo: int = 0) -> Parts:
    """As `splits.split_windows`, of windows that are counted, not listed."""
    validation, test = (
        _first_of(found, windows, instant) for instant in (boundaries.validation_ns, boundaries.test_ns)
    )
    return Parts(
        train=windows.clipped(0, validation - span + 1),
        validation=windows.clipped(validation + embargo, test - span + 1),
        test=windows.clipped(test + embargo, len(found.known)),
    )


def walk_runs(
    found: Timed, windows: WindowRuns, *, span: int, folds: int, scheme: Scheme, validation: float, embargo: int = 0
) -> list[tuple[Parts, Boundaries]]:
    """As `splits.walk_forward`, of windows that are counted, not listed."""
    cuts = _stretches(found, windows, folds)
    every = []
    for number in range(1, folds + 1):
        first, test_ns, until = cuts[0 if scheme == "expanding" else number - 1], cuts[number], cuts[number + 1]
        pool = windows.clipped(_first_of(found, windows, first), _first_of(found, windows, test_ns))
        validation_ns = nth_begin(found, pool, min(int(len(pool) * (1.0 - validation)), len(pool) - 1))
        begin, middle, end, after = (
            _first_of(found, windows, instant) for instant in (first, validation_ns, test_ns, until)
        )
        split = Parts(
            train=windows.clipped(begin, middle - span - embargo + 1),
            validation=windows.clipped(middle, end - span - embargo + 1),
            test=windows.clipped(end, after),
        )
        require_windows(split, span=span, embargo=embargo)
        every.append((split, Boundaries(validation_ns, test_ns)))
    return every


def begun_from(found: Timed, windows: WindowRuns, instant: int) -> WindowRuns:
    """The windows that begin at rows which were known at the instant or later."""
    return windows.clipped(_first_of(found, windows, instant), len(found.known))


def nth_begin(found: Timed, windows: WindowRuns, number: int) -> int:
    """When window `number` of them in the order of time begins, by halving the time that it lies in."""
    low, high = int(found.known[windows.first].min()), int(found.known[windows.ends - 1].max()) + 1
    while high - low > 1:  # so many windows at most begin before `low`, more before `high`
        middle = (low + high) // 2
        if int(_until(found, windows, middle).sum()) <= number:
            low = middle
        else:
            high = middle
    return low


def _boundary(found: Timed, windows: WindowRuns, eligible: WindowRuns, cut: Cut) -> int:
    """The begin of the so manyth last eligible window."""
    if not isinstance(cut, int | float):
        return instant_ns(cut)
    return nth_begin(found, eligible, len(eligible) - share_of(cut, len(windows), len(eligible)))


def _stretches(found: Timed, windows: WindowRuns, folds: int) -> list[int]:
    """Begin of each of `folds` + 1 stretches of as many windows, then an instant after all."""
    cuts = [nth_begin(found, windows, len(windows) * number // (folds + 1)) for number in range(folds + 1)]
    require_stretches(cuts, folds, len(windows))
    return [*cuts, nth_begin(found, windows, len(windows) - 1) + 1]


def _first_of(found: Timed, windows: WindowRuns, instant: int) -> Integers:
    """Of each run of windows, the first row of its symbol at or after the instant."""
    symbol = np.searchsorted(found.offsets, windows.first, side="right") - 1
    return np.asarray(first_rows(found.known, found.offsets, instant)[symbol])


def _until(found: Timed, windows: WindowRuns, instant: int) -> Integers:
    """Windows of each run that begin before the instant."""
    return np.asarray(np.clip(_first_of(found, windows, instant) - windows.first, 0, windows.counts))


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
        yield first, {name: block[name] for name in ("timestamp", "known", "close")} | {"finite": finite}


def _auto_gap(rows: StoredRows, timestamp: ScratchColumn) -> int:
    """By the times of all rows, which are put into the column."""
    for _, block in rows.blocks(0, len(rows), ["timestamp"]):
        timestamp.append(block["timestamp"])
    return auto_max_gap(timestamp, rows.offsets)
