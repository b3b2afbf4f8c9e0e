"""Outlier prints among the rows of a partition, which come in pieces.

The prices around a row are those of its own partition: so a verdict needs nothing else, however the rows were read.
"""

import numpy as np
import polars as pl

from kernels.arrays import Floats
from kernels.prints import AROUND, SIDE, outlier_prints


class PrintJudge:
    """Tells the outlier prints of a partition, whose rows come in pieces of any size; it holds `SIDE` rows back."""

    def __init__(self) -> None:
        self._before: Floats = np.empty(0)  # prices of rows that were given back
        self._waiting: list[pl.DataFrame] = []

    def take(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series] | None:
        """Take the next rows; returns those that can be judged now, and which of them are outlier prints."""
        self._waiting.append(rows)
        waiting = sum(map(len, self._waiting))
        ready = waiting - SIDE if len(self._before) + waiting > AROUND else 0
        return self._judged(ready) if ready > 0 else None

    def rest(self) -> tuple[pl.DataFrame, pl.Series] | None:
        """The rows held back, when no more come."""
        waiting = sum(map(len, self._waiting))
        return self._judged(waiting) if waiting else None

    def _judged(self, ready: int) -> tuple[pl.DataFrame, pl.Series]:
        rows = pl.concat(self._waiting, how="diagonal") if len(self._waiting) > 1 else self._waiting[0]
        prices = np.concatenate([self._before, rows["price"].to_numpy()])
        first = len(self._before)
        found = outlier_prints(prices, first, first + ready)
        self._before = prices[max(0, first + ready - AROUND) : first + ready]
        self._waiting = [rows[ready:]] if ready < len(rows) else []
        return rows[:ready], pl.Series(found)
