"""How much an archive holds in a day, from which the period of its files follows."""

from dataclasses import dataclass, replace

import polars as pl

from pipelines.bars import BarSpec
from pipelines.making import Kind
from pipelines.parts import Period

_DAY_NS = 86_400 * 10**9
_LEAST_DAYS = 1e-4
_DENSE = 150  # rows a day from which a file a day is worth having


@dataclass(frozen=True)
class Density:
    """How much there is in so many days of symbols: adds up over sources."""

    days: float
    rows: int
    volume: float
    dollar: float

    @classmethod
    def of(cls, frame: pl.DataFrame) -> "Density":
        """Of canonical rows; candles have no use for what they traded."""
        days = frame.select(pl.struct("symbol", pl.col("timestamp").dt.date()).n_unique()).item()
        if "price" not in frame.columns:
            return cls(days, len(frame), 0.0, 0.0)
        return cls(days, len(frame), float(frame["volume"].sum()), float((frame["volume"] * frame["price"]).sum()))

    @classmethod
    def of_beginning(cls, head: pl.DataFrame) -> "Density":
        """Of the first rows of a file that goes on: a day that they only begin counts as the part that they span."""
        whole = cls.of(head)
        span = head["timestamp"].to_physical()
        return replace(whole, days=min(whole.days, max((span[-1] - span[0]) / _DAY_NS, _LEAST_DAYS)))

    def __add__(self, other: "Density") -> "Density":
        return Density(*(one + another for one, another in zip(vars(self).values(), vars(other).values(), strict=True)))

    def period(self, kind: Kind, bars: BarSpec) -> Period:
        """Days for dense rows, months or years for sparse ones: thousands of files of a few rows serve nobody."""
        rows = self.rows / self.days
        if kind == "ticks" and bars.kind == "time":
            rows = min(rows, _DAY_NS / bars.size)
        elif kind == "ticks" and bars.kind == "tick":
            rows /= bars.size
        elif kind == "ticks" and bars.kind in ("volume", "dollar"):
            rows = (self.dollar if bars.kind == "dollar" else self.volume) / self.days / bars.size
        return "day" if rows >= _DENSE else "month" if rows >= _DENSE / 30 else "year"
