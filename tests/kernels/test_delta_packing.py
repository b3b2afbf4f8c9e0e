"""Packed differences: the bytes of the definition, and within the room that they are promised."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kernels import reference
from kernels.delta_packing import BLOCK, PART, pack_deltas, packed_bytes_at_most

LEAST, MOST = np.iinfo(np.int64).min, np.iinfo(np.int64).max
EDGES = [0, 1, 2, PART, PART + 1, BLOCK - 1, BLOCK, BLOCK + 1, BLOCK + 2, 2 * BLOCK + 1]  # around full parts and blocks


@st.composite
def series(draw: st.DrawFn) -> np.ndarray:
    """Numbers whose differences need anything between 0 and 64 bits."""
    rows = draw(st.sampled_from(EDGES) | st.integers(0, 300))
    bits = draw(st.integers(0, 64))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    steps = rng.integers(0, 2**bits, rows, np.uint64, endpoint=False) if bits else np.zeros(rows, np.uint64)
    start = np.uint64(draw(st.integers(0, 2**64 - 1)))
    return (np.cumsum(steps, dtype=np.uint64) + start).view(np.int64)


@given(values=series())
@example(values=np.array([LEAST, MOST, LEAST, MOST, 0, -1, 1], np.int64))
@example(values=np.array([MOST] * BLOCK + [LEAST], np.int64))
@example(values=np.arange(BLOCK + 1, dtype=np.int64)[::-1].copy())
def test_equals_twin(values: np.ndarray) -> None:
    packed = pack_deltas(values)
    np.testing.assert_array_equal(packed, reference.pack_deltas(values))
    assert len(packed) <= packed_bytes_at_most(len(values))


@pytest.mark.parametrize("rows", EDGES)
def test_the_room_suffices_for_the_widest(rows: int) -> None:
    values = np.random.default_rng(rows).integers(LEAST, MOST, rows)
    out = np.full(packed_bytes_at_most(rows) + 8, 7, np.uint8)
    packed = pack_deltas(values, out[:-8])
    assert packed.base is out
    assert (out[-8:] == 7).all()
    np.testing.assert_array_equal(packed, reference.pack_deltas(values))


@pytest.mark.parametrize(
    ("values", "out", "error", "message"),
    [
        (np.zeros(3), None, TypeError, "values: expected int64, received float64"),
        (np.zeros((2, 2), np.int64), None, ValueError, "values: expected one contiguous dimension"),
        (np.zeros(6, np.int64)[::2], None, ValueError, "values: expected one contiguous dimension"),
        (np.zeros(3, np.int64), np.zeros(9, np.uint8), ValueError, "out: expected at least .* contiguous bytes"),
        (np.zeros(3, np.int64), np.zeros(9999, np.int8), ValueError, "out: expected at least .* received int8"),
        (np.zeros(3, np.int64), np.zeros(9999, np.uint8)[::2], ValueError, "out: expected at least .* contiguous"),
    ],
)
def test_bad_arguments_are_named(
    values: np.ndarray, out: np.ndarray | None, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        pack_deltas(values, out)
