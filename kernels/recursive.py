"""Recursions over all rows so far: EMA, and Wilder's RSI and ATR.

A row with a NaN or infinite input takes no part: its output is NaN, the state stays as it was, and the next row goes on
from there. Libraries differ on this (TA-Lib stays NaN to the end); one missing tick should not silence a day.

Each is a discounted sum times its weight, or a ratio of such sums, where the weights cancel out.
"""

import math

import numpy as np

from kernels.arrays import Floats, checked_count, run
from kernels.compilation import inlined, kernel
from kernels.discounted import (
    SUM_SIZE,
    advance_sum,
    begins_group,
    discounted_state,
    ema_weight,
    end_group,
    exponential_state,
    group_base,
    group_sums,
    update_sum,
)
from kernels.lane_memory import AHEAD, fetch, load, store
from kernels.lane_picks import all_finite, before_each, in_each
from kernels.lanes import WIDTH, last_lanes, where


def ema_state(span: int) -> Floats:
    """State of `ema`: a discounted sum and its weight."""
    return np.append(exponential_state(span), ema_weight(span))


@kernel
def ema_update(state, x, out):  # type: ignore[no-untyped-def]
    update_sum(state, x, out, state[SUM_SIZE])


def ema(x: Floats, span: int, out: Floats | None = None) -> Floats:
    """Exponential moving average with weight 2 / (span + 1), started at the first row.

    The recursion of pandas' `ewm(span, adjust=False, min_periods=span)`.

    Args:
        x: (time,) float64, any unit.
        span: rows, at least 1.
        out: (time,) float64 to write into; a new array when None.

    Returns:
        (time,) float64 in the unit of `x`; NaN for the first `span - 1` rows and where `x` is NaN.

    Raises:
        TypeError, ValueError: wrong dtype, dimension or span; the message names the argument.
    """
    return run(ema_update, ema_state(span), {"x": x}, out)


_GAINS, _LOSSES = slice(0, SUM_SIZE), slice(SUM_SIZE, 2 * SUM_SIZE)


def _wilder(period: int) -> Floats:
    """Wilder's average times `period`: the first `period` values added up, then `1 - 1 / period` of the sum before."""
    return discounted_state(1.0 - 1.0 / checked_count("period", period), period, lead=period)


_BEFORE = 2 * SUM_SIZE


def rsi_state(period: int = 14) -> Floats:
    """State of `rsi`: the sums of gains and of losses, the previous value."""
    return np.concatenate([_wilder(period), _wilder(period), [math.nan]])


@kernel
def rsi_update(state, x, out):  # type: ignore[no-untyped-def]
    row = 0
    while row < len(x):
        if begins_group(state, len(x) - row):
            row += _rsi_groups(state, x[row:], out[row:])
        if row < len(x):
            out[row] = _advance_rsi(state, x[row])
            row += 1


@inlined
def _advance_rsi(state, value):  # type: ignore[no-untyped-def]
    if value - value != 0.0:
        return math.nan
    gain, loss = _gain_and_loss(value, state[_BEFORE])
    state[_BEFORE] = value
    check = gain + loss
    if check - check != 0.0:
        return math.nan
    return _share(advance_sum(state[_GAINS], gain), advance_sum(state[_LOSSES], loss))


@kernel
def _gain_and_loss(value, previous):  # type: ignore[no-untyped-def]
    change = value - previous
    gain = change if change > 0.0 else 0.0
    return gain, gain - change


@kernel
def _share(gain, loss):  # type: ignore[no-untyped-def]
    total = gain + loss
    return 50.0 if total == 0.0 else 100.0 * (gain / total)


