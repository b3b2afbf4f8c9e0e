"""Rows for the feature engine: bars built from ticks by the kernels, or candles as they came."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import polars as pl

from kernels import bars as kernel_bars
from kernels.arrays import Floats, Integers
from kernels.bars import QUOTE_NAMES, QUOTES

BarKind = Literal["none", "time", "tick", "volume", "dollar"]

_KERNEL_KIND = {
    "none": kernel_bars.TICK,  # a row a tick is a tick bar of size 1
    "time": kernel_bars.TIME,
    "tick": kernel_bars.TICK,
    "volume": kernel_bars.VOLUME,
    "dollar": kernel_bars.DOLLAR,
}


@dataclass(frozen=True)
class BarSpec:
    """How ticks become bars.

    Attributes:
        kind: `none` keeps each tick as a row.
        size: ns of a time bar; ticks, volume or traded value of the others; 1 for `none`.
    """

    kind: BarKind
    size: float

    def describe(self) -> str:
        """The specification in words, such as `time bars of 60 s`."""
        if self.kind == "none":
            return "every tick a row"
        if self.kind == "time":
            return f"time bars of {self.size / 1e9:g} s"
        return f"{self.kind} bars of {self.size:g}"


class Bars(kernel_bars.BarColumns):
    """Bars or candles, oldest row first; a slice is a view.

    A candle has one tick, the sides, changes and largest trade that nothing tells of are 0, and its quotes are NaN.
    """

    def __getitem__(self, rows: slice) -> Self:
        return type(self)(self.columns[:, rows])

    @classmethod
    def from_candles(cls, frame: pl.DataFrame) -> Self:
        """Candles of one symbol, in time order. A candle is known at its own stamp: nothing says how long it is."""
        columns = np.zeros((len(kernel_bars.COLUMN_NAMES), len(frame)))
        bars = cls(columns)
        bars.timestamp[:] = bars.last_timestamp[:] = frame["timestamp"].to_physical().to_numpy()
        for name in ("open", "high", "low", "close", "volume"):
            getattr(bars, name)[:] = frame[name].to_numpy()
        np.multiply(bars.close, bars.volume, out=bars.dollar)
        bars.ticks[:] = 1.0
        for name in (*QUOTE_NAMES, "quote_flow"):
            getattr(bars, name)[:] = np.nan
        return bars

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """The rows of all parts, one after another."""
        return cls(np.concatenate([part.columns for part in parts], axis=1))


class BarBuilder:
    """Ticks of one symbol in, closed bars out; the open bar lives in `state` and may be saved and restored."""

    def __init__(self, spec: BarSpec, *, prices_only: bool = False) -> None:
        """
        Args:
            prices_only: bars have times, prices, volume and dollar alone, in a third of the memory.
        """
        self.spec = spec
        self._prices_only = prices_only
        self.state = kernel_bars.bars_state(_KERNEL_KIND[spec.kind], 1 if spec.kind == "none" else spec.size)

    def update(
        self,
        timestamp: Integers,
        price: Floats,
        volume: Floats,
        side: Floats | None = None,
        quotes: Floats | None = None,
    ) -> Bars:
        """Take ticks in time order and return the bars they close; shapes and dtypes as `kernels.bars`."""
        return Bars(
            kernel_bars.update_bars(self.state, timestamp, price, volume, side, quotes, prices_only=self._prices_only)
        )

    @property
    def open_ticks(self) -> int:
        """Ticks in the open bar."""
        return kernel_bars.open_ticks(self.state)

    def flush(self) -> Bars:
        """The open time bar, taken out of the state; other kinds have a bar only when it is full."""
        if self.spec.kind != "time":
            return self.update(np.empty(0, np.int64), np.empty(0), np.empty(0))
        return Bars(kernel_bars.flush_bars(self.state, prices_only=self._prices_only))


def tick_arrays(frame: pl.DataFrame, *, copied: bool = True) -> tuple[Integers, Floats, Floats, Floats, Floats | None]:
    """(timestamp ns, price, volume, side, quotes) of a tick frame, as the builder takes them.

    An unknown side is 0, a missing part of a quote NaN; no quotes where the frame has no bid and ask.

    Args:
        copied: else the arrays cannot be written to and are the frame's own memory where it lies in one piece, which
            takes a tenth of the time; kernels are compiled once more for such arrays.
    """
    if "side" in frame.columns:
        sides = frame["side"].cast(pl.Float64).fill_null(0.0)
    else:
        sides = pl.Series([0.0]).new_from_index(0, len(frame))
    columns = (frame["timestamp"].to_physical(), frame["price"], frame["volume"], sides)
    arrays = [column.to_numpy(writable=copied) for column in columns]
    if not copied:
        for array in arrays:
            array.flags.writeable = False
    timestamp, price, volume, side = arrays
    return timestamp, price, volume, side, _quotes(frame)


def _quotes(frame: pl.DataFrame) -> Floats | None:
    if not {"bid", "ask"} <= set(frame.columns):
        return None
    quotes = np.full((QUOTES, len(frame)), np.nan)
    for row, name in enumerate(QUOTE_NAMES):
        if name in frame.columns:
            quotes[row] = frame[name].to_numpy()
    return quotes
