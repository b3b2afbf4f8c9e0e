"""Outlier prints: trades and quotes whose price leaves the local level and comes straight back.

The rule is Q4 of Barndorff-Nielsen, Hansen, Lunde and Shephard (2009), "Realized kernels in practice", Econometrics
Journal 12: a price is an outlier when it is more than 10 mean absolute deviations away from the median of the 50
prices around it, 25 before and 25 after, itself left out. As in Brownlees and Gallo (2006), "Financial econometric
analysis at ultra-high frequency", CSDA 51, a granularity is added, here 0.2 % of that median, lest every tick away from
a price that stood still is one, and the 50 are taken from within one period: at its beginning the first ones, at its
end the last. So a verdict needs nothing but the partition that the row is in, however it was read.

Fewer than six prices in a row can be outliers: after six, the deviations are those of a new level. Of 1.07 million real
ticks the rule finds seven, the two trades at 15.00 between 4.39 and 2.70 among them.
"""

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kernels.arrays import Floats

SIDE = 25
AROUND = 2 * SIDE
DEVIATIONS = 10.0
GRANULARITY = 0.002  # of the median
_BLOCK = 64  # rows: at least AROUND, so that what is around a row is in its block and the two beside it
_AT_ONCE = 16_384


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


def outlier_prints(prices: Floats, first: int, stop: int) -> NDArray[np.bool_]:
    """Which of the prices `first` to `stop` are outliers, (stop - first,) bool; none when there are too few to tell.

    prices : (rows,) float64, finite and above 0
    """
    found = np.zeros(stop - first, dtype=bool)
    if len(prices) <= AROUND:
        return found
    for rows in _far_from_others(prices, first, stop):
        others, own = _around(prices, rows)
        median = np.median(others, axis=1)
        deviation = np.abs(others - median[:, None]).mean(axis=1)
        found[rows - first] = np.abs(own - median) > DEVIATIONS * deviation + GRANULARITY * median
    return found


def _far_from_others(prices: Floats, first: int, stop: int) -> Iterator[NDArray[np.int64]]:
    """Rows that may be outliers: a cheap look that passes over the others, and misses none.

    An outlier is more than the granularity away from a price around it, and less than ten of those are within half its
    distance from it: their deviations alone would come to more than a tenth of it.
    """
    starts = np.arange(0, len(prices), _BLOCK)
    low, high = np.minimum.reduceat(prices, starts), np.maximum.reduceat(prices, starts)
    low, high = _with_neighbours(low, np.minimum, np.inf), _with_neighbours(high, np.maximum, -np.inf)
    blocks = np.flatnonzero(high - low > GRANULARITY * low)
    rows = (blocks[:, None] * _BLOCK + np.arange(_BLOCK)).ravel()
    rows = rows[(rows >= first) & (rows < stop)]
    for start in range(0, len(rows), _AT_ONCE):
        some = rows[start : start + _AT_ONCE]
        others, own = _around(prices, some)
        near = np.abs(others - own[:, None]) <= GRANULARITY / 2 * low[some // _BLOCK][:, None]
        yield some[np.count_nonzero(near, axis=1) < AROUND / DEVIATIONS * 2]


def _with_neighbours(values: Floats, choose: np.ufunc, none: float) -> Floats:
    padded = np.concatenate([[none], values, [none]])
    return np.asarray(choose(choose(padded[:-2], padded[1:-1]), padded[2:]))


def _around(prices: Floats, rows: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """The prices around each of some rows, (rows, AROUND), and those of the rows."""
    starts = np.clip(rows - SIDE, 0, len(prices) - AROUND - 1)
    at = starts[:, None] + np.arange(AROUND)
    at += at >= rows[:, None]
    return prices[at], prices[rows]
