"""Windows never span a symbol, a gap or a missing value; parts never share a row; the purge is as wide as said."""

from dataclasses import dataclass
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import DataError
from pipelines.splits import (
    AUTO_GAP_FLOOR_NS,
    Boundaries,
    auto_max_gap,
    covered_rows,
    instant_ns,
    longest_runs,
    require_windows,
    segments,
    split_windows,
    temporal_boundaries,
    window_starts,
)

MAX_GAP = 10


@dataclass
class Rows:
    time: np.ndarray
    offsets: np.ndarray
    finite: np.ndarray
    lookback: int
    horizon: int

    @property
    def span(self) -> int:
        return self.lookback + self.horizon

    def starts(self) -> np.ndarray:
        return window_starts(segments(self.time, self.offsets, self.finite, MAX_GAP), self.lookback, self.horizon)


@st.composite
def row_sets(draw: st.DrawFn) -> Rows:
    """One to three symbols over overlapping times, with equal stamps, gaps and rows that are not finite."""
    steps = st.lists(st.sampled_from([0, 1, 2, 5, 10, 11, 40]), min_size=0, max_size=40)
    times = [np.cumsum([draw(st.integers(0, 50)), *draw(steps)]) for _ in range(draw(st.integers(1, 3)))]
    time = np.concatenate(times).astype(np.int64)
    holes = draw(st.lists(st.integers(0, len(time) - 1), max_size=4))
    finite = np.ones(len(time), dtype=bool)
    finite[holes] = False
    return Rows(time, np.cumsum([0, *map(len, times)]), finite, draw(st.integers(1, 4)), draw(st.integers(0, 3)))


@given(row_sets())
def test_windows_are_exactly_the_unbroken_stretches(rows: Rows) -> None:
    expected = []
    for begin, end in zip(rows.offsets[:-1], rows.offsets[1:], strict=True):
        for start in range(begin, end - rows.span + 1):
            inside = slice(start, start + rows.span)
            if rows.finite[inside].all() and (np.diff(rows.time[inside]) <= MAX_GAP).all():
                expected.append(start)
    assert rows.starts().tolist() == expected


@given(row_sets(), st.integers(0, 300), st.integers(1, 300), st.integers(0, 5))
def test_no_part_touches_a_row_of_another(rows: Rows, first: int, width: int, embargo: int) -> None:
    boundaries = Boundaries(first, first + width)
    split = split_windows(rows.starts(), rows.time, rows.offsets, boundaries, span=rows.span, embargo=embargo)
    touched = {name: rows.time[_rows_of(getattr(split, name), rows.span)] for name in ("train", "validation", "test")}
    assert (touched["train"] < boundaries.validation_ns).all()
    assert (touched["validation"] >= boundaries.validation_ns).all()
    assert (touched["validation"] < boundaries.test_ns).all()
    assert (touched["test"] >= boundaries.test_ns).all()
    assert set(split.train) | set(split.validation) | set(split.test) <= set(rows.starts())


@given(row_sets(), st.integers(0, 300), st.integers(1, 300), st.integers(0, 5))
def test_decision_rows_are_purged_by_lookback_and_horizon(rows: Rows, first: int, width: int, embargo: int) -> None:
    boundaries = Boundaries(first, first + width)
    split = split_windows(rows.starts(), rows.time, rows.offsets, boundaries, span=rows.span, embargo=embargo)
    for begin, end in zip(rows.offsets[:-1], rows.offsets[1:], strict=True):
        parts = [part[(part >= begin) & (part < end)] for part in (split.train, split.validation, split.test)]
        for before, after in ((0, 1), (1, 2), (0, 2)):
            if len(parts[before]) and len(parts[after]):
                assert parts[after].min() - parts[before].max() >= rows.span + embargo


