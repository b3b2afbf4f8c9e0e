"""What a window counts in training, by the row it decides at: (rows,) float32 of mean 1 over the windows, 0 elsewhere.

Weights come in blocks, those of rows in memory too, so that they are the same to the bit. Weights of several kinds are
multiplied.
"""

from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from kernels.arrays import Floats
from kernels.labels import average_uniqueness
from pipelines.columns import Column, blocks_of
from pipelines.window_runs import WindowRuns

Weights = NDArray[np.float32]


def uniqueness_weights(runs: WindowRuns, *, lookback: int, horizon: int, rows: int) -> Iterator[Weights]:
    """By how little a window's label overlaps with those of others: `kernels.labels.average_uniqueness`.

    Args:
        runs: the windows to train on. rows: of all symbols; windows of different symbols do not overlap.
        horizon: the longest, when there are several.
    """
    decisions = runs.moved(lookback - 1)
    # 0 for rows without a label, so that the sum is that of the windows.
    mean = sum(float(values.sum()) for values in _uniqueness(decisions, horizon, rows)) / len(decisions)
    for values in _uniqueness(decisions, horizon, rows):
        yield np.asarray(values / mean, np.float32)


def class_weights(runs: WindowRuns, classes: Column, *, lookback: int) -> Iterator[Weights]:
    """By how rare its class is, so that every class counts the same in all.

    Args:
        runs: the windows to train on.
        classes: (rows,) the label of each decision row.
    """
    decisions, counts = runs.moved(lookback - 1), Counter[float]()
    for part in blocks_of(len(classes)):
        found = np.unique(classes[part][decisions.marked(part.start, part.stop)], return_counts=True)
        counts.update(dict(zip(*(each.tolist() for each in found), strict=True)))
    weight = {name: len(decisions) / (len(counts) * count) for name, count in counts.items()}
    for part in blocks_of(len(classes)):
        used, weights = decisions.marked(part.start, part.stop), np.zeros(part.stop - part.start, np.float32)
        for name, value in weight.items():
            weights[used & (classes[part] == name)] = value
        yield weights


def _uniqueness(decisions: WindowRuns, horizon: int, rows: int) -> Iterator[Floats]:
    """Of each row, block by block: it follows from the labels of the rows less than a horizon away."""
    for part in blocks_of(rows):
        begin, end = max(part.start - horizon, 0), min(part.stop + horizon, rows)
        yield average_uniqueness(decisions.marked(begin, end), horizon)[part.start - begin : part.stop - begin]
