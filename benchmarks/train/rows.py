"""The rows that windows are taken from: one shape for every contender."""

from dataclasses import dataclass

import numpy as np

from kernels.memory import aligned_empty
from pipelines.panel import WindowSet
from pipelines.window_runs import WindowRuns

LOOKBACK, HORIZON, FEATURES = 60, 1, 16


@dataclass(frozen=True)
class Rows:
    """(rows, 16) float32 without meaning, and a target for each."""

    matrix: np.ndarray
    targets: np.ndarray

    @classmethod
    def made(cls, count: int) -> "Rows":
        rng = np.random.default_rng(7)
        matrix, targets = aligned_empty((count, FEATURES), np.float32), aligned_empty((count, 1), np.float32)
        rng.standard_normal(out=matrix, dtype=np.float32)
        rng.standard_normal(out=targets, dtype=np.float32)
        return cls(matrix, targets)

    @property
    def starts(self) -> np.ndarray:
        """First rows of all windows."""
        return np.arange(len(self.matrix) - LOOKBACK - HORIZON + 1)

    @property
    def windows(self) -> WindowSet:
        return WindowSet(self.matrix, WindowRuns.of_starts(self.starts), self.targets, LOOKBACK)
