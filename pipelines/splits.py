"""Where windows may lie, and which of them train, validate and test: index arithmetic over sorted rows.

A panel holds the rows of all symbols one after another; `offsets` (symbols + 1,) says where each begins.
A window is LOOKBACK rows; its decision row is its last one; its label row lies HORIZON rows later.
"""

from bisect import bisect_left
from collections.abc import Sized
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Literal, Protocol

import numpy as np

from pipelines.columns import Column
from pipelines.errors import DataError
from pipelines.steps import step_quantile

Scheme = Literal["expanding", "sliding"]
# A share of all windows, or the ISO date at which the part begins.
Cut = float | str | date

# Below five minutes a pause is ordinary in thin markets; ten times the usual long step is not.
AUTO_GAP_FLOOR_NS = 300 * 1_000_000_000
AUTO_GAP_FACTOR = 10
AUTO_GAP_QUANTILE = 0.9


@dataclass(frozen=True)
class Boundaries:
    """Two instants, ns UTC: rows from `validation_ns` on never train, rows from `test_ns` on only test."""

    validation_ns: int
    test_ns: int


class Parted(Protocol):
    """The windows of each part, listed (`Split`) or as runs (`window_runs.Parts`)."""

    @property
    def train(self) -> Sized: ...
    @property
    def validation(self) -> Sized: ...
    @property
    def test(self) -> Sized: ...


