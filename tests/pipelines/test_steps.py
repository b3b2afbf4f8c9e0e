"""Quantiles of steps between rows are those of the list of all of them, in memory that does not grow with it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import steps
from pipelines.splits import AUTO_GAP_FLOOR_NS, auto_max_gap, usual_step
from pipelines.steps import Steps, step_quantile

SHARES = (0.0, 0.5, 0.9, 1.0)
SAMPLES = st.sampled_from([1, 3, 1 << 17])


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "BLOCK_ROWS", 7)


def expected(stamps: list[np.ndarray], share: float) -> float:
    apart = np.concatenate([np.diff(times) for times in stamps])
    return float(np.quantile(apart[apart > 0], share)) if (apart > 0).any() else 0.0


@given(
    lists=st.lists(st.lists(st.integers(0, 10**12) | st.sampled_from([0, 5, 6]), max_size=30), min_size=1, max_size=3),
    sampled=SAMPLES,
)
def test_of_any_times(lists: list[list[int]], sampled: int) -> None:
    stamps = [np.cumsum([0, *each]) for each in lists]
    offsets = np.cumsum([0, *map(len, stamps)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "SAMPLED", sampled)
        for share in SHARES:
            assert step_quantile(np.concatenate(stamps), offsets, share) == expected(stamps, share)
        gap = max(AUTO_GAP_FLOOR_NS, int(10 * expected(stamps, 0.9)))
        assert auto_max_gap(np.concatenate(stamps), offsets) == gap
        assert usual_step(np.concatenate(stamps), offsets) == int(expected(stamps, 0.5))


def test_of_irregular_times_few_steps_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "BLOCK_ROWS", 5000)
    monkeypatch.setattr(steps, "SAMPLED", 10_000)
    counted: list[int] = []
    monkeypatch.setattr(
        Steps, "at", lambda self, place, rest, at=Steps.at: counted.append(len(self)) or at(self, place, rest)
    )
    stamps = np.cumsum(np.random.default_rng(0).exponential(1e9, 100_000).astype(np.int64))
    assert step_quantile(stamps, np.array([0, len(stamps)]), 0.9) == expected([stamps], 0.9)
    assert max(counted) <= 10_000


def test_a_sample_that_misleads_costs_a_pass_and_not_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "BLOCK_ROWS", 5000)
    monkeypatch.setattr(steps, "SAMPLED", 100)
    apart = np.random.default_rng(0).integers(50, 10**6, 1000)
    apart[::10] = 1
    stamps = np.cumsum([0, *apart])
    assert step_quantile(stamps, np.array([0, len(stamps)]), 0.9) == expected([stamps], 0.9)


def test_counted_steps_are_as_their_list() -> None:
    counted, apart = Steps(), np.array([3, 1, 0, 1, 7, -2, 3, 3])
    assert counted.quantile(0.5) == 0.0
    for begin in range(0, len(apart), 3):
        counted.add(apart[begin : begin + 3])
    for share in SHARES:
        assert counted.quantile(share) == np.quantile(apart[apart > 0], share)
