"""What a window counts in training, by the row it decides at: (rows,) float32 of mean 1 over the windows, 0 elsewhere.

Weights of several kinds are multiplied.
"""

import numpy as np
from numpy.typing import NDArray

from kernels.labels import average_uniqueness
from pipelines.window_runs import WindowRuns

Weights = NDArray[np.float32]


def uniqueness_weights(runs: WindowRuns, *, lookback: int, horizon: int, rows: int) -> Weights:
    """By how little a window's label overlaps with those of others: `kernels.labels.average_uniqueness`.

    Args:
        runs: the windows to train on. rows: of all symbols; windows of different symbols do not overlap.
        horizon: the longest, when there are several.
    """
    labelled = np.zeros(rows, np.bool_)
    for first, count in zip(runs.first, runs.counts, strict=True):
        labelled[first + lookback - 1 : first + lookback - 1 + count] = True
    return _of_mean_one(average_uniqueness(labelled, horizon), labelled)


def class_weights(runs: WindowRuns, classes: NDArray[np.float32], *, lookback: int) -> Weights:
    """By how rare its class is, so that every class counts the same in all.

    Args:
        runs: the windows to train on.
        classes: (rows,) the label of each decision row.
    """
    decisions = runs.starts() + lookback - 1
    _, found, counts = np.unique(classes[decisions], return_inverse=True, return_counts=True)
    weights = np.zeros(len(classes), np.float32)
    weights[decisions] = (len(decisions) / (len(counts) * counts))[found]
    return weights


def _of_mean_one(values: NDArray[np.float64], used: NDArray[np.bool_]) -> Weights:
    return np.asarray(values / values[used].mean(), np.float32)
