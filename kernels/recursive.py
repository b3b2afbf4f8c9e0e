"""Recursions over all rows so far: EMA, MACD, and Wilder's RSI and ATR; Bollinger bands stand here with them.

A row with a NaN input takes no part: its output is NaN, the state stays as it was, and the next row goes on from
there. Libraries differ on this (TA-Lib stays NaN to the end); one missing tick should not silence a day.
"""

import math

import numpy as np

from kernels.arrays import ROWS, Floats, checked_count, run, run_many
from kernels.compilation import kernel
from kernels.rolling import MEAN, POPULATION_STD, moments_state, update_statistic

_PERIOD, _VALUE, _SECOND, _PREVIOUS = 1, 2, 3, 4


def ema_state(span: int) -> Floats:
    """State of `ema`: rows taken, span, value."""
    return np.array([0.0, checked_count("span", span), 0.0])


@kernel
def ema_update(state, x, out):  # type: ignore[no-untyped-def]
    rows = state[ROWS]
    span = state[_PERIOD]
    average = state[_VALUE]
    weight = 2.0 / (span + 1.0)
    rest = 1.0 - weight
    for row in range(len(x)):
        value = x[row]
        out[row] = math.nan
        if value == value:
            average = weight * value + rest * average if rows > 0.0 else value
            rows += 1.0
            if rows >= span:
                out[row] = average
    state[ROWS] = rows
    state[_VALUE] = average


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


_EMA_SIZE = 3


def macd_state(fast: int = 12, slow: int = 26, signal: int = 9) -> Floats:
    """State of `macd`: three averages."""
    if fast >= slow:
        raise ValueError(f"fast: expected fewer rows than slow ({slow}), received {fast}")
    return np.concatenate([ema_state(fast), ema_state(slow), ema_state(signal)])


@kernel
def macd_update(state, x, line, signal, histogram):  # type: ignore[no-untyped-def]
    ema_update(state[:_EMA_SIZE], x, line)
    ema_update(state[_EMA_SIZE : 2 * _EMA_SIZE], x, signal)
    for row in range(len(x)):
        line[row] -= signal[row]
    ema_update(state[2 * _EMA_SIZE :], line, signal)
    for row in range(len(x)):
        histogram[row] = line[row] - signal[row]


def macd(x: Floats, fast: int = 12, slow: int = 26, signal: int = 9) -> tuple[Floats, Floats, Floats]:
    """Moving average convergence divergence: EMA(fast) - EMA(slow), its EMA, and their difference.

    Each average is `ema`, so values settle on TA-Lib's (which starts them from means) as the start fades.

    Args:
        x: (time,) float64, a price.
        fast, slow, signal: spans in rows; fast < slow.

    Returns:
        (line, signal, histogram), each (time,) float64 in the unit of `x`; NaN for the first `slow - 1` rows of
        the line and `slow + signal - 2` rows of the others, and where `x` is NaN.

    Raises:
        TypeError, ValueError: wrong dtype, dimension or span; the message names the argument.
    """
    line, smooth, histogram = run_many(macd_update, macd_state(fast, slow, signal), {"x": x}, 3)
    return line, smooth, histogram


@kernel
def wilder(average, value, count, period):  # type: ignore[no-untyped-def]
    """Wilder's average after one more value: a plain mean of the first `period` values, then weight 1 / period."""
    weight = 1.0 / period
    if count >= period:
        return (1.0 - weight) * average + weight * value
    average += value
    return average / period if count + 1.0 == period else average


def rsi_state(period: int = 14) -> Floats:
    """State of `rsi`: changes taken, period, average gain, average loss, previous value."""
    return np.array([0.0, checked_count("period", period), 0.0, 0.0, math.nan])


@kernel
def rsi_update(state, x, out):  # type: ignore[no-untyped-def]
    rows = state[ROWS]
    period = state[_PERIOD]
    gain = state[_VALUE]
    loss = state[_SECOND]
    previous = state[_PREVIOUS]
    for row in range(len(x)):
        value = x[row]
        out[row] = math.nan
        if value != value:
            continue
        change = value - previous
        previous = value
        if change != change:
            continue
        gain = wilder(gain, change if change > 0.0 else 0.0, rows, period)
        loss = wilder(loss, -change if change < 0.0 else 0.0, rows, period)
        rows += 1.0
        if rows >= period:
            total = gain + loss
            out[row] = 50.0 if total == 0.0 else 100.0 * (gain / total)
    state[ROWS] = rows
    state[_VALUE] = gain
    state[_SECOND] = loss
    state[_PREVIOUS] = previous


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


def atr_state(period: int = 14) -> Floats:
    """State of `atr`: ranges taken, period, average, unused, previous close."""
    return np.array([0.0, checked_count("period", period), 0.0, 0.0, math.nan])


@kernel
def atr_update(state, high, low, close, out):  # type: ignore[no-untyped-def]
    rows = state[ROWS]
    period = state[_PERIOD]
    average = state[_VALUE]
    previous = state[_PREVIOUS]
    for row in range(len(close)):
        out[row] = math.nan
        spread = high[row] - low[row]
        if spread != spread or close[row] != close[row]:
            continue
        up = abs(high[row] - previous)
        down = abs(low[row] - previous)
        begins = previous != previous
        previous = close[row]
        if begins:
            continue
        average = wilder(average, max(spread, up, down), rows, period)
        rows += 1.0
        if rows >= period:
            out[row] = average
    state[ROWS] = rows
    state[_VALUE] = average
    state[_PREVIOUS] = previous


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


def bollinger_state(window: int = 20, width: float = 2.0) -> Floats:
    """State of `bollinger`: the width, then the rolling mean and the rolling deviation."""
    return np.concatenate([[float(width)], moments_state(window), moments_state(window)])


@kernel
def bollinger_update(state, x, lower, middle, upper):  # type: ignore[no-untyped-def]
    half = len(state) // 2
    update_statistic(state[1 : 1 + half], x, middle, MEAN)
    update_statistic(state[1 + half :], x, upper, POPULATION_STD)
    for row in range(len(x)):
        band = state[0] * upper[row]
        lower[row] = middle[row] - band
        upper[row] = middle[row] + band


def bollinger(x: Floats, window: int = 20, width: float = 2.0) -> tuple[Floats, Floats, Floats]:
    """Bollinger bands: rolling mean ∓ `width` population standard deviations (ddof = 0, as Bollinger and TA-Lib).

    Args:
        x: (time,) float64, a price.
        window: rows, at least 1.
        width: standard deviations.

    Returns:
        (lower, middle, upper), each (time,) float64 in the unit of `x`; NaN as in `rolling_mean`.

    Raises:
        TypeError, ValueError: wrong dtype, dimension or window; the message names the argument.
    """
    lower, middle, upper = run_many(bollinger_update, bollinger_state(window, width), {"x": x}, 3)
    return lower, middle, upper
