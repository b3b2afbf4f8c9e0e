"""Every kernel against its twin, and every way of cutting the rows against the whole."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernels.catalogue import CASES, Case, market

cases = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}-{'-'.join(map(str, case.parameters))}")


def spoiled(data: dict[str, np.ndarray], rows: dict[int, float]) -> dict[str, np.ndarray]:
    """The data with some values of every input replaced."""
    data = {name: values.copy() for name, values in data.items()}
    for row, value in rows.items():
        for values in data.values():
            if row < len(values):
                values[row] = value
    return data


def assert_close(case: Case, data: dict[str, np.ndarray]) -> None:
    for ours, twin in zip(case.whole(data), case.twin(data), strict=True):
        np.testing.assert_array_equal(np.isnan(ours), np.isnan(twin))
        np.testing.assert_allclose(ours, twin, rtol=1e-11, atol=1e-11)


@cases
@pytest.mark.parametrize("rows", [0, 1, 2, 4, 5, 6, 19, 20, 21, 63, 64, 65, 500])
def test_equals_twin_at_every_length(case: Case, rows: int) -> None:
    assert_close(case, market(rows))


@cases
def test_equals_twin_around_missing_rows(case: Case) -> None:
    runs = dict.fromkeys([0, 1, 40, 41, 42, 43, 100, 199, 299], float("nan"))
    assert_close(case, spoiled(market(300), runs))


@cases
@given(seed=st.integers(0, 2**32 - 1), cuts=st.lists(st.integers(0, 400), max_size=12), data=st.data())
@settings(max_examples=15, deadline=None)
def test_any_cut_gives_the_same_bits(case: Case, seed: int, cuts: list[int], data: st.DataObject) -> None:
    holes = data.draw(st.dictionaries(st.integers(0, 399), st.sampled_from([float("nan"), 1e12, 5e-324]), max_size=6))
    arrays = spoiled(market(400, seed), holes)
    inputs = [arrays[name] for name in case.inputs]
    edges = sorted({0, *cuts, 400})
    outputs = [np.empty(400) for _ in range(case.outputs)]
    state = case.new_state()
    for start, stop in itertools.pairwise(edges):
        state = np.frombuffer(state.tobytes()).copy()  # saved and restored at every cut
        case.update(state, *(values[start:stop] for values in inputs), *(out[start:stop] for out in outputs))
    uncut, expected = case.new_state(), [np.empty(400) for _ in range(case.outputs)]
    case.update(uncut, *inputs, *expected)
    assert uncut.tobytes() == state.tobytes()
    for whole, cut in zip(expected, outputs, strict=True):
        assert whole.tobytes() == cut.tobytes()


@cases
def test_row_by_row_gives_the_same_bits(case: Case) -> None:
    arrays = market(200, seed=3)
    inputs = [arrays[name] for name in case.inputs]
    state = case.new_state()
    outputs = [np.empty(200) for _ in range(case.outputs)]
    for row in range(200):
        one = slice(row, row + 1)
        case.update(state, *(values[one] for values in inputs), *(out[one] for out in outputs))
    for whole, cut in zip(case.whole(arrays), outputs, strict=True):
        assert whole.tobytes() == cut.tobytes()


@cases
def test_inputs_are_left_alone(case: Case) -> None:
    data = market(100)
    before = {name: values.copy() for name, values in data.items()}
    case.whole(data)
    for name, values in data.items():
        np.testing.assert_array_equal(values, before[name])


@cases
def test_no_row_depends_on_later_ones(case: Case) -> None:
    data = market(300)
    for ours, early in zip(case.whole(data), case.whole({n: v[:171] for n, v in data.items()}), strict=True):
        assert ours[:171].tobytes() == early.tobytes()
