"""What time says: seconds since the row before, counts that fade with time, and where in the day and week a row lies.

Times are int64 nanoseconds since the epoch, UTC. Like every input of a kernel they come as a float64 vector; its bits
are the integers (`timestamps.view(np.float64)`), because a float64 cannot hold today's nanoseconds.
"""

import math

import numpy as np

from kernels.arrays import ROWS, Floats
from kernels.compilation import ONE, kernel

_DAY = 86_400 * 10**9
_WEEK = 7 * _DAY
_EPOCH_WEEKDAY = 3 * _DAY  # 1970-01-01 was a Thursday; weeks begin on Monday


def no_state() -> Floats:
    """State of a kernel that looks at one row alone: only the count of rows."""
    return np.zeros(1)


def elapsed_state() -> Floats:
    """State of `elapsed`: rows seen, and the bits of the last time."""
    return np.zeros(2)


@kernel
def elapsed_update(state, time, out):  # type: ignore[no-untyped-def]
    """Seconds since the row before; NaN for the first row."""
    times = time.view(np.int64)
    last = state.view(np.int64)
    rows = np.uint64(len(times))
    if rows == 0:
        return
    out[0] = (times[0] - last[1]) / 1e9 if state[ROWS] > 0.0 else math.nan
    for row in range(ONE, rows):
        out[row] = (times[row] - times[row - ONE]) / 1e9
    last[1] = times[rows - ONE]
    state[ROWS] += rows


def decayed_state(seconds: float) -> Floats:
    """State of `decayed`: rows seen, the bits of the last time, time constant in seconds, faded count."""
    if not seconds > 0.0:
        raise ValueError(f"seconds: expected a number above 0, received {seconds}")
    return np.array([0.0, 0.0, seconds, 0.0])


@kernel
def decayed_update(state, time, x, out):  # type: ignore[no-untyped-def]
    """Sum of all values so far, each faded by exp(-age / seconds); NaN where `x` is NaN, which takes no part."""
    times = time.view(np.int64)
    last = state.view(np.int64)
    for row in range(len(times)):
        age = (times[row] - last[1]) / 1e9 if state[ROWS] > 0.0 else 0.0
        state[3] *= math.exp(-age / state[2])
        last[1] = times[row]
        state[ROWS] += 1.0
        if x[row] == x[row]:
            state[3] += x[row]
        out[row] = state[3] + (x[row] - x[row])


@kernel
def _circle(time, period, offset, out):  # type: ignore[no-untyped-def]
    """sin(2π · part of the period), within 1e-15.

    Folded onto a quarter and summed as the series of the sine up to x²¹, which vectorises where a call of `sin` does
    not.
    """
    times = time.view(np.int64)
    for row in range(np.uint64(len(times))):
        part = ((times[row] + offset) % period) / period - 0.5
        x = 2.0 * math.pi * (0.25 - abs(abs(part) - 0.25))
        square = x * x
        series = -1.0 / 51090942171709440000.0
        series = series * square + 1.0 / 121645100408832000.0
        series = series * square - 1.0 / 355687428096000.0
        series = series * square + 1.0 / 1307674368000.0
        series = series * square - 1.0 / 6227020800.0
        series = series * square + 1.0 / 39916800.0
        series = series * square - 1.0 / 362880.0
        series = series * square + 1.0 / 5040.0
        series = series * square - 1.0 / 120.0
        series = series * square + 1.0 / 6.0
        sine = x - x * (square * series)
        out[row] = sine if part < 0.0 else -sine


@kernel
def day_sine_update(state, time, out):  # type: ignore[no-untyped-def]
    """sin(2π · part of the UTC day)"""
    _circle(time, _DAY, 0, out)


@kernel
def day_cosine_update(state, time, out):  # type: ignore[no-untyped-def]
    """cos(2π · part of the UTC day)"""
    _circle(time, _DAY, _DAY // 4, out)


@kernel
def week_sine_update(state, time, out):  # type: ignore[no-untyped-def]
    """sin(2π · part of the week since Monday 00:00 UTC)"""
    _circle(time, _WEEK, _EPOCH_WEEKDAY, out)


@kernel
def week_cosine_update(state, time, out):  # type: ignore[no-untyped-def]
    """cos(2π · part of the week since Monday 00:00 UTC)"""
    _circle(time, _WEEK, _EPOCH_WEEKDAY + _WEEK // 4, out)
