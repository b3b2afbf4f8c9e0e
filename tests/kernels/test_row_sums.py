"""Sums of columns: the same for every cut, another one whatever changes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from kernels import reference
from kernels.row_sums import SIZE, row_sum

WORDS = arrays.arrays(np.uint64, st.integers(1, 200))


@given(words=WORDS, first=st.integers(0, 2**40))
def test_equals_twin(words: np.ndarray, first: int) -> None:
    assert row_sum(words.view(np.float64), first) == reference.row_sum(words.view(np.float64), first)


@given(words=WORDS, data=st.data())
def test_runs_add_up(words: np.ndarray, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(words)))
    assert (row_sum(words[:cut]) + row_sum(words[cut:], cut)) % SIZE == row_sum(words)


@given(words=WORDS, data=st.data())
def test_one_changed_value_is_another_sum(words: np.ndarray, data: st.DataObject) -> None:
    other = words.copy()
    other[data.draw(st.integers(0, len(words) - 1))] ^= np.uint64(data.draw(st.integers(1, SIZE - 1)))
    assert row_sum(other) != row_sum(words)


def test_round_numbers_that_change_places_are_another_sum() -> None:
    values = np.random.default_rng(0).integers(1, 9, 100_000).astype(float)
    for distance in 2 ** np.arange(17):
        place = int(np.flatnonzero(values[distance:] != values[:-distance])[0])
        other = values.copy()
        other[[place, place + distance]] = values[[place + distance, place]]
        assert row_sum(other) != row_sum(values), distance


def test_other_arrays_are_refused() -> None:
    with pytest.raises(TypeError, match="expected numbers of 8 bytes, received float32"):
        row_sum(np.zeros(3, np.float32))
    with pytest.raises(ValueError, match=r"expected one contiguous dimension, received shape \(2,\)"):
        row_sum(np.zeros(4)[::2])
