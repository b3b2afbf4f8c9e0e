"""Rows for the feature engine: bars built from ticks by the kernels, or candles as they came."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal, Self

import numpy as np
import polars as pl

from kernels import bars as kernel_bars
from kernels.arrays import Floats, Integers

BarKind = Literal["none", "time", "tick", "volume", "dollar"]

_KERNEL_KIND = {
    "none": kernel_bars.TICK,  # a row a tick is a tick bar of size 1
    "time": kernel_bars.TIME,
    "tick": kernel_bars.TICK,
    "volume": kernel_bars.VOLUME,
    "dollar": kernel_bars.DOLLAR,
}
_BLOCK = 1 << 16  # ticks handed to the kernel at once: its output buffers stay in cache


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


@dataclass(frozen=True)
class Bars:
    """Equal-length columns, oldest row first.

    Attributes:
        timestamp: (rows,) int64, label (start of the bar), ns since the epoch, UTC.
        last_timestamp: (rows,) int64, time of the last tick in the bar: when the row is known.
        open, high, low, close: (rows,) float64, prices in quote currency.
        volume, dollar: (rows,) float64, traded quantity and traded value.
        buy_volume, sell_volume: (rows,) float64, parts of the volume by side; 0 where sides are unknown.
        ticks: (rows,) int64, ticks in the bar.
    """

    timestamp: Integers
    last_timestamp: Integers
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    dollar: Floats
    buy_volume: Floats
    sell_volume: Floats
    ticks: Integers

    def __len__(self) -> int:
        return len(self.timestamp)

    def __getitem__(self, rows: slice) -> Self:
        return type(self)(*(getattr(self, field.name)[rows] for field in fields(self)))

    @classmethod
    def from_candles(cls, frame: pl.DataFrame) -> Self:
        """Candles of one symbol, in time order. A candle is known at its own stamp: nothing says how long it is."""
        timestamp = np.ascontiguousarray(frame["timestamp"].to_physical().to_numpy())
        prices = {name: frame[name].to_numpy(writable=True) for name in ("open", "high", "low", "close", "volume")}
        zeros = np.zeros(len(frame))
        return cls(
            timestamp=timestamp,
            last_timestamp=timestamp,
            **prices,
            dollar=prices["close"] * prices["volume"],
            buy_volume=zeros,
            sell_volume=zeros,
            ticks=np.ones(len(frame), np.int64),
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """The rows of all parts, one after another."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))


def _from_kernel(arrays: kernel_bars.BarArrays) -> Bars:
    values = dict(zip(kernel_bars.VALUE_NAMES, arrays.values, strict=True))
    return Bars(timestamp=arrays.times[0], last_timestamp=arrays.times[1], **values, ticks=arrays.ticks)


class BarBuilder:
    """Ticks of one symbol in, closed bars out; the open bar lives in `state` and may be saved and restored."""

    def __init__(self, spec: BarSpec) -> None:
        self.spec = spec
        self.state = kernel_bars.bars_state(_KERNEL_KIND[spec.kind], 1 if spec.kind == "none" else spec.size)

    def update(self, timestamp: Integers, price: Floats, volume: Floats, side: Floats | None = None) -> Bars:
        """Take ticks in time order and return the bars they close; shapes and dtypes as `kernels.bars`."""
        if side is None:
            side = np.zeros(len(price))
        parts = []
        for start in range(0, max(len(price), 1), _BLOCK):
            rows = slice(start, start + _BLOCK)
            arrays = kernel_bars.update_bars(self.state, timestamp[rows], price[rows], volume[rows], side[rows])
            parts.append(_from_kernel(arrays))
        return parts[0] if len(parts) == 1 else Bars.concatenate(parts)

    @property
    def open_ticks(self) -> int:
        """Ticks in the open bar."""
        return kernel_bars.open_ticks(self.state)

    def flush(self) -> Bars:
        """The open time bar, taken out of the state; other kinds have a bar only when it is full."""
        if self.spec.kind != "time":
            return self.update(np.empty(0, np.int64), np.empty(0), np.empty(0))
        return _from_kernel(kernel_bars.flush_bars(self.state))


def tick_arrays(frame: pl.DataFrame) -> tuple[Integers, Floats, Floats, Floats]:
    """(timestamp ns, price, volume, side) of a tick frame, as the builder takes them; an unknown side is 0."""
    if "side" in frame.columns:
        side = frame["side"].cast(pl.Float64).fill_null(0.0).to_numpy(writable=True)
    else:
        side = np.zeros(len(frame))
    timestamp = frame["timestamp"].to_physical().to_numpy(writable=True)
    return timestamp, frame["price"].to_numpy(writable=True), frame["volume"].to_numpy(writable=True), side
