"""Bytes of numbers in streams: every bit stays, and lies where the layout says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from kernels import reference
from kernels.byte_streams import split_bytes

# Any bits at all: every NaN payload, infinities, denormals, both zeros.
BITS = {np.float32: np.uint32, np.float64: np.uint64}
LENGTHS = st.integers(0, 200)  # around the width of vector registers and their remainders


@pytest.mark.parametrize("dtype", BITS)
@given(data=st.data())
def test_equals_twin(dtype: type, data: st.DataObject) -> None:
    values = data.draw(arrays.arrays(BITS[dtype], LENGTHS)).view(dtype)
    np.testing.assert_array_equal(split_bytes(values), reference.split_bytes(values))


@pytest.mark.parametrize("dtype", BITS)
@given(data=st.data())
def test_streams_put_together_are_the_numbers(dtype: type, data: st.DataObject) -> None:
    bits = data.draw(arrays.arrays(BITS[dtype], LENGTHS))
    streams = split_bytes(bits.view(dtype)).reshape(bits.itemsize, -1)
    together = sum(stream.astype(bits.dtype) << bits.dtype.type(8 * place) for place, stream in enumerate(streams))
    np.testing.assert_array_equal(together, bits)


def test_a_row_of_a_matrix_is_split_into_a_reused_buffer() -> None:
    matrix = np.arange(30, dtype=np.float32).reshape(3, 10)
    out = np.zeros(40, np.uint8)
    assert split_bytes(matrix[1, 2:7], out[5:25]).base is out
    np.testing.assert_array_equal(out[5:25], reference.split_bytes(matrix[1, 2:7]))
    assert not out[:5].any()
    assert not out[25:].any()


@pytest.mark.parametrize(
    ("values", "out", "error", "message"),
    [
        (np.zeros(3, np.float16), None, TypeError, "values: expected numbers of 4 or 8 bytes, received float16"),
        (np.zeros((2, 2)), None, ValueError, r"values: expected one contiguous dimension, received shape \(2, 2\)"),
        (np.zeros(6)[::2], None, ValueError, "values: expected one contiguous dimension"),
        (
            np.zeros(3),
            np.zeros(23, np.uint8),
            ValueError,
            r"out: expected 24 contiguous bytes, received uint8 .*23",
        ),
        (np.zeros(3), np.zeros(24, np.int8), ValueError, "out: expected 24 contiguous bytes, received int8"),
        (np.zeros(3), np.zeros(48, np.uint8)[::2], ValueError, "out: expected 24 contiguous bytes"),
    ],
)
def test_bad_arguments_are_named(
    values: np.ndarray, out: np.ndarray | None, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        split_bytes(values, out)
