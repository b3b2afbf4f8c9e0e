"""Outlier prints among the rows of a partition, which come in pieces.

The prices around a row are those of its own partition: so a verdict needs nothing else, however the rows were read.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kernels.arrays import Floats
from kernels.prints import AROUND, SIDE, outlier_prints

Judged = list[tuple[pl.DataFrame, NDArray[np.bool_]]]  # rows, and which of them are outlier prints

_LARGE = 4 * AROUND  # rows of a piece that is judged as it lies, without being copied beside what was held back


class PrintJudge:
    """Tells the outlier prints of a partition, whose rows come in pieces of any size; it holds `SIDE` rows back."""

    def __init__(self) -> None:
        self._before: Floats = np.empty(0)  # prices of rows that were given back
        self._waiting: pl.DataFrame | None = None

    def take(self, rows: pl.DataFrame) -> Judged:
        """Take the next rows; returns those that can be judged now."""
        if self._waiting is not None and len(self._before) and len(rows) >= _LARGE:
            return self._judge_large(self._waiting, rows)
        if self._waiting is not None:
            rows = pl.concat([self._waiting, rows], how="diagonal")
        self._waiting = rows
        return self._judge(len(rows) - SIDE) if len(self._before) + len(rows) > AROUND else []

    def rest(self) -> Judged:
        """The rows held back, when no more come."""
        return [] if self._waiting is None else self._judge(len(self._waiting))

    def _judge(self, ready: int) -> Judged:
        if ready <= 0 or self._waiting is None:
            return []
        rows, first = self._waiting, len(self._before)
        prices = np.concatenate([self._before, rows["price"].to_numpy()])
        found = outlier_prints(prices, first, first + ready)
        self._before = prices[max(0, first + ready - AROUND) : first + ready]
        self._waiting = rows[ready:] if ready < len(rows) else None
        return [(rows[:ready], found)]

    def _judge_large(self, waiting: pl.DataFrame, rows: pl.DataFrame) -> Judged:
        """Only what lies across the seam of two pieces is copied."""
        prices, ready = rows["price"].to_numpy(), len(rows) - SIDE
        first = len(self._before)
        seam = np.concatenate([self._before, waiting["price"].to_numpy(), prices[:AROUND]])
        across = outlier_prints(seam, first, first + len(waiting) + SIDE)
        found = np.concatenate([across[len(waiting) :], outlier_prints(prices, SIDE, ready)])
        self._before, self._waiting = prices[ready - AROUND : ready], rows[ready:]
        return [(waiting, across[: len(waiting)]), (rows[:ready], found)]
