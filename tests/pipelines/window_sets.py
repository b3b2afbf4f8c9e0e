"""Small sets of windows whose rows and targets say which row they are of."""

import numpy as np

from pipelines.panel import WindowSet
from pipelines.window_runs import WindowRuns

LOOKBACK = 3


def window_set(windows: int = 10, *, features: int = 2, dim: int = 1, weighted: bool = False) -> WindowSet:
    """Every window of so many rows and two more; target k of a decision row is `row + k / 4`, its weight `row / 2`."""
    rows = windows + LOOKBACK - 1
    matrix = np.arange(rows * features, dtype=np.float32).reshape(rows, features)
    targets = np.arange(rows, dtype=np.float32)[:, None] + np.arange(dim, dtype=np.float32) / 4
    weights = np.arange(rows, dtype=np.float32) / 2 if weighted else None
    return WindowSet(matrix, WindowRuns.of_starts(np.arange(windows)), targets, LOOKBACK, weights)


def starts_of(targets: np.ndarray) -> list[int]:
    """First rows of the windows that these targets are of."""
    return (targets[:, 0].astype(int) - LOOKBACK + 1).tolist()
