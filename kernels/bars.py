"""Ticks to time, tick, volume and dollar bars: one pass, the open bar carried in the state.

A time bar covers `[k · step, (k + 1) · step)` ns since the epoch, is labelled with its start, and is closed by the
first tick after it; a span without ticks has no bar. A tick, volume or dollar bar is closed by the tick that brings
its count, volume or traded value to `size`; that tick belongs to it whole, and its label is the time of its first
tick. Ticks without a side take the sign of the tick rule.
"""

from dataclasses import dataclass

import numpy as np

from kernels.arrays import Floats, Integers, checked
from kernels.bar_machine import (
    BAR,
    COLUMN_NAMES,
    COLUMNS,
    DOLLAR,
    FILL_TOLERANCE,
    KIND,
    LAST,
    PRICE_COLUMNS,
    QUOTE_NAMES,
    QUOTES,
    SIZE,
    TICK,
    TICKS,
    TIME,
    VOLUME,
    bars_update,
    find_ends,
)

__all__ = [
    "COLUMNS",
    "COLUMN_NAMES",
    "DOLLAR",
    "FILL_TOLERANCE",
    "PRICE_COLUMNS",
    "QUOTES",
    "QUOTE_NAMES",
    "TICK",
    "TIME",
    "VOLUME",
    "BarColumns",
    "bars_state",
    "dollar_bars",
    "flush_bars",
    "is_same_kind",
    "open_ticks",
    "tick_bars",
    "time_bars",
    "update_bars",
    "volume_bars",
]


def bars_state(kind: float, size: float) -> Floats:
    """State of a bar builder: `kind` is TIME, TICK, VOLUME or DOLLAR; `size` is ns, ticks, volume or traded value.

    Raises:
        ValueError: unknown kind, or size not above 0 (whole, for time and tick bars).
    """
    if kind not in (TIME, TICK, VOLUME, DOLLAR):
        raise ValueError(f"kind: expected TIME, TICK, VOLUME or DOLLAR, received {kind}")
    if not size > 0 or (kind in (TIME, TICK) and size != int(size)):
        raise ValueError(f"size: expected a number above 0 (whole for time and tick bars), received {size}")
    state = np.zeros(BAR + COLUMNS)
    state[KIND] = kind
    state[SIZE] = size
    return state


@dataclass(frozen=True)
class BarColumns:
    """Bars, oldest first; each column is an attribute by its name in `COLUMN_NAMES`.

    Attributes:
        columns: (columns, bars) float64, in the order of `COLUMN_NAMES`, all or the first `PRICE_COLUMNS`; the first
            two rows hold the bits of int64.
        timestamp: label, the start of the bar, ns since the epoch, UTC. last_timestamp: time of its last tick.
        open, high, low, close: prices in quote currency.
        volume, dollar: traded quantity, and the sum of price x volume.
        buy_volume, sell_volume, buys, sells: volume and ticks by side, by the tick rule where the side is unknown.
        ticks: how many. unchanged: those at the price of the tick before, which may lie in an earlier bar.
        path: sum of |price - price of the tick before|. largest: largest volume of one tick.
        bid, ask, bid_size, ask_size: quote of the last tick, NaN where there is none.
        quote_flow: sum over the ticks of the best-level order-flow imbalance of Cont, Kukanov and Stoikov (2014),
            `1[b >= b'] B - 1[b <= b'] B' - 1[a <= a'] A + 1[a >= a'] A'` with bid b, ask a, their sizes B, A, and '
            for the tick before; 0 for the very first tick; NaN where a price or size of the two quotes is missing.
    """

    columns: Floats

    def __len__(self) -> int:
        return int(self.columns.shape[1])

    @property
    def timestamp(self) -> Integers:
        """(bars,) int64, ns since the epoch, UTC."""
        column: Integers = self.columns[0].view(np.int64)
        return column

    @property
    def last_timestamp(self) -> Integers:
        """(bars,) int64, ns since the epoch, UTC."""
        column: Integers = self.columns[1].view(np.int64)
        return column

    def __getattr__(self, name: str) -> Floats:
        row = _ROW_OF.get(name)
        if row is None:
            raise AttributeError(f"{type(self).__name__} has no column {name!r}; it has {', '.join(COLUMN_NAMES)}")
        if row >= len(self.columns):
            raise AttributeError(f"{name!r} is not among the prices that were asked for; leave prices_only out")
        column: Floats = self.columns[row]
        return column


_ROW_OF = {name: row for row, name in enumerate(COLUMN_NAMES)}
_NO_SIDE = np.zeros(1)
_NO_QUOTES = np.empty((QUOTES, 0))


def update_bars(
    state: Floats,
    timestamp: Integers,
    price: Floats,
    volume: Floats,
    side: Floats | None,
    quotes: Floats | None = None,
    *,
    prices_only: bool = False,
) -> Floats:
    """Take ticks and return the bars that they close, (columns, bars) in the order of `COLUMN_NAMES`.

    Args:
        state: from `bars_state`; changed in place.
        timestamp: (time,) int64, ns since the epoch, UTC, never decreasing.
        price, volume: (time,) float64, finite.
        side: (time,) float64, +1 bought, -1 sold, anything else unknown; None = all unknown.
        quotes: (4, time) float64, bid, ask and their sizes at each tick, NaN where missing; None = none.
        prices_only: the first `PRICE_COLUMNS` alone; a state must always be used one way.

    Raises:
        TypeError, ValueError: wrong dtype, lengths, or times that step back.
    """
    ticks = _checked_ticks(state, timestamp, price, volume, side, quotes)
    return _closed(state, ticks, columns=PRICE_COLUMNS if prices_only else COLUMNS, with_open=False)


