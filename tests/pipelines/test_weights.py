"""Weights say what windows count, and count as one on average."""

import numpy as np
import pytest

from kernels import reference
from pipelines.weights import class_weights, uniqueness_weights
from pipelines.window_runs import WindowRuns

LOOKBACK = 3


def test_uniqueness_is_that_of_the_labels_of_the_windows() -> None:
    starts = np.array([0, 1, 2, 3, 10, 14, 15])
    weights = uniqueness_weights(WindowRuns.of_starts(starts), lookback=LOOKBACK, horizon=4, rows=25)
    labelled = np.isin(np.arange(25), starts + LOOKBACK - 1)
    expected = reference.average_uniqueness(labelled, 4)
    np.testing.assert_allclose(weights, expected / expected[labelled].mean(), rtol=1e-6)
    assert weights[starts + LOOKBACK - 1].mean() == pytest.approx(1.0, rel=1e-6)
    assert weights.argmax() == 10 + LOOKBACK - 1  # the one whose label overlaps with no other


def test_every_class_counts_the_same_in_all() -> None:
    starts = np.arange(9)
    classes = np.full(12, np.nan, np.float32)
    classes[starts + 2] = [0, 0, 1, 0, 0, 0, 1, 0, 0]
    weights = class_weights(WindowRuns.of_starts(starts), classes, lookback=LOOKBACK)
    decisions = starts + LOOKBACK - 1
    assert weights[decisions].mean() == pytest.approx(1.0)
    totals = [weights[decisions][classes[decisions] == label].sum() for label in (0, 1)]
    assert totals == pytest.approx([4.5, 4.5])
    assert not weights[[0, 1, 11]].any()
