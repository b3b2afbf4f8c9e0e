"""Volume and order flow: who trades, how much, and how far from the volume-weighted price.

FX quotes and indices carry no volume: a constant zero is ordinary input here and gives 0, never NaN.
"""

import math

import numpy as np

from kernels.arrays import Floats, run
from kernels.compilation import ONE, inlined, kernel
from kernels.lanes import SUM, where
from kernels.logarithm import ln1p
from kernels.rolling import finite, rolling_zscore_state, rolling_zscore_update
from kernels.scratch import scratch
from kernels.window_folds import fold_state, fold_windows

_BLOCK = np.uint64(256)  # trades whose steps are signed in one vector loop


def tick_rule_state() -> Floats:
    """State of `tick_rule`: rows seen, previous price, last sign."""
    return np.array([0.0, math.nan, 0.0])


@kernel
def advance_tick_rule(state, price):  # type: ignore[no-untyped-def]
    """Take one trade and return its sign."""
    if price == price:
        if price > state[1]:
            state[2] = 1.0
        elif price < state[1]:
            state[2] = -1.0
        state[1] = price
        state[0] += 1.0
    return state[2]


@kernel
def tick_rule_update(state, price, out):  # type: ignore[no-untyped-def]
    rows = np.uint64(len(price))
    for start in range(np.uint64(0), rows, _BLOCK):
        stop = min(start + _BLOCK, rows)
        out[start] = advance_tick_rule(state, price[start])
        unmoved, missing = _steps(price, out, start + ONE, stop)
        if missing > 0:
            for row in range(start + ONE, stop):
                out[row] = advance_tick_rule(state, price[row])
            continue
        if unmoved > 0:
            _fill(out, start + ONE, stop)
        state[0] += stop - start - ONE
        state[1], state[2] = price[stop - ONE], out[stop - ONE]


@inlined
def _steps(price, out, start, stop):  # type: ignore[no-untyped-def]
    """Write the sign of each step; return how many are 0, and how many have a NaN at an end."""
    unmoved = 0
    missing = 0
    for row in range(start, stop):
        before, here = price[row - ONE], price[row]
        sign = 1.0 if here > before else -1.0 if here < before else 0.0
        out[row] = sign
        unmoved += sign == 0.0
        missing += (here != here) | (before != before)
    return unmoved, missing


@inlined
def _fill(signs, start, stop):  # type: ignore[no-untyped-def]
    """Put the sign before in the place of each 0."""
    last = signs[start - ONE]
    for row in range(start, stop):
        last = signs[row] if signs[row] != 0.0 else last
        signs[row] = last


def tick_rule(price: Floats, out: Floats | None = None) -> Floats:
    """Sign of each trade by the tick rule of Lee and Ready (1991): +1 after a rise, -1 after a fall, else the last.

    Args:
        price: (time,) float64, trade prices.
        out: (time,) float64 to write into; a new array when None.

    Returns:
        (time,) float64, +1, -1, or 0 before the first change; a NaN price repeats the last sign.

    Raises:
        TypeError, ValueError: wrong dtype or dimension; the message names the argument.
    """
    return run(tick_rule_update, tick_rule_state(), {"price": price}, out)


def vwap_deviation_state(window: int) -> Floats:
    """State of `vwap_deviation`: sums of volume, and of price times volume."""
    return fold_state(window, inputs=2, terms=2)


def signed_volume_imbalance_state(window: int) -> Floats:
    """State of `signed_volume_imbalance`: sums of volume, and of sign times volume."""
    return fold_state(window, inputs=2, terms=2)


@inlined
def weighted(values, anchors, place):  # type: ignore[no-untyped-def]
    """The second input, and its product with the first, from the first row's."""
    return values[1] - anchors[1], values[0] * values[1] - anchors[0] * anchors[1]


@inlined
def _two_totals(sums, anchors, window):  # type: ignore[no-untyped-def]
    """The sums of `weighted` in full; NaN where one is infinite."""
    return finite(sums[0]) + anchors[1] * window, finite(sums[1]) + anchors[0] * anchors[1] * window