@kernel
def _rsi_groups(state, x, out):  # type: ignore[no-untyped-def]
    gain, powers = group_base(state)
    loss, _ = group_base(state[_LOSSES])
    previous = in_each(state[_BEFORE])
    row = np.uint64(0)
    while row + WIDTH <= np.uint64(len(x)):
        (values,) = load((x,), row)
        change = values - before_each(values, previous)
        rise = where(change > 0.0, change, 0.0)
        fall = rise - change
        if not all_finite((rise + fall,)):
            break
        gains, gain = group_sums(gain, powers, rise)
        losses, loss = group_sums(loss, powers, fall)
        total = gains + losses
        store((out,), row, (where(total == 0.0, 50.0, 100.0 * (gains / total)),))
        previous = values
        row += WIDTH
    end_group(state, gain, row)
    end_group(state[_LOSSES], loss, row)
    state[_BEFORE] = last_lanes((previous,))[0]
    return int(row)


def rsi(x: Floats, period: int = 14, out: Floats | None = None) -> Floats:
    """Relative strength index of Wilder (1978): 100 · gains / (gains + losses), smoothed by Wilder's average.

    The first average is the mean of the first `period` changes, as in TA-Lib. A series that has not moved at all
    gives 50 (TA-Lib gives 0).

    Args:
        x: (time,) float64, a price.
        period: changes, at least 1.
        out: (time,) float64 to write into; a new array when None.

    Returns:
        (time,) float64 from 0 to 100; NaN for the first `period` rows and where `x` is NaN.

    Raises:
        TypeError, ValueError: wrong dtype, dimension or period; the message names the argument.
    """
    return run(rsi_update, rsi_state(period), {"x": x}, out)


_ATR_WEIGHT, _CLOSE = SUM_SIZE, SUM_SIZE + 1


def atr_state(period: int = 14) -> Floats:
    """State of `atr`: the sum of ranges, its weight, the previous close."""
    return np.concatenate([_wilder(period), [1.0 / period, math.nan]])


@kernel
def atr_update(state, high, low, close, out):  # type: ignore[no-untyped-def]
    row = 0
    while row < len(close):
        if begins_group(state, len(close) - row):
            row += _atr_groups(state, high[row:], low[row:], close[row:], out[row:])
        if row < len(close):
            out[row] = state[_ATR_WEIGHT] * _advance_atr(state, high[row], low[row], close[row])
            row += 1


@inlined
def _advance_atr(state, high, low, close):  # type: ignore[no-untyped-def]
    previous = state[_CLOSE]
    reach = _true_range(high, low, previous)
    if (reach - reach) + (close - close) != 0.0:
        return math.nan
    state[_CLOSE] = close
    return advance_sum(state, reach) if previous == previous else math.nan


@kernel
def _true_range(high, low, previous):  # type: ignore[no-untyped-def]
    """Of high and low with the previous close among them: Wilder's largest of three, as long as high >= low."""
    return (previous if previous > high else high) - (previous if previous < low else low)


@kernel
def _atr_groups(state, high, low, close, out):  # type: ignore[no-untyped-def]
    base, powers = group_base(state)
    previous = in_each(state[_CLOSE])
    row = np.uint64(0)
    while row + WIDTH <= np.uint64(len(close)):
        fetch((high, low, close), row + AHEAD)
        highs, lows, closes = load((high, low, close), row)
        before = before_each(closes, previous)
        reach = where(before > highs, before, highs) - where(before < lows, before, lows)
        if not all_finite((reach, closes)):
            break
        sums, base = group_sums(base, powers, reach)
        store((out,), row, (state[_ATR_WEIGHT] * sums,))
        previous = closes
        row += WIDTH
    end_group(state, base, row)
    state[_CLOSE] = last_lanes((previous,))[0]
    return int(row)


def atr(high: Floats, low: Floats, close: Floats, period: int = 14, out: Floats | None = None) -> Floats:
    """Average true range of Wilder (1978): his average of max(high - low, |high - close₋₁|, |low - close₋₁|).

    Equal to TA-Lib's: the first row has no previous close and no range.

    Args:
        high, low, close: (time,) float64, prices.
        period: ranges, at least 1.
        out: (time,) float64 to write into; a new array when None.

    Returns:
        (time,) float64 in the unit of the prices; NaN for the first `period` rows and where a price is NaN.

    Raises:
        TypeError, ValueError: wrong dtype, dimension, lengths or period; the message names the argument.
    """
    return run(atr_update, atr_state(period), {"high": high, "low": low, "close": close}, out)
