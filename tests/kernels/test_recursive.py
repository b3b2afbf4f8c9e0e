"""Recursions: rows that take no part, zeros of either sign, groups that every cut must find again."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kernels
from kernels import lines
from tests.kernels.catalogue import CASES, Case, market

RECURSIVE = [case for case in CASES if case.name in {"ema", "macd", "rsi", "atr", "adx"}]
cases = pytest.mark.parametrize("case", RECURSIVE, ids=lambda case: f"{case.name}-{case.parameters[0]}")
ODD = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e308, -1e308, 5e-324]


def _assert_cuts_agree(case: Case, data: dict[str, np.ndarray], edges: list[int]) -> None:
    whole = case.whole(data)
    state = case.new_state()
    parts = [np.empty(edges[-1]) for _ in whole]
    for start, stop in itertools.pairwise(edges):
        case.update(state, *(data[name][start:stop] for name in case.inputs), *(part[start:stop] for part in parts))
    for one, other in zip(whole, parts, strict=True):
        assert one.tobytes() == other.tobytes()


@cases
@given(
    cuts=st.lists(st.integers(0, 200), max_size=10),
    odd=st.lists(st.tuples(st.integers(0, 199), st.integers(0, 2), st.sampled_from(ODD)), max_size=8),
)
@settings(max_examples=100, deadline=None)
def test_any_cut_gives_the_same_bits_among_odd_values(case: Case, cuts: list[int], odd: list) -> None:
    data = market(200, seed=4)
    for row, column, value in odd:
        data[("price", "high", "low")[column]][row] = value
    _assert_cuts_agree(case, data, sorted({0, *cuts, 200}))


@cases
@pytest.mark.parametrize("column", ["price", "high", "low"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e308, -1e308])
def test_an_odd_value_anywhere_in_a_group_is_cut_to_the_same_bits(case: Case, column: str, value: float) -> None:
    for row in range(100, 104):
        data = market(130, seed=4)
        data[column][row] = value
        _assert_cuts_agree(case, data, list(range(131)))


@cases
@pytest.mark.parametrize("value", [0.0, -0.0, 1e-320, 7.0])
def test_a_series_that_stands_still_is_cut_to_the_same_bits(case: Case, value: float) -> None:
    data = {name: np.full(120, value) for name in ("price", "high", "low")}
    _assert_cuts_agree(case, data, list(range(121)))


@cases
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_row_without_part_leaves_no_trace(case: Case, value: float) -> None:
    data = market(150, seed=2)
    spoiled = {name: np.insert(data[name], 77, value) for name in case.inputs}
    for clean, other in zip(case.whole(data), case.whole(spoiled), strict=True):
        assert np.isnan(other[77])
        assert np.delete(other, 77).tobytes() == clean.tobytes()


@pytest.mark.parametrize("spans", [(1, 2, 1), (2, 3, 5), (12, 26, 9), (5, 12, 3), (5, 13, 4), (6, 14, 2)])
def test_macd_cut_at_every_row_of_its_groups(spans: tuple[int, int, int]) -> None:
    case = Case("macd", ("price",), spans, lines, outputs=3)
    for first in range(1, 60):
        _assert_cuts_agree(case, market(64), [0, first, 64])


@pytest.mark.parametrize("kernel", [kernels.macd, kernels.bollinger], ids=["macd", "bollinger"])
def test_three_results_go_where_they_are_told_to(kernel) -> None:
    x = market(100)["price"]
    out = np.empty(100), np.empty(100), np.empty(100)
    written = kernel(x, out=out)
    for mine, given_back, allocated in zip(out, written, kernel(x), strict=True):
        assert mine is given_back
        np.testing.assert_array_equal(mine, allocated)