@inlined
def _vwap_deviation(kind, sums, values, anchors, place, window):  # type: ignore[no-untyped-def]
    volume, traded = _two_totals(sums, anchors, window)
    return (where(volume == 0.0, 0.0, values[0] * volume / traded - 1.0),)


@kernel
def vwap_deviation_update(state, price, volume, out):  # type: ignore[no-untyped-def]
    fold_windows(state, (price, volume), (out,), (0.0, 0.0), weighted, SUM, _vwap_deviation)


def vwap_deviation(price: Floats, volume: Floats, window: int, out: Floats | None = None) -> Floats:
    """Price over the volume-weighted average price of the last `window` rows, minus 1.

    Args:
        price: (time,) float64, above 0.
        volume: (time,) float64, at least 0.
        window: rows, at least 1.
        out: (time,) float64 to write into; a new array when None.

    Returns:
        (time,) float64 without unit; NaN for the first `window - 1` rows and where the window holds a NaN; 0 where
        nothing was traded in it.

    Raises:
        TypeError, ValueError: wrong dtype, dimension, lengths or window; the message names the argument.
    """
    inputs = {"price": price, "volume": volume}
    return run(vwap_deviation_update, vwap_deviation_state(window), inputs, out)


@inlined
def _imbalance(kind, sums, values, anchors, place, window):  # type: ignore[no-untyped-def]
    """Signed over total volume: 0 where nothing was traded, and never beyond -1 and 1 by rounding."""
    volume, flow = _two_totals(sums, anchors, window)
    share = flow / volume
    share = where(share > 1.0, 1.0, where(share < -1.0, -1.0, share))
    return (where(volume == 0.0, 0.0, share),)


@kernel
def signed_volume_imbalance_update(state, sign, volume, out):  # type: ignore[no-untyped-def]
    fold_windows(state, (sign, volume), (out,), (0.0, 0.0), weighted, SUM, _imbalance)


def signed_volume_imbalance(sign: Floats, volume: Floats, window: int, out: Floats | None = None) -> Floats:
    """(bought - sold) / (bought + sold) volume over the last `window` rows.

    Args:
        sign: (time,) float64, +1 bought, -1 sold, values between for rows that hold both (bars).
        volume: (time,) float64, at least 0.
        window: rows, at least 1.
        out: (time,) float64 to write into; a new array when None.

    Returns:
        (time,) float64 from -1 to 1; NaN for the first `window - 1` rows and where the window holds a NaN; 0 where
        nothing was traded in it.

    Raises:
        TypeError, ValueError: wrong dtype, dimension, lengths or window; the message names the argument.
    """
    inputs = {"sign": sign, "volume": volume}
    return run(signed_volume_imbalance_update, signed_volume_imbalance_state(window), inputs, out)


def volume_zscore_state(window: int) -> Floats:
    """State of `volume_zscore`: the rolling moments, working space for one row."""
    return np.append(rolling_zscore_state(window), 0.0)


@kernel
def volume_zscore_update(state, volume, out):  # type: ignore[no-untyped-def]
    space = scratch(state[-1:], len(volume))
    for start in range(0, len(volume), len(space)):
        stop = min(start + len(space), len(volume))
        logs = space[: stop - start]
        for row in range(len(logs)):
            logs[row] = ln1p(volume[start + row])
        rolling_zscore_update(state[: len(state) - 1], logs, out[start:stop])
    state[-1] = 0.0


def volume_zscore(volume: Floats, window: int, out: Floats | None = None) -> Floats:
    """Rolling z-score (ddof = 1) of ln(1 + volume) over the last `window` rows; `window` is at least 2.

    Args:
        volume: (time,) float64, at least 0.
        window: rows, at least 2.
        out: (time,) float64 to write into; a new array when None.

    Returns:
        (time,) float64 without unit; NaN for the first `window - 1` rows and where the window holds a NaN or a
        negative volume; 0 where the volume is constant.

    Raises:
        TypeError, ValueError: wrong dtype, dimension or window; the message names the argument.
    """
    return run(volume_zscore_update, volume_zscore_state(window), {"volume": volume}, out)
