"""Rows are scaled as scikit-learn scales them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels import reference
from kernels.scaling import scaled_rows


@given(rows=st.sampled_from([0, 1, 7, 8, 9, 4095, 4096, 4097, 9000]), features=st.integers(1, 19))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_equal_twin_to_the_bit(dtype: type, rows: int, features: int) -> None:
    rng = np.random.default_rng(rows)
    columns = [rng.normal(1e3, 5.0, rows).astype(dtype) for _ in range(features)]
    if rows:
        columns[0][::3] = np.nan
    center, scale = rng.normal(1e3, 1.0, features), rng.uniform(0.1, 9.0, features)
    out = np.empty((rows, features), np.float32)
    assert scaled_rows(columns, center, scale, out) is out
    np.testing.assert_array_equal(out, reference.scaled_rows(columns, center, scale))


def test_bad_arguments_are_named() -> None:
    columns, ones = [np.ones(4, np.float32)] * 2, np.ones(2)
    with pytest.raises(ValueError, match=r"out: expected C-contiguous \(4, 2\) float32, received \(4, 3\) float32"):
        scaled_rows(columns, ones, ones, np.empty((4, 3), np.float32))
    with pytest.raises(ValueError, match="columns: expected 2 of 4 rows, each with its center and scale"):
        scaled_rows(columns, np.ones(3), ones, np.empty((4, 2), np.float32))
    with pytest.raises(ValueError, match="columns: expected 2 of 4 rows"):
        scaled_rows([columns[0], columns[0][:3]], ones, ones, np.empty((4, 2), np.float32))
