"""Features of bars: unit-free compositions of the other kernels, the inputs a model is given.

Each is `update(state, inputs..., out)`; its definition stands in its docstring, in the symbols o h l c (open, high,
low, close), v (volume). Row by row, no feature looks forward. Inputs are finite: ingestion refuses others.
"""

import math

import numpy as np

from kernels.arrays import ROWS, Floats
from kernels.compilation import kernel
from kernels.extremes import extremum_state, rolling_max_update, rolling_min_update
from kernels.lagged import lag_state, recall, remember
from kernels.microstructure import divide_flow, two_sums_state
from kernels.recursive import atr_update, ema_state, ema_update, macd_state, macd_update
from kernels.rolling import BAND_POSITION, DEVIATION, RELATIVE_STD, SUM, moments_state, update_statistic

_DAY = 86_400 * 10**9
_WEEK = 7 * _DAY
_EPOCH_WEEKDAY = 3 * _DAY  # 1970-01-01 was a Thursday; weeks begin on Monday


def no_state() -> Floats:
    """State of a feature of one row: only the count of rows."""
    return np.zeros(1)


@kernel
def kmid_update(state, open, close, out):  # type: ignore[no-untyped-def]
    """(c - o) / o"""
    for row in range(len(close)):
        out[row] = (close[row] - open[row]) / open[row]


@kernel
def klen_update(state, open, high, low, out):  # type: ignore[no-untyped-def]
    """(h - l) / o"""
    for row in range(len(open)):
        out[row] = (high[row] - low[row]) / open[row]


@kernel
def kup_update(state, open, high, close, out):  # type: ignore[no-untyped-def]
    """(h - max(o, c)) / o"""
    for row in range(len(open)):
        out[row] = (high[row] - max(open[row], close[row])) / open[row]


@kernel
def klow_update(state, open, low, close, out):  # type: ignore[no-untyped-def]
    """(min(o, c) - l) / o"""
    for row in range(len(open)):
        out[row] = (min(open[row], close[row]) - low[row]) / open[row]


@kernel
def ksft_update(state, open, high, low, close, out):  # type: ignore[no-untyped-def]
    """(2c - h - l) / o"""
    for row in range(len(open)):
        out[row] = (2.0 * close[row] - high[row] - low[row]) / open[row]


@kernel
def ma_dev_update(state, close, out):  # type: ignore[no-untyped-def]
    """c / rolling mean(c) - 1"""
    update_statistic(state, close, out, DEVIATION)


@kernel
def std_rel_update(state, close, out):  # type: ignore[no-untyped-def]
    """rolling std(c, ddof = 1) / rolling mean(c)"""
    update_statistic(state, close, out, RELATIVE_STD)


@kernel
def bb_pos_update(state, close, out):  # type: ignore[no-untyped-def]
    """(c - mean) / (2 · population std) over the window: -1 and 1 are the Bollinger bands; 0 when flat"""
    update_statistic(state, close, out, BAND_POSITION)


@kernel
def ema_dev_update(state, close, out):  # type: ignore[no-untyped-def]
    """c / EMA(c) - 1"""
    ema_update(state, close, out)
    for row in range(len(close)):
        out[row] = close[row] / out[row] - 1.0


@kernel
def macd_line_update(state, close, out):  # type: ignore[no-untyped-def]
    """(EMA(fast) - EMA(slow)) / c"""
    signal = np.empty(len(close))
    macd_update(state, close, out, signal, signal)
    for row in range(len(close)):
        out[row] = out[row] / close[row]


@kernel
def macd_hist_update(state, close, out):  # type: ignore[no-untyped-def]
    """(MACD line - its signal) / c"""
    line = np.empty(len(close))
    macd_update(state, close, line, out, out)
    for row in range(len(close)):
        out[row] = out[row] / close[row]


@kernel
def atr_rel_update(state, high, low, close, out):  # type: ignore[no-untyped-def]
    """Wilder's average true range / c"""
    atr_update(state, high, low, close, out)
    for row in range(len(close)):
        out[row] = out[row] / close[row]


def range_position_state(window: int) -> Floats:
    """State of a rolling maximum of highs and one of lows."""
    return np.concatenate([extremum_state(window), extremum_state(window)])


