"""Directional movement of Wilder: ADX. Rows with a NaN or infinite price take no part, as in `recursive`."""

import math

import numpy as np

from kernels.arrays import Floats, checked_count, run
from kernels.compilation import inlined, kernel
from kernels.discounted import (
    GROUP,
    SUM_SIZE,
    advance_sum,
    begins_group,
    discounted_state,
    end_group,
    group_base,
    group_sums,
)
from kernels.lane_memory import load, store
from kernels.lane_picks import all_finite, before_each, in_each
from kernels.lanes import WIDTH, last_lanes, where

_RISES, _FALLS, _TREND = (slice(start, start + SUM_SIZE) for start in (0, SUM_SIZE, 2 * SUM_SIZE))
_WEIGHT, _HIGH, _LOW, _LAST = range(3 * SUM_SIZE, 3 * SUM_SIZE + 4)


def adx_state(period: int = 14) -> Floats:
    """State of `adx`: the sums of rises, of falls and of DX, the weight, previous high and low, last average."""
    rest = 1.0 - 1.0 / checked_count("period", period, least=2)
    movement = discounted_state(rest, period, lead=period - 1)
    trend = discounted_state(rest, period, lead=period, position=period % GROUP)  # groups end with those of movement
    return np.concatenate([movement, movement, trend, [1.0 / period, math.nan, math.nan, 0.0]])


@kernel
def adx_update(state, high, low, close, out):  # type: ignore[no-untyped-def]
    row = 0
    while row < len(close):
        left = len(close) - row
        if begins_group(state[_TREND], left) and begins_group(state[_RISES], left):
            row += _adx_groups(state, high[row:], low[row:], close[row:], out[row:])
        if row < len(close):
            out[row] = _advance_adx(state, high[row], low[row], close[row])
            row += 1


@inlined
def _advance_adx(state, high, low, close):  # type: ignore[no-untyped-def]
    if (high - high) + (low - low) + (close - close) != 0.0:
        return math.nan
    rise, fall = _movement(high, low, state[_HIGH], state[_LOW])
    state[_HIGH], state[_LOW] = high, low
    check = rise + fall
    if check - check != 0.0:
        return math.nan
    rises, falls = advance_sum(state[_RISES], rise), advance_sum(state[_FALLS], fall)
    dx = state[_LAST] if rises + falls == 0.0 else _dx(rises, falls)
    average = state[_WEIGHT] * advance_sum(state[_TREND], dx)
    state[_LAST] = average if average == average else state[_LAST]
    return average


@kernel
def _movement(high, low, previous_high, previous_low):  # type: ignore[no-untyped-def]
    """Rise and fall by Wilder's rule: only the larger counts, and only above 0."""
    up, down = high - previous_high, previous_low - low
    nothing = (up - up) + (down - down)  # NaN where there is no row before, or a price is not finite
    return up if (up > down) & (up > 0.0) else nothing, down if (down > up) & (down > 0.0) else nothing


@kernel
def _dx(rises, falls):  # type: ignore[no-untyped-def]
    return 100.0 * (abs(rises - falls) / (rises + falls))


@kernel
def _adx_groups(state, high, low, close, out):  # type: ignore[no-untyped-def]
    rise, powers = group_base(state[_RISES])
    fall, _ = group_base(state[_FALLS])
    trend, _ = group_base(state[_TREND])
    above, below = in_each(state[_HIGH]), in_each(state[_LOW])
    row = np.uint64(0)
    while row + WIDTH <= np.uint64(len(close)):
        highs, lows, closes = load((high, low, close), row)
        ups, downs = _movements(highs, lows, before_each(highs, above), before_each(lows, below))
        rises, next_rise = group_sums(rise, powers, ups)
        falls, next_fall = group_sums(fall, powers, downs)
        dx = 100.0 * (where(rises > falls, rises - falls, falls - rises) / (rises + falls))
        if not all_finite((dx, closes)):  # a row without part, or a DX that is not defined
            break
        sums, trend = group_sums(trend, powers, dx)
        store((out,), row, (state[_WEIGHT] * sums,))
        rise, fall, above, below = next_rise, next_fall, highs, lows
        row += WIDTH
    end_group(state[_RISES], rise, row)
    end_group(state[_FALLS], fall, row)
    end_group(state[_TREND], trend, row)
    state[_HIGH], state[_LOW] = last_lanes((above, below))
    state[_LAST] = state[_WEIGHT] * trend if row > 0 else state[_LAST]
    return int(row)


@inlined
def _movements(high, low, previous_high, previous_low):  # type: ignore[no-untyped-def]
    """`_movement` of lanes."""
    up, down = high - previous_high, previous_low - low
    nothing = (up - up) + (down - down)
    rises = where(up > down, where(up > 0.0, up, nothing), nothing)
    return rises, where(down > up, where(down > 0.0, down, nothing), nothing)


def adx(high: Floats, low: Floats, close: Floats, period: int = 14, out: Floats | None = None) -> Floats:
    """Average directional index of Wilder (1978): his average of DX = 100 · |rises - falls| / (rises + falls).

    Rises (falls) are Wilder's sums of the highs' steps up (the lows' steps down), of a row's two the larger. Equal to
    TA-Lib's, also where DX is undefined because nothing has moved: such a row counts as the average so far, and as 0
    among those that it starts from. The true range cancels out, so that `close` only says which rows are missing.

    Args:
        high, low, close: (time,) float64, prices.
        period: rows of each average, at least 2.
        out: (time,) float64 to write into; a new array when None.

    Returns:
        (time,) float64 from 0 to 100; NaN for the first `2 * period - 1` rows and where a price is NaN.

    Raises:
        TypeError, ValueError: wrong dtype, dimension, lengths or period; the message names the argument.
    """
    return run(adx_update, adx_state(period), {"high": high, "low": low, "close": close}, out)
