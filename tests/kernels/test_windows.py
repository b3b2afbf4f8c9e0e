"""Windows and their gather."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels import gather_windows, reference, sliding_windows, window_rows
from kernels.windows import first_not_finite

MATRIX = np.arange(60, dtype=np.float32).reshape(20, 3)


@given(rows=st.integers(0, 20), lookback=st.integers(1, 25))
def test_view_equals_twin_and_copies_nothing(rows: int, lookback: int) -> None:
    matrix = MATRIX[:rows]
    windows = sliding_windows(matrix, lookback)
    np.testing.assert_array_equal(windows, reference.sliding_windows(matrix, lookback))
    assert windows.dtype == np.float32
    if len(windows):
        assert np.shares_memory(windows, matrix)
        assert not windows.flags.writeable


@given(starts=st.lists(st.integers(0, 15), max_size=30))
def test_gather_equals_twin(starts: list[int]) -> None:
    batch = gather_windows(MATRIX, np.array(starts, np.int64), 5)
    np.testing.assert_array_equal(batch, reference.gather_windows(MATRIX, np.array(starts, np.int64), 5))
    assert batch.shape == (len(starts), 5, 3)


def test_gather_into_a_reused_buffer() -> None:
    out = np.empty((2, 5, 3), np.float32)
    assert gather_windows(MATRIX, np.array([1, 4]), 5, out) is out
    np.testing.assert_array_equal(out, sliding_windows(MATRIX, 5)[[1, 4]])


@pytest.mark.parametrize(
    ("matrix", "starts", "out", "error", "message"),
    [
        (MATRIX, [16], None, ValueError, "window at row 16 leaves the matrix of 20 rows"),
        (MATRIX, [-1], None, ValueError, "window at row -1 leaves the matrix"),
        (MATRIX, [0.5], None, TypeError, "starts: expected .* int64, received float64"),
        (MATRIX.T, [0], None, ValueError, "matrix: expected C-contiguous"),
        (MATRIX, [0], np.empty((1, 5, 3)), ValueError, "out: expected C-contiguous .* float32, received .* float64"),
    ],
)
def test_bad_arguments_are_named(
    matrix: np.ndarray, starts: list[int], out: np.ndarray | None, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        gather_windows(matrix, np.array(starts), 5, out)


def test_bad_views_are_named() -> None:
    with pytest.raises(ValueError, match="lookback: expected at least 1, received 0"):
        sliding_windows(MATRIX, 0)
    with pytest.raises(ValueError, match="expected two dimensions"):
        sliding_windows(MATRIX[0], 3)


@given(counts=st.lists(st.integers(1, 6), min_size=1, max_size=8), data=st.data())
def test_windows_of_runs_equal_twin(counts: list[int], data: st.DataObject) -> None:
    before = np.array([0, *np.cumsum(counts)])
    first = np.array(data.draw(st.lists(st.integers(0, 100), min_size=len(counts), max_size=len(counts))))
    indices = np.array(data.draw(st.lists(st.integers(0, int(before[-1]) - 1), max_size=20)), np.int64)
    np.testing.assert_array_equal(window_rows(first, before, indices), reference.window_rows(first, before, indices))


@pytest.mark.parametrize(
    ("before", "indices", "message"),
    [
        ([0, 3, 5], [5], "indices: no window 5 of 5"),
        ([0, 3, 5], [-1], "indices: no window -1 of 5"),
        ([0, 3, 3], [0], "before: expected 3 rising counts from 0"),
        ([0, 3], [0], "before: expected 3 rising counts from 0"),
    ],
)
def test_bad_runs_are_named(before: list[int], indices: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        window_rows(np.array([7, 50]), np.array(before), np.array(indices))


@given(
    bad=st.lists(st.tuples(st.integers(0, 19), st.integers(0, 2)), max_size=3),
    runs=st.lists(st.tuples(st.integers(0, 12), st.integers(1, 4)), max_size=3),
    value=st.sampled_from([np.nan, np.inf, -np.inf]),
)
def test_what_is_not_finite_is_found_in_windows_alone(
    bad: list[tuple[int, int]], runs: list[tuple[int, int]], value: float
) -> None:
    matrix, lookback = np.full((20, 3), 3e38, np.float32), 5
    for row, column in bad:
        matrix[row, column] = value
    first = np.array([row for row, _ in runs], np.int64)
    before = np.cumsum([0, *(count for _, count in runs)])
    rows = {row + offset for start, count in runs for row in range(start, start + count) for offset in range(lookback)}
    found = first_not_finite(matrix, first, before, lookback)
    inside = {place for place in bad if place[0] in rows}
    assert found in inside if inside else found == (-1, -1)