@given(row_sets(), st.floats(0.05, 0.4), st.floats(0.05, 0.4))
def test_shares_are_met_to_the_ties(rows: Rows, validation: float, test: float) -> None:
    starts = rows.starts()
    try:
        cut = temporal_boundaries(starts, rows.time, span=rows.span, validation=validation, test=test)
    except DataError:
        return  # too few windows for the shares: the message has its own test
    split = split_windows(starts, rows.time, rows.offsets, cut, span=rows.span)
    assert len(split.test) >= round(test * len(starts))
    assert len(split.validation) >= round(validation * len(starts))


def _rows_of(starts: np.ndarray, span: int) -> np.ndarray:
    return (starts[:, None] + np.arange(span)).ravel()


def test_shares_of_one_long_series_are_exact() -> None:
    time, offsets = np.arange(1000) * 10**9, np.array([0, 1000])
    starts = window_starts(np.zeros(1000, dtype=np.int64), 20, 5)
    cut = temporal_boundaries(starts, time, span=25, validation=0.2, test=0.1)
    split = split_windows(starts, time, offsets, cut, span=25)
    assert (len(split.validation), len(split.test)) == (195, 98)
    assert split.train.max() + 25 <= split.validation.min()
    assert len(split.train) == len(starts) - 195 - 98 - 2 * 24


def test_dates_cut_at_midnight_utc() -> None:
    day = 86_400 * 10**9
    time = instant_ns("2024-01-01") + np.arange(96) * (day // 24)
    starts = window_starts(np.zeros(96, dtype=np.int64), 2, 1)
    cut = temporal_boundaries(starts, time, span=3, validation=date(2024, 1, 2), test="2024-01-03T12:00:00+00:00")
    assert cut == Boundaries(time[24], time[60])


@pytest.mark.parametrize(
    ("validation", "test", "message"),
    [
        (0.5, 0.9, "split: a share of 0.5 is 46 windows"),
        ("2024-01-03", "2024-01-02", "validation begins at 2024-01-03T00:00:00Z, not before test"),
        ("next week", 0.2, "'next week' is neither a share between 0 and 1 nor an ISO date"),
    ],
)
def test_impossible_cuts_are_named(validation: float | str, test: float | str, message: str) -> None:
    time = instant_ns("2024-01-01") + np.arange(96) * 3_600 * 10**9
    starts = window_starts(np.zeros(96, dtype=np.int64), 3, 1)
    with pytest.raises(DataError) as caught:
        temporal_boundaries(starts, time, span=4, validation=validation, test=test)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_part_is_named_with_its_knobs() -> None:
    time, offsets = np.arange(30), np.array([0, 30])
    starts = window_starts(np.zeros(30, dtype=np.int64), 4, 1)
    split = split_windows(starts, time, offsets, Boundaries(10, 12), span=5)
    with pytest.raises(DataError, match=r"no validation window .* 5 unbroken rows"):
        require_windows(split, span=5)


def test_automatic_gap_looks_at_steps_inside_symbols_only() -> None:
    second = 10**9
    dense, late = np.arange(100) * second, 10**6 * second + np.arange(100) * 60 * second
    assert auto_max_gap(dense, np.array([0, 100])) == AUTO_GAP_FLOOR_NS
    assert auto_max_gap(np.concatenate([late, dense]), np.array([0, 100, 200])) == 600 * second
    assert auto_max_gap(np.zeros(3, dtype=np.int64), np.array([0, 3])) == AUTO_GAP_FLOOR_NS


def test_empty_symbols_and_short_series_have_no_windows() -> None:
    offsets = np.array([0, 0, 3, 3])
    segment = segments(np.arange(3), offsets, np.array([True, False, True]), 1)
    assert segment.tolist() == [0, -1, 1]
    assert longest_runs(segment, offsets) == [0, 1, 0]
    assert len(window_starts(segment, 5, 0)) == 0


def test_covered_rows_are_the_inputs_without_the_labels() -> None:
    assert covered_rows(np.array([0, 1, 5]), 2, 8).tolist() == [True, True, True, False, False, True, True, False]
