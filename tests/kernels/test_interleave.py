"""Columns to rows, for every remainder of the squares of eight."""

import numpy as np
import pytest

from kernels.interleave import interleave


@pytest.mark.parametrize("columns", [1, 7, 8, 9, 16, 21, 30])
@pytest.mark.parametrize("rows", [0, 1, 7, 8, 9, 15, 16, 50])
def test_rows_hold_the_numbers_of_the_columns(rows: int, columns: int) -> None:
    block = np.arange(columns * 50, dtype=np.float32).reshape(columns, 50)
    room = np.full((rows + 2, columns), -1.0, np.float32)
    interleave(block, room[1:-1])
    np.testing.assert_array_equal(room[1:-1], block[:, :rows].T)
    assert (room[[0, -1]] == -1.0).all()