Ticks = tuple[Integers, Floats, Floats, Floats, Floats]


def _closed(state: Floats, ticks: Ticks, *, columns: int, with_open: bool) -> Floats:
    rows = len(ticks[0])
    ends = np.empty(rows + 1, np.int64)
    bars = find_ends(state, *ticks[:3], ends)
    if bars < 0:
        raise ValueError("timestamp: expected times that never decrease; sort the ticks")
    if with_open and rows:
        ends[bars] = rows
        bars += 1
    out = np.empty((columns, bars))  # by NumPy, which asks for large pages: ready in a sixth of the time
    bars_update(state, *ticks, ends[:bars], out)
    return out


def _checked_ticks(
    state: Floats, timestamp: Integers, price: Floats, volume: Floats, side: Floats | None, quotes: Floats | None
) -> Ticks:
    if timestamp.dtype != np.int64:
        raise TypeError(f"timestamp: expected an int64 array, received {timestamp.dtype}")
    rows = len(timestamp)
    arrays = {"price": checked("price", price), "volume": checked("volume", volume)}
    arrays["side"] = _NO_SIDE if side is None else checked("side", side)
    lengths = {name: len(array) for name, array in arrays.items() if array is not _NO_SIDE}
    if set(lengths.values()) != {rows}:
        raise ValueError(f"expected arrays of {rows} rows, received {lengths}")
    if rows and state[0] > 0 and timestamp[0] < state.view(np.int64)[LAST]:
        raise ValueError("timestamp: the first tick is older than the last one seen")
    quotes = _NO_QUOTES if quotes is None else _checked_quotes(quotes, rows)
    return np.ascontiguousarray(timestamp), arrays["price"], arrays["volume"], arrays["side"], quotes


def _checked_quotes(quotes: Floats, rows: int) -> Floats:
    if quotes.dtype != np.float64:
        raise TypeError(f"quotes: expected a float64 array, received {quotes.dtype}")
    if quotes.shape != (QUOTES, rows):
        raise ValueError(f"quotes: expected the shape {(QUOTES, rows)}, received {quotes.shape}")
    return np.ascontiguousarray(quotes)


def flush_bars(state: Floats, *, prices_only: bool = False) -> Floats:
    """The open bar as it stands, taken out of `state`; no bar if none is open."""
    out = np.empty((PRICE_COLUMNS if prices_only else COLUMNS, 1 if state[TICKS] > 0 else 0))
    ends = np.zeros(out.shape[1], np.int64)
    bars_update(state, np.empty(0, np.int64), *np.empty((2, 0)), _NO_SIDE, _NO_QUOTES, ends, out)
    return out


def is_same_kind(state: Floats, other: Floats) -> bool:
    """Whether two states are of bars of one kind and size."""
    return state.shape == other.shape and bool((state[[KIND, SIZE]] == other[[KIND, SIZE]]).all())


def open_ticks(state: Floats) -> int:
    """Ticks in the open bar."""
    return int(state[TICKS])


def time_bars(
    timestamp: Integers,
    price: Floats,
    volume: Floats,
    step_ns: int,
    *,
    side: Floats | None = None,
    quotes: Floats | None = None,
    prices_only: bool = False,
) -> BarColumns:
    """Bars over fixed spans of time, the last open one included.

    Args:
        timestamp: (time,) int64, ns since the epoch, UTC, never decreasing.
        price: (time,) float64, quote currency, finite. volume: (time,) float64, finite.
        step_ns: length of a bar in ns; labels are its multiples.
        side: (time,) float64, +1 bought, -1 sold, else unknown; None = all by the tick rule.
        quotes: (4, time) float64, bid, ask, bid size and ask size at each tick, NaN where missing; None = none.
        prices_only: only times, prices, volume and dollar, in half the time; sides and quotes are then of no use.

    Raises:
        TypeError, ValueError: wrong dtype, lengths, size, or times that step back.
    """
    return _bars(bars_state(TIME, step_ns), (timestamp, price, volume, side, quotes), prices_only=prices_only)


def tick_bars(
    timestamp: Integers,
    price: Floats,
    volume: Floats,
    size: int,
    *,
    side: Floats | None = None,
    quotes: Floats | None = None,
    prices_only: bool = False,
) -> BarColumns:
    """Bars of `size` ticks each; an unfilled last bar is left out. Arguments and errors as in `time_bars`."""
    return _bars(bars_state(TICK, size), (timestamp, price, volume, side, quotes), prices_only=prices_only)


def volume_bars(
    timestamp: Integers,
    price: Floats,
    volume: Floats,
    size: float,
    *,
    side: Floats | None = None,
    quotes: Floats | None = None,
    prices_only: bool = False,
) -> BarColumns:
    """Bars closed by the tick that fills `size` of volume; an unfilled last bar is left out. As `time_bars`."""
    return _bars(bars_state(VOLUME, size), (timestamp, price, volume, side, quotes), prices_only=prices_only)


def dollar_bars(
    timestamp: Integers,
    price: Floats,
    volume: Floats,
    size: float,
    *,
    side: Floats | None = None,
    quotes: Floats | None = None,
    prices_only: bool = False,
) -> BarColumns:
    """Bars closed by the tick that fills `size` of price x volume; as `volume_bars`."""
    return _bars(bars_state(DOLLAR, size), (timestamp, price, volume, side, quotes), prices_only=prices_only)


def _bars(
    state: Floats, ticks: tuple[Integers, Floats, Floats, Floats | None, Floats | None], *, prices_only: bool
) -> BarColumns:
    columns = PRICE_COLUMNS if prices_only else COLUMNS
    return BarColumns(
        _closed(state, _checked_ticks(state, *ticks), columns=columns, with_open=bool(state[KIND] == TIME))
    )
