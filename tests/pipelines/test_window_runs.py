"""Runs name the same windows as lists of first rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.window_runs import WindowRuns

starts_lists = st.lists(st.integers(0, 60), max_size=40)


@given(starts=starts_lists)
def test_any_first_rows_are_kept_in_their_order(starts: list[int]) -> None:
    runs = WindowRuns.of_starts(np.array(starts, np.int64))
    assert len(runs) == len(starts)
    assert runs.starts().tolist() == starts
    assert runs.counts.sum() == len(starts)


@given(starts=st.sets(st.integers(0, 60)), begin=st.integers(0, 60), length=st.integers(0, 60))
def test_the_windows_within_rows_count_from_there(starts: set[int], begin: int, length: int) -> None:
    runs = WindowRuns.of_starts(np.array(sorted(starts), np.int64))
    inside = [start - begin for start in sorted(starts) if begin <= start < begin + length]
    assert runs.within(begin, begin + length).starts().tolist() == inside


@given(marks=st.lists(st.lists(st.booleans(), max_size=8), max_size=6))
def test_marked_rows_that_come_in_blocks_are_those_of_one_mask(marks: list[list[bool]]) -> None:
    whole = np.array([mark for block in marks for mark in block], np.bool_)
    found, expected = WindowRuns.of_blocks(np.array(block, np.bool_) for block in marks), WindowRuns.of_rows(whole)
    assert (found.first.tolist(), found.before.tolist()) == (expected.first.tolist(), expected.before.tolist())
    begin = len(whole) // 3
    np.testing.assert_array_equal(found.marked(begin, len(whole)), whole[begin:])


@given(starts=starts_lists, data=st.data())
def test_a_stretch_is_had_alone(starts: list[int], data: st.DataObject) -> None:
    begin = data.draw(st.integers(0, len(starts)))
    end = data.draw(st.integers(begin, len(starts)))
    assert WindowRuns.of_starts(np.array(starts, np.int64)).starts(begin, end).tolist() == starts[begin:end]


def test_a_hundred_million_windows_of_a_thousand_symbols_are_a_few_numbers() -> None:
    runs = WindowRuns.of_counts(np.arange(1000) * 100_060, np.full(1000, 100_000))
    assert len(runs) == 100_000_000
    assert runs.first.nbytes + runs.before.nbytes < 20_000
    assert runs.starts(99_999_999).tolist() == [999 * 100_060 + 99_999]


@pytest.mark.parametrize("counts", [[0], [0, 0, 3], [2, 0, 1]])
def test_runs_of_no_window_are_left_out(counts: list[int]) -> None:
    runs = WindowRuns.of_counts(np.arange(len(counts)) * 10, np.array(counts))
    assert runs.starts().tolist() == [10 * run + place for run, count in enumerate(counts) for place in range(count)]
    assert (runs.counts > 0).all()


@given(one=st.sets(st.integers(0, 40)), other=st.sets(st.integers(0, 40)))
def test_windows_that_both_hold(one: set[int], other: set[int]) -> None:
    runs = [WindowRuns.of_starts(np.array(sorted(starts), np.int64)) for starts in (one, other)]
    shared = runs[0].shared_with(runs[1])
    assert shared.starts().tolist() == sorted(one & other)


@given(starts=st.lists(st.integers(0, 60), min_size=1, max_size=40), lookback=st.integers(1, 8))
def test_the_rows_of_windows_are_each_named_once(starts: list[int], lookback: int) -> None:
    held = sorted({start + row for start in starts for row in range(lookback)})
    runs = WindowRuns.of_starts(np.array(starts, np.int64)).rows(lookback)
    assert runs.starts().tolist() == held
    assert (runs.first[1:] > runs.ends[:-1]).all()


@given(mask=st.lists(st.booleans(), max_size=40))
def test_marked_rows_are_windows_of_one_row(mask: list[bool]) -> None:
    assert WindowRuns.of_rows(np.array(mask, np.bool_)).starts().tolist() == np.flatnonzero(mask).tolist()


def test_no_windows_hold_no_rows() -> None:
    assert len(WindowRuns.of_starts(np.empty(0, np.int64)).rows(5)) == 0
