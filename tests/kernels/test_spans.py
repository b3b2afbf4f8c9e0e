"""One pass over a column tells what NumPy tells in several."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kernels.spans import is_within

WHOLE = st.integers(-(2**62), 2**62)


@given(
    values=arrays(np.float64, st.integers(1, 70), elements=st.floats(width=64)),
    edges=st.tuples(st.floats(allow_nan=False), st.floats(allow_nan=False)),
)
def test_numbers_are_within_what_least_and_most_are_within(values: np.ndarray, edges: tuple[float, float]) -> None:
    least, most = sorted(edges)
    assert is_within(values, least, most) == bool(least <= values.min() and values.max() <= most)


@given(values=arrays(np.int64, st.integers(1, 70), elements=WHOLE), edges=st.tuples(WHOLE, WHOLE))
def test_whole_numbers_are_compared_as_such(values: np.ndarray, edges: tuple[int, int]) -> None:
    least, most = sorted(edges)
    assert is_within(values, least, most) == (least <= int(values.min()) and int(values.max()) <= most)


@pytest.mark.parametrize("row", range(40))
def test_one_number_outside_is_found_wherever_it_lies(row: int) -> None:
    values = np.linspace(1.0, 2.0, 40)
    values.flags.writeable = False
    assert is_within(values, 1.0, 2.0)
    for outside in (np.nan, np.inf, -np.inf, np.nextafter(1.0, 0.0), np.nextafter(2.0, 3.0)):
        changed = values.copy()
        changed[row] = outside
        assert not is_within(changed, 1.0, 2.0)
