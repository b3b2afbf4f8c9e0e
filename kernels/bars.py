"""Ticks to time, tick, volume and dollar bars: one pass, the open bar carried in the state.

A time bar covers `[k · step, (k + 1) · step)` ns since the epoch, is labelled with its start, and is closed by the
first tick after it; a span without ticks has no bar. A tick, volume or dollar bar is closed by the tick that brings
its count, volume or traded value to `size`; that tick belongs to it whole, and its label is the time of its first
tick. Ticks without a side take the sign of the tick rule.
"""

from dataclasses import dataclass

import numpy as np

from kernels.arrays import Floats, Integers, checked
from kernels.compilation import kernel
from kernels.microstructure import advance_tick_rule, tick_rule_state

TIME, TICK, VOLUME, DOLLAR = 0.0, 1.0, 2.0, 3.0

# State: 0 ticks seen, 1 kind, 2 size, 3 ticks in the open bar, then these float slots, then integer slots whose bits
# are int64 (epoch nanoseconds do not fit a float64), then the state of the tick rule.
_KIND, _SIZE, _COUNT = 1, 2, 3
_OPEN, _HIGH, _LOW, _CLOSE, _VOLUME, _DOLLAR, _BOUGHT, _SOLD = range(4, 12)
_LABEL, _LAST, _END = 12, 13, 14
_RULE = 15
VALUES = 8
TIMES = 2
FILL_TOLERANCE = 1e-9  # ten ticks of 0.1 sum to a hair below 1.0 and fill a bar of 1.0 all the same

VALUE_NAMES = ("open", "high", "low", "close", "volume", "dollar", "buy_volume", "sell_volume")


def bars_state(kind: float, size: float) -> Floats:
    """State of a bar builder: `kind` is TIME, TICK, VOLUME or DOLLAR; `size` is ns, ticks, volume or traded value.

    Raises:
        ValueError: unknown kind, or size not above 0 (whole, for time and tick bars).
    """
    if kind not in (TIME, TICK, VOLUME, DOLLAR):
        raise ValueError(f"kind: expected TIME, TICK, VOLUME or DOLLAR, received {kind}")
    if not size > 0 or (kind in (TIME, TICK) and size != int(size)):
        raise ValueError(f"size: expected a number above 0 (whole for time and tick bars), received {size}")
    state = np.zeros(_RULE + len(tick_rule_state()))
    state[_KIND] = kind
    state[_SIZE] = size
    state[_RULE:] = tick_rule_state()
    return state


@kernel
def _start(state, times, timestamp, price):  # type: ignore[no-untyped-def]
    times[_LABEL] = timestamp
    if state[_KIND] == TIME:
        step = np.int64(state[_SIZE])
        times[_LABEL] = timestamp // step * step
        times[_END] = times[_LABEL] + step
    state[_OPEN] = state[_HIGH] = state[_LOW] = price
    for slot in range(_VOLUME, _SOLD + 1):
        state[slot] = 0.0


@kernel
def _add(state, times, timestamp, price, volume, side):  # type: ignore[no-untyped-def]
    state[_HIGH] = max(state[_HIGH], price)
    state[_LOW] = min(state[_LOW], price)
    state[_CLOSE] = price
    state[_COUNT] += 1.0
    state[_VOLUME] += volume
    state[_DOLLAR] += price * volume
    if side > 0.0:
        state[_BOUGHT] += volume
    elif side < 0.0:
        state[_SOLD] += volume
    times[_LAST] = timestamp


@kernel
def _is_full(state):  # type: ignore[no-untyped-def]
    if state[_KIND] == TICK:
        return state[_COUNT] >= state[_SIZE]
    enough = state[_SIZE] * (1.0 - FILL_TOLERANCE)
    if state[_KIND] == VOLUME:
        return state[_VOLUME] >= enough
    return state[_KIND] == DOLLAR and state[_DOLLAR] >= enough


@kernel
def _emit(state, times, out_times, out_values, out_ticks, bar):  # type: ignore[no-untyped-def]
    out_times[0, bar] = times[_LABEL]
    out_times[1, bar] = times[_LAST]
    for value in range(VALUES):
        out_values[value, bar] = state[_OPEN + value]
    out_ticks[bar] = np.int64(state[_COUNT])
    state[_COUNT] = 0.0


@kernel
def bars_update(state, timestamp, price, volume, side, out_times, out_values, out_ticks):  # type: ignore[no-untyped-def]
    """Take ticks; write the bars they close to the front of the outputs and return how many."""
    times = state.view(np.int64)
    rule = state[_RULE:]
    bars = 0
    for row in range(len(timestamp)):
        inferred = advance_tick_rule(rule, price[row])
        if state[_COUNT] > 0.0 and state[_KIND] == TIME and timestamp[row] >= times[_END]:
            _emit(state, times, out_times, out_values, out_ticks, bars)
            bars += 1
        if state[_COUNT] == 0.0:
            _start(state, times, timestamp[row], price[row])
        known = side[row] == 1.0 or side[row] == -1.0
        _add(state, times, timestamp[row], price[row], volume[row], side[row] if known else inferred)
        state[0] += 1.0
        if _is_full(state):
            _emit(state, times, out_times, out_values, out_ticks, bars)
            bars += 1
    return bars


