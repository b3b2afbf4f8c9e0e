"""Indicators of three lines: MACD and Bollinger bands."""

import math

import numpy as np

from kernels.arrays import Floats, run_many
from kernels.compilation import ONE, inlined, kernel
from kernels.discounted import (
    FOUR,
    GROUP,
    SUM_SIZE,
    THREE,
    TWO,
    advance_sum,
    begins_group,
    ema_weight,
    end_group,
    exponential_state,
    group_base,
    group_sums,
)
from kernels.lanes import SUM, square_root
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
    weight_fast, weight_slow, weight = state[_WEIGHTS], state[_WEIGHTS + 1], state[_WEIGHTS + 2]
    row = np.uint64(0)
    while row + FOUR <= np.uint64(len(x)):
        values = x[row], x[row + ONE], x[row + TWO], x[row + THREE]
        fasts, _ = group_sums(fast, fast_powers, values[0], values[1], values[2], values[3])
        slows, _ = group_sums(slow, slow_powers, values[0], values[1], values[2], values[3])
        line0 = weight_fast * fasts[0] - weight_slow * slows[0]
        line1 = weight_fast * fasts[1] - weight_slow * slows[1]
        line2 = weight_fast * fasts[2] - weight_slow * slows[2]
        line3 = weight_fast * fasts[3] - weight_slow * slows[3]
        sums, check = group_sums(base, powers, line0, line1, line2, line3)
        if check - check != 0.0:
            break
        fast, slow, base = fasts[3], slows[3], sums[3]
        _write(line0, weight * sums[0], row, line, signal, histogram)
        _write(line1, weight * sums[1], row + ONE, line, signal, histogram)
        _write(line2, weight * sums[2], row + TWO, line, signal, histogram)
        _write(line3, weight * sums[3], row + THREE, line, signal, histogram)
        row += FOUR
    end_group(state[_FAST], fast, row)
    end_group(state[_SLOW], slow, row)
    end_group(state[_SIGNAL], base, row)
    return int(row)


@kernel
def _write(value, smooth, row, line, signal, histogram):  # type: ignore[no-untyped-def]
    line[row] = value
    signal[row] = smooth
    histogram[row] = value - smooth


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
