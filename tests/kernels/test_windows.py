"""Windows and their gather."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels import gather_windows, reference, sliding_windows

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
