"""Weights say what windows count, and count as one on average."""

from collections.abc import Iterator

import numpy as np
import pytest

from kernels import reference
from pipelines.weights import class_weights, uniqueness_weights
from pipelines.window_runs import WindowRuns

LOOKBACK = 3


def together(blocks: Iterator[np.ndarray]) -> np.ndarray:
    return np.concatenate(list(blocks))


def test_uniqueness_is_that_of_the_labels_of_the_windows() -> None:
    starts = np.array([0, 1, 2, 3, 10, 14, 15])
    weights = together(uniqueness_weights(WindowRuns.of_starts(starts), lookback=LOOKBACK, horizon=4, rows=25))
    labelled = np.isin(np.arange(25), starts + LOOKBACK - 1)
    expected = reference.average_uniqueness(labelled, 4)
    np.testing.assert_allclose(weights, expected / expected[labelled].mean(), rtol=1e-6)
    assert weights[starts + LOOKBACK - 1].mean() == pytest.approx(1.0, rel=1e-6)
    assert weights.argmax() == 10 + LOOKBACK - 1  # the one whose label overlaps with no other


@pytest.mark.parametrize("horizon", [1, 4, 30])
def test_weights_do_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch, horizon: int) -> None:
    rng = np.random.default_rng(0)
    starts = np.flatnonzero(rng.random(90) < 0.6)
    runs, classes = WindowRuns.of_starts(starts), rng.integers(0, 3, 100).astype(np.float64)
    found = []
    for rows in (1000, 7):
        monkeypatch.setattr("pipelines.columns.BLOCK_ROWS", rows)
        found.append(together(uniqueness_weights(runs, lookback=LOOKBACK, horizon=horizon, rows=100)))
        found.append(together(class_weights(runs, classes, lookback=LOOKBACK)))
    np.testing.assert_allclose(found[2], found[0], rtol=1e-6)
    np.testing.assert_array_equal(found[3], found[1])


def test_every_class_counts_the_same_in_all() -> None:
    starts = np.arange(9)
    classes = np.full(12, np.nan, np.float32)
    classes[starts + 2] = [0, 0, 1, 0, 0, 0, 1, 0, 0]
    weights = together(class_weights(WindowRuns.of_starts(starts), classes, lookback=LOOKBACK))
    decisions = starts + LOOKBACK - 1
    assert weights[decisions].mean() == pytest.approx(1.0)
    totals = [weights[decisions][classes[decisions] == label].sum() for label in (0, 1)]
    assert totals == pytest.approx([4.5, 4.5])
    assert not weights[[0, 1, 11]].any()
