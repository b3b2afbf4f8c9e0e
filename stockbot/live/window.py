"""What the model sees of one symbol: its last LOOKBACK scaled rows, without a break."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Skip = Literal["warm_up", "gap", "non_finite"]
_SPARE = 4  # lookbacks that the buffer holds: the rows move to its front once in three lookbacks


class Window:
    """The rows since the last break; the same rule as `pipelines.splits.segments`, one row at a time.

    A step between labels longer than `max_gap_ns` empties it, and so do another session and a row that is not finite.
    """

    def __init__(self, lookback: int, width: int, *, max_gap_ns: int, warmup: int) -> None:
        self._lookback = lookback
        self._max_gap_ns = max_gap_ns
        self._warming = warmup
        self._rows = np.empty((_SPARE * lookback, width), np.float32)
        self._start = self._end = 0
        self._last_label: int | None = None
        self._session = 0
        self._cause: Skip = "warm_up"

    def push(self, label: int, row: NDArray[np.float32], session: int = 0) -> Skip | None:
        """Take the next row; None when the window is whole, else what it still recovers from.

        Args:
            label: ns UTC, start of the bar.
            row: (features,) float32, scaled.
            session: tells its session from others.
        """
        warming, self._warming = self._warming > 0, max(self._warming - 1, 0)
        if (self._last_label is not None and label - self._last_label > self._max_gap_ns) or session != self._session:
            self._empty("gap")
        self._last_label, self._session = label, session
        if not np.isfinite(row).all():
            self._empty("warm_up" if warming else "non_finite")
            return self._cause
        self._append(row)
        return None if self._end - self._start == self._lookback else self._cause

    @property
    def rows(self) -> NDArray[np.float32]:
        """(1, filled, features) float32, oldest row first; filled is LOOKBACK when `push` returned None."""
        return self._rows[None, self._start : self._end]

    def _append(self, row: NDArray[np.float32]) -> None:
        if self._end - self._start == self._lookback:
            self._start += 1
        if self._end == len(self._rows):
            kept = self._end - self._start
            self._rows[:kept] = self._rows[self._start : self._end].copy()
            self._start, self._end = 0, kept
        self._rows[self._end] = row
        self._end += 1

    def _empty(self, cause: Skip) -> None:
        self._start = self._end
        self._cause = cause
