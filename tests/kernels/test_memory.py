"""Arrays lie where other libraries want them."""

import numpy as np
import pytest

from kernels.memory import ALIGNMENT, aligned, aligned_empty, is_aligned


@pytest.mark.parametrize("shape", [(1,), (1000, 17), (3, 5, 7)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_arrays_begin_at_a_multiple_of_the_alignment(shape: tuple[int, ...], dtype: type) -> None:
    arrays = [aligned_empty(shape, dtype) for _ in range(5)]
    for array in arrays:
        assert array.shape == shape
        assert array.dtype == dtype
        assert array.ctypes.data % ALIGNMENT == 0
        assert array.flags.c_contiguous
        assert array.flags.writeable


def test_an_array_that_lies_well_is_not_copied() -> None:
    array = aligned_empty((10, 16), np.float32)
    assert aligned(array) is array


def test_others_are_copied() -> None:
    whole = aligned_empty((10, 16), np.float32)
    whole[...] = np.arange(160).reshape(10, 16)
    shifted, turned, frozen = whole.ravel()[1:], whole.T, whole.view()
    frozen.flags.writeable = False
    for array in (shifted, turned, frozen):
        copy = aligned(array)
        assert is_aligned(copy)
        assert not np.shares_memory(copy, whole)
        np.testing.assert_array_equal(copy, array)