@kernel
def rsv_update(state, high, low, close, out):  # type: ignore[no-untyped-def]
    """(c - min l) / (max h - min l) over the window; 0.5 when flat"""
    half = len(state) // 2
    lows = np.empty(len(low))
    rolling_max_update(state[:half], high, out)
    rolling_min_update(state[half:], low, lows)
    for row in range(len(close)):
        span = out[row] - lows[row]
        out[row] = 0.5 if span == 0.0 else (close[row] - lows[row]) / span


@kernel
def max_dev_update(state, high, close, out):  # type: ignore[no-untyped-def]
    """max h over the window / c - 1"""
    rolling_max_update(state, high, out)
    for row in range(len(close)):
        out[row] = out[row] / close[row] - 1.0


@kernel
def min_dev_update(state, low, close, out):  # type: ignore[no-untyped-def]
    """min l over the window / c - 1"""
    rolling_min_update(state, low, out)
    for row in range(len(close)):
        out[row] = out[row] / close[row] - 1.0


@kernel
def ofi_update(state, buy_volume, sell_volume, out):  # type: ignore[no-untyped-def]
    """(bought - sold) / (bought + sold) volume over the window; 0 where sides are unknown or nothing was traded"""
    half = len(state) // 2
    traded = np.empty(len(out))
    update_statistic(state[:half], buy_volume - sell_volume, out, SUM)
    update_statistic(state[half:], buy_volume + sell_volume, traded, SUM)
    divide_flow(out, traded)


@kernel
def dt_log_update(state, timestamp, out):  # type: ignore[no-untyped-def]
    """ln(1 + seconds since the row before)"""
    times = state.view(np.int64)
    for row in range(len(timestamp)):
        out[row] = math.log1p((timestamp[row] - times[1]) / 1e9) if state[ROWS] > 0.0 else math.nan
        times[1] = timestamp[row]
        state[ROWS] += 1.0


def dt_log_state() -> Floats:
    """State of `dt_log`: rows seen, and the bits of the last time."""
    return np.zeros(2)


@kernel
def _angle(timestamp, period, offset):  # type: ignore[no-untyped-def]
    return 2.0 * math.pi * (((timestamp + offset) % period) / period)


@kernel
def tod_sin_update(state, timestamp, out):  # type: ignore[no-untyped-def]
    """sin(2π · part of the UTC day)"""
    for row in range(len(timestamp)):
        out[row] = math.sin(_angle(timestamp[row], _DAY, 0))


@kernel
def tod_cos_update(state, timestamp, out):  # type: ignore[no-untyped-def]
    """cos(2π · part of the UTC day)"""
    for row in range(len(timestamp)):
        out[row] = math.cos(_angle(timestamp[row], _DAY, 0))


@kernel
def dow_sin_update(state, timestamp, out):  # type: ignore[no-untyped-def]
    """sin(2π · part of the week since Monday 00:00 UTC)"""
    for row in range(len(timestamp)):
        out[row] = math.sin(_angle(timestamp[row], _WEEK, _EPOCH_WEEKDAY))


@kernel
def dow_cos_update(state, timestamp, out):  # type: ignore[no-untyped-def]
    """cos(2π · part of the week since Monday 00:00 UTC)"""
    for row in range(len(timestamp)):
        out[row] = math.cos(_angle(timestamp[row], _WEEK, _EPOCH_WEEKDAY))


@kernel
def gap_co_update(state, open, close, out):  # type: ignore[no-untyped-def]
    """o / c of the row before - 1"""
    before = recall(state, len(close))
    for row in range(len(before)):
        out[row] = open[row] / before[row] - 1.0
    for row in range(len(before), len(close)):
        out[row] = open[row] / close[row - 1] - 1.0
    remember(state, close)


ma_dev_state = std_rel_state = bb_pos_state = moments_state
max_dev_state = min_dev_state = extremum_state
rsv_state = range_position_state
ofi_state = two_sums_state
ema_dev_state = ema_state
macd_line_state = macd_hist_state = macd_state


def gap_co_state() -> Floats:
    """State of `gap_co`: the close before."""
    return lag_state(1)