@dataclass(frozen=True)
class Split:
    """Start rows of the windows of each part, each (windows,) int64, ascending."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def auto_max_gap(timestamp: Column, offsets: np.ndarray) -> int:
    """Longest pause, ns, that a window may hold: max(300 s, 10 x the 90th percentile of positive steps).

    Args:
        timestamp: (rows,) int64, bar labels in ns UTC, sorted within each symbol.
        offsets: (symbols + 1,) int64, first row of each symbol.
    """
    return max(AUTO_GAP_FLOOR_NS, int(AUTO_GAP_FACTOR * step_quantile(timestamp, offsets, AUTO_GAP_QUANTILE)))


def usual_step(timestamp: Column, offsets: np.ndarray) -> int:
    """Median of the positive steps between labels, ns: how long a candle is; 0 where there is no step.

    Args: as `auto_max_gap`.
    """
    return int(step_quantile(timestamp, offsets, 0.5))


def segments(
    timestamp: np.ndarray,
    offsets: np.ndarray,
    finite: np.ndarray,
    max_gap_ns: int,
    session: np.ndarray | None = None,
) -> np.ndarray:
    """Number of the unbroken run that each row belongs to, (rows,) int64; -1 where the row is not finite.

    A run ends with its symbol, with its session, before a step longer than `max_gap_ns`, and at a row that is not
    finite.

    Args:
        timestamp: (rows,) int64, bar labels in ns UTC, sorted within each symbol.
        offsets: (symbols + 1,) int64, first row of each symbol.
        finite: (rows,) bool, every input of the row is a finite number.
        session: (rows,) int64, tells sessions apart; None where there are none.
    """
    breaks = np.zeros(len(timestamp), dtype=bool)
    breaks[np.asarray(offsets[:-1])[np.diff(offsets) > 0]] = True
    breaks[1:] |= np.diff(timestamp) > max_gap_ns
    breaks[1:] |= ~finite[:-1]
    if session is not None:
        breaks[1:] |= session[1:] != session[:-1]
    run = np.cumsum(breaks) - 1
    run[~finite] = -1
    return run.astype(np.int64, copy=False)


def window_starts(segment: np.ndarray, lookback: int, horizon: int) -> np.ndarray:
    """First rows of all windows that lie, label row included, inside one segment; (windows,) int64 ascending.

    Args:
        segment: (rows,) int64, as `segments` returns it.
        horizon: 0 for inference, where no label is needed.
    """
    span = lookback + horizon
    if len(segment) < span:
        return np.empty(0, dtype=np.int64)
    first, last = segment[: len(segment) - span + 1], segment[span - 1 :]
    return np.flatnonzero((first == last) & (first >= 0))


def temporal_boundaries(starts: np.ndarray, time: np.ndarray, *, span: int, validation: Cut, test: Cut) -> Boundaries:
    """The two instants that cut the windows of all symbols into train, validation and test.

    Args:
        starts: (windows,) int64, first rows.
        time: (rows,) int64, ns UTC, when each row is known.
        span: rows of a window with its label, LOOKBACK + HORIZON.
        validation: share of all windows that lie wholly inside that part, or the ISO date it begins at.
        test: likewise.

    Raises:
        DataError: too few windows for the share, or two instants that are not in order.
    """
    begins, ends = time[starts], time[starts + span - 1]
    everything = np.ones(len(starts), dtype=bool)
    test_ns = _boundary(test, begins, everything)
    return ordered_boundaries(_boundary(validation, begins, ends < test_ns), test_ns, validation=validation, test=test)


def ordered_boundaries(validation_ns: int, test_ns: int, *, validation: Cut, test: Cut) -> Boundaries:
    """The boundaries that two cuts came to. Raises DataError when they are not in order."""
    if validation_ns >= test_ns:
        raise DataError(
            f"split: validation begins at {iso(validation_ns)}, not before test at {iso(test_ns)}: "
            f"expected train, validation, test in this order; change split.validation ({validation}) "
            f"or split.test ({test})"
        )
    return Boundaries(validation_ns, test_ns)


def split_windows(
    starts: np.ndarray,
    time: np.ndarray,
    offsets: np.ndarray,
    boundaries: Boundaries,
    *,
    span: int,
    embargo: int = 0,
) -> Split:
    """Windows of each part; a window that touches rows of two parts belongs to none.

    Decision rows of neighbouring parts of a symbol are at least `span + embargo` rows apart.

    Args:
        starts: (windows,) int64, first rows.
        time: (rows,) int64, ns UTC, when each row is known, sorted within each symbol.
        offsets: (symbols + 1,) int64, first row of each symbol.
        span: rows of a window with its label, LOOKBACK + HORIZON.
    """
    symbol = np.searchsorted(offsets, starts, side="right") - 1
    validation_row = first_rows(time, offsets, boundaries.validation_ns)[symbol]
    test_row = first_rows(time, offsets, boundaries.test_ns)[symbol]
    end = starts + span
    return Split(
        train=starts[end <= validation_row],
        validation=starts[(starts >= validation_row + embargo) & (end <= test_row)],
        test=starts[starts >= test_row + embargo],
    )


def walk_forward(
    starts: np.ndarray,
    time: np.ndarray,
    offsets: np.ndarray,
    *,
    span: int,
    folds: int,
    scheme: Scheme,
    validation: float,
    embargo: int = 0,
) -> list[tuple[Split, Boundaries]]:
    """Parts of each fold: time is cut into `folds` + 1 stretches of as many windows; each but the first tests once.

    Every window that begins after the first cut is tested exactly once, by the fold whose stretch it begins in. What
    trains and validates ends, labels included, `embargo` rows or more before the stretch that it must not know.

    Args:
        starts, time, offsets, span: as `split_windows`.
        scheme: `expanding` trains on all before a fold; `sliding` on as many windows as lie before the first.
        validation: share of the windows before a fold that validates, the last of them.

    Raises:
        DataError: too few windows for so many folds.
    """
    begins = time[starts]
    cuts = _stretches(begins, folds)
    found = []
    for number in range(1, folds + 1):
        test_ns, until = cuts[number], cuts[number + 1]
        first = cuts[0] if scheme == "expanding" else cuts[number - 1]
        pool = np.sort(begins[(begins >= first) & (begins < test_ns)])
        validation_ns = int(pool[min(int(len(pool) * (1.0 - validation)), len(pool) - 1)])
        split = Split(
            train=starts[(begins >= first) & _ends_before(starts, time, offsets, validation_ns, span + embargo)],
            validation=starts[(begins >= validation_ns) & _ends_before(starts, time, offsets, test_ns, span + embargo)],
            test=starts[(begins >= test_ns) & (begins < until)],
        )
        require_windows(split, span=span, embargo=embargo)
        found.append((split, Boundaries(validation_ns, test_ns)))
    return found


def covered_rows(starts: np.ndarray, lookback: int, rows: int) -> np.ndarray:
    """True for each row that at least one of the windows holds as input, (rows,) bool."""
    change = np.zeros(rows + 1, dtype=np.int64)
    change[starts] += 1
    change[starts + lookback] -= 1
    return np.asarray(np.cumsum(change[:-1]) > 0)


def require_windows(split: Parted, *, span: int, embargo: int = 0) -> None:
    """Raises DataError naming the empty part of a split and the knobs that fill it."""
    sizes = {"training": split.train, "validation": split.validation, "test": split.test}
    for name, starts in sizes.items():
        if len(starts) == 0:
            counts = ", ".join(f"{part} {len(found)}" for part, found in sizes.items())
            raise DataError(
                f"split: no {name} window ({counts}): each part needs {span + embargo} unbroken rows or more "
                f"(lookback + horizon + embargo): use more data, a shorter windows.lookback or another split"
            )


def longest_runs(segment: np.ndarray, offsets: np.ndarray) -> list[int]:
    """Longest unbroken run of usable rows of each symbol."""
    runs = []
    for begin, end in pairwise(offsets):
        found = segment[begin:end]
        found = found[found >= 0]
        runs.append(int(np.unique(found, return_counts=True)[1].max()) if len(found) else 0)
    return runs


def instant_ns(text: str | date) -> int:
    """Nanoseconds UTC of an ISO date or datetime; without an offset it is UTC. Raises DataError."""
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        raise DataError(
            f"split: {text!r} is neither a share between 0 and 1 nor an ISO date such as 2024-06-30"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * 1_000_000_000


def iso(time_ns: int) -> str:
    """Readable UTC time of an instant in ns, to the second."""
    return datetime.fromtimestamp(int(time_ns) // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _boundary(cut: Cut, begins: np.ndarray, eligible: np.ndarray) -> int:
    """An ISO date as it is; a share as the begin of that many last eligible windows."""
    if not isinstance(cut, int | float):
        return instant_ns(cut)
    candidates = np.sort(begins[eligible])
    return int(candidates[len(candidates) - share_of(cut, len(begins), len(candidates))])


def share_of(cut: float, windows: int, left: int) -> int:
    """How many windows a share of all is. Raises DataError when it is none, or more than are left for it."""
    wanted = round(float(cut) * windows)
    if not 0 < wanted <= left:
        raise DataError(
            f"split: a share of {cut} is {wanted} windows, but {left} of {windows} are left "
            f"for it: use more data, a shorter windows.lookback or another split"
        )
    return wanted


def _stretches(begins: np.ndarray, folds: int) -> list[int]:
    """Begin of each of `folds` + 1 stretches of as many windows, then an instant after all."""
    ordered = np.sort(begins)
    cuts = [int(ordered[len(ordered) * number // (folds + 1)]) for number in range(folds + 1)] if len(ordered) else []
    require_stretches(cuts, folds, len(begins))
    return [*cuts, int(ordered[-1]) + 1]


def require_stretches(cuts: list[int], folds: int, windows: int) -> None:
    """Raises DataError unless each fold, and what trains the first, begins at a time of its own."""
    if len(set(cuts)) < folds + 1:
        raise DataError(
            f"split: {windows} windows cannot be cut into {folds} folds and what trains the first; "
            f"use more data or fewer folds"
        )


def _ends_before(starts: np.ndarray, time: np.ndarray, offsets: np.ndarray, instant: int, rows: int) -> np.ndarray:
    """Which windows, taken as so many rows, end before the first row of their symbol at or after the instant."""
    symbol = np.searchsorted(offsets, starts, side="right") - 1
    return np.asarray(starts + rows <= first_rows(time, offsets, instant)[symbol])


def first_rows(time: Column, offsets: np.ndarray, instant: int) -> np.ndarray:
    """First row at or after the instant, for each symbol (its end where there is none)."""
    firsts = [bisect_left(time, instant, begin, end) for begin, end in pairwise(offsets.tolist())]
    return np.array(firsts, dtype=np.int64)