@kernel
def bars_flush(state, out_times, out_values, out_ticks):  # type: ignore[no-untyped-def]
    """Write the open bar, if there is one, and return how many were written."""
    if state[_COUNT] == 0.0:
        return 0
    _emit(state, state.view(np.int64), out_times, out_values, out_ticks, 0)
    return 1


@dataclass(frozen=True)
class BarArrays:
    """Closed bars, oldest first.

    Attributes:
        times: (2, bars) int64, label and time of the last tick, ns since the epoch, UTC.
        values: (8, bars) float64, in the order of `VALUE_NAMES`.
        ticks: (bars,) int64, ticks in each bar.
    """

    times: Integers
    values: Floats
    ticks: Integers


def update_bars(state: Floats, timestamp: Integers, price: Floats, volume: Floats, side: Floats) -> BarArrays:
    """Take ticks and return the bars that they close.

    Args:
        state: from `bars_state`; changed in place.
        timestamp: (time,) int64, ns since the epoch, UTC, never decreasing.
        price, volume: (time,) float64.
        side: (time,) float64, +1 bought, -1 sold, anything else unknown.

    Raises:
        TypeError, ValueError: wrong dtype, lengths, or times that step back.
    """
    if timestamp.dtype != np.int64:
        raise TypeError(f"timestamp: expected an int64 array, received {timestamp.dtype}")
    arrays = [checked(name, array) for name, array in (("price", price), ("volume", volume), ("side", side))]
    if any(len(array) != len(timestamp) for array in arrays):
        raise ValueError(f"expected arrays of {len(timestamp)} rows, received {[len(array) for array in arrays]}")
    if len(timestamp) > 1 and np.any(timestamp[1:] < timestamp[:-1]):
        raise ValueError("timestamp: expected times that never decrease; sort the ticks")
    if state[_COUNT] > 0 and len(timestamp) and timestamp[0] < state.view(np.int64)[_LAST]:
        raise ValueError("timestamp: the first tick is older than the last one seen")
    out = _empty(len(timestamp))
    return _front(out, bars_update(state, np.ascontiguousarray(timestamp), *arrays, *out))


def flush_bars(state: Floats) -> BarArrays:
    """The open bar as it stands, taken out of `state`; no bar if none is open."""
    out = _empty(1)
    return _front(out, bars_flush(state, *out))


def is_same_kind(state: Floats, other: Floats) -> bool:
    """Whether two states are of bars of one kind and size."""
    return state.shape == other.shape and bool((state[[_KIND, _SIZE]] == other[[_KIND, _SIZE]]).all())


def open_ticks(state: Floats) -> int:
    """Ticks in the open bar."""
    return int(state[_COUNT])


def _empty(rows: int) -> tuple[Integers, Floats, Integers]:
    return np.empty((TIMES, rows), np.int64), np.empty((VALUES, rows)), np.empty(rows, np.int64)


def _front(out: tuple[Integers, Floats, Integers], bars: int) -> BarArrays:
    times, values, ticks = out
    return BarArrays(times[:, :bars].copy(), values[:, :bars].copy(), ticks[:bars].copy())


def _bars(kind: float, size: float, ticks: tuple[Integers, Floats, Floats, Floats | None]) -> BarArrays:
    timestamp, price, volume, side = ticks
    state = bars_state(kind, size)
    return update_bars(state, timestamp, price, volume, np.zeros(len(price)) if side is None else side)


def time_bars(
    timestamp: Integers, price: Floats, volume: Floats, step_ns: int, *, side: Floats | None = None
) -> BarArrays:
    """Bars over fixed spans of time, the last open one included.

    Args:
        timestamp: (time,) int64, ns since the epoch, UTC, never decreasing.
        price: (time,) float64, quote currency, not NaN. volume: (time,) float64, not NaN.
        step_ns: length of a bar in ns; labels are its multiples.
        side: (time,) float64, +1 bought, -1 sold, else unknown; None = all by the tick rule.

    Raises:
        TypeError, ValueError: wrong dtype, lengths, size, or times that step back.
    """
    state = bars_state(TIME, step_ns)
    closed = update_bars(state, timestamp, price, volume, np.zeros(len(price)) if side is None else side)
    last = flush_bars(state)
    return BarArrays(
        np.concatenate([closed.times, last.times], axis=1),
        np.concatenate([closed.values, last.values], axis=1),
        np.concatenate([closed.ticks, last.ticks]),
    )


def tick_bars(
    timestamp: Integers, price: Floats, volume: Floats, size: int, *, side: Floats | None = None
) -> BarArrays:
    """Bars of `size` ticks each; an unfilled last bar is left out. Arguments and errors as in `time_bars`."""
    return _bars(TICK, size, (timestamp, price, volume, side))


def volume_bars(
    timestamp: Integers, price: Floats, volume: Floats, size: float, *, side: Floats | None = None
) -> BarArrays:
    """Bars closed by the tick that fills `size` of volume; an unfilled last bar is left out. As `time_bars`."""
    return _bars(VOLUME, size, (timestamp, price, volume, side))


def dollar_bars(
    timestamp: Integers, price: Floats, volume: Floats, size: float, *, side: Floats | None = None
) -> BarArrays:
    """Bars closed by the tick that fills `size` of price x volume; as `volume_bars`."""
    return _bars(DOLLAR, size, (timestamp, price, volume, side))
