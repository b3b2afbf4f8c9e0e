"""Indicators of three lines: MACD and Bollinger bands."""

import math

import numpy as np

from kernels.arrays import Floats, run_many
from kernels.compilation import inlined, kernel
from kernels.discounted import (
    GROUP,
    SUM_SIZE,
    advance_sum,
    begins_group,
    ema_weight,
    end_group,
    exponential_state,
    group_base,
    group_sums,
)
from kernels.lane_memory import load, store
from kernels.lane_picks import all_finite
from kernels.lanes import SUM, WIDTH, square_root
from kernels.rolling import mean_and_variance, two_powers
from kernels.window_folds import fold_state, fold_windows

_FAST, _SLOW, _SIGNAL = (slice(start, start + SUM_SIZE) for start in (0, SUM_SIZE, 2 * SUM_SIZE))
_WEIGHTS = 3 * SUM_SIZE


def macd_state(fast: int = 12, slow: int = 26, signal: int = 9) -> Floats:
    """State of `macd`: the discounted sums of fast, slow and signal, then their weights."""
    if fast >= slow:
        raise ValueError(f"fast: expected fewer rows than slow ({slow}), received {fast}")
    # the signal starts where the slow average is first told: its groups are made to end with those of the others
    sums = [exponential_state(fast), exponential_state(slow), exponential_state(signal, position=(slow - 1) % GROUP)]
    return np.concatenate([*sums, [ema_weight(span) for span in (fast, slow, signal)]])


@kernel
def macd_update(state, x, line, signal, histogram):  # type: ignore[no-untyped-def]
    """Take rows. `signal` and `histogram` may be one array, which then holds the histogram."""
    row = 0
    while row < len(x):
        left = len(x) - row
        if begins_group(state[_SIGNAL], left) and begins_group(state[_SLOW], left) and begins_group(state[_FAST], left):
            row += _macd_groups(state, x[row:], line[row:], signal[row:], histogram[row:])
        if row < len(x):
            fast = state[_WEIGHTS] * advance_sum(state[_FAST], x[row])
            line[row] = fast - state[_WEIGHTS + 1] * advance_sum(state[_SLOW], x[row])
            signal[row] = state[_WEIGHTS + 2] * advance_sum(state[_SIGNAL], line[row])
            histogram[row] = line[row] - signal[row]
            row += 1


@kernel
def _macd_groups(state, x, line, signal, histogram):  # type: ignore[no-untyped-def]
    """Whole groups of the three sums side by side: passes for each over three results cost more than the sums."""
    fast, fast_powers = group_base(state[_FAST])
    slow, slow_powers = group_base(state[_SLOW])
    base, powers = group_base(state[_SIGNAL])
    row = np.uint64(0)
    while row + WIDTH <= np.uint64(len(x)):
        (values,) = load((x,), row)
        fasts, next_fast = group_sums(fast, fast_powers, values)
        slows, next_slow = group_sums(slow, slow_powers, values)
        difference = state[_WEIGHTS] * fasts - state[_WEIGHTS + 1] * slows
        if not all_finite((difference,)):
            break
        sums, base = group_sums(base, powers, difference)
        smooth = state[_WEIGHTS + 2] * sums
        store((line, signal, histogram), row, (difference, smooth, difference - smooth))
        fast, slow = next_fast, next_slow
        row += WIDTH
    end_group(state[_FAST], fast, row)
    end_group(state[_SLOW], slow, row)
    end_group(state[_SIGNAL], base, row)
    return int(row)


def macd(
    x: Floats, fast: int = 12, slow: int = 26, signal: int = 9, out: tuple[Floats, Floats, Floats] | None = None
) -> tuple[Floats, Floats, Floats]:
    """Moving average convergence divergence: EMA(fast) - EMA(slow), its EMA, and their difference.

    Each average is `ema`, so values settle on TA-Lib's (which starts them from means) as the start fades.

    Args:
        x: (time,) float64, a price.
        fast, slow, signal: spans in rows; fast < slow.
        out: three (time,) float64 to write into; new arrays when None.

    Returns:
        (line, signal, histogram), each (time,) float64 in the unit of `x`; NaN for the first `slow - 1` rows of
        the line and `slow + signal - 2` rows of the others, and where `x` is NaN.

    Raises:
        TypeError, ValueError: wrong dtype, dimension or span; the message names the argument.
    """
    line, smooth, histogram = run_many(macd_update, macd_state(fast, slow, signal), {"x": x}, 3, out)
    return line, smooth, histogram


def bollinger_state(window: int = 20, width: float = 2.0) -> Floats:
    """State of `bollinger`: the sums, then the width in sample standard deviations."""
    return fold_state(window, terms=2, kind=width * math.sqrt((window - 1.0) / window), least=2)


@inlined
def _bands(kind, sums, values, anchors, place, window):  # type: ignore[no-untyped-def]
    mean, variance = mean_and_variance(sums, window)
    middle = anchors[0] + mean
    band = square_root(variance) * kind
    return middle - band, middle, middle + band


@kernel
def bollinger_update(state, x, lower, middle, upper):  # type: ignore[no-untyped-def]
    fold_windows(state, (x,), (lower, middle, upper), (0.0, 0.0), two_powers, SUM, _bands)


def bollinger(
    x: Floats, window: int = 20, width: float = 2.0, out: tuple[Floats, Floats, Floats] | None = None
) -> tuple[Floats, Floats, Floats]:
    """Bollinger bands: rolling mean ∓ `width` population standard deviations (ddof = 0, as Bollinger and TA-Lib).

    Args:
        x: (time,) float64, a price.
        window: rows, at least 2.
        width: standard deviations.
        out: three (time,) float64 to write into; new arrays when None.

    Returns:
        (lower, middle, upper), each (time,) float64 in the unit of `x`; NaN as in `rolling_mean`.

    Raises:
        TypeError, ValueError: wrong dtype, dimension or window; the message names the argument.
    """
    lower, middle, upper = run_many(bollinger_update, bollinger_state(window, width), {"x": x}, 3, out)
    return lower, middle, upper
