"""Simple and logarithmic returns over a lag, and the volatility realised by the latter."""

import math

import numpy as np

from kernels.arrays import ROWS, Floats, checked_count, run
from kernels.compilation import kernel
from kernels.rolling import advance_moments, moments_state

_LAG, _POSITION, _RING = 1, 2, 3


def lag_state(lag: int) -> Floats:
    """State that remembers the last `lag` rows."""
    lag = checked_count("lag", lag)
    state = np.zeros(_RING + lag)
    state[_LAG] = lag
    return state


returns_state = log_returns_state = lag_state


@kernel
def advance_lag(state, value):  # type: ignore[no-untyped-def]
    """Take one row and return the row `lag` before it, NaN when there is none."""
    position = int(state[_POSITION])
    past = state[_RING + position] if state[ROWS] >= state[_LAG] else math.nan
    state[_RING + position] = value
    state[_POSITION] = 0.0 if position + 1 == int(state[_LAG]) else position + 1.0
    state[ROWS] += 1.0
    return past


@kernel
def log_ratio(now, past):  # type: ignore[no-untyped-def]
    """ln(now / past); by log1p of the relative change, whose error does not grow as the two come close."""
    return math.log1p((now - past) / past) if now > 0.0 and past > 0.0 else math.nan


@kernel
def returns_update(state, x, out):  # type: ignore[no-untyped-def]
    for row in range(len(x)):
        past = advance_lag(state, x[row])
        out[row] = (x[row] - past) / past if past != 0.0 else math.nan


@kernel
def log_returns_update(state, x, out):  # type: ignore[no-untyped-def]
    for row in range(len(x)):
        out[row] = log_ratio(x[row], advance_lag(state, x[row]))


def returns(x: Floats, lag: int = 1, out: Floats | None = None) -> Floats:
    """Relative change `x[t] / x[t - lag] - 1`.

    Args:
        x: (time,) float64, a price.
        lag: rows, at least 1.
        out: (time,) float64 to write into; a new array when None.

    Returns:
        (time,) float64 without unit; NaN for the first `lag` rows, where either price is NaN, and where the
        earlier one is 0.

    Raises:
        TypeError, ValueError: wrong dtype, dimension or lag; the message names the argument.
    """
    return run(returns_update, returns_state(lag), {"x": x}, out)


def log_returns(x: Floats, lag: int = 1, out: Floats | None = None) -> Floats:
    """Logarithmic return `ln(x[t] / x[t - lag])`.

    Arguments and errors as in `returns`; NaN for the first `lag` rows and where either price is NaN or not
    above 0.
    """
    return run(log_returns_update, log_returns_state(lag), {"x": x}, out)


_VOLATILITY_LAG = 4  # a one-row lag state, then the moments of the squared returns


def realized_volatility_state(window: int) -> Floats:
    """State of `realized_volatility`: one remembered price and the rolling sum."""
    return np.concatenate([lag_state(1), moments_state(window)])


@kernel
def realized_volatility_update(state, x, out):  # type: ignore[no-untyped-def]
    lag = state[:_VOLATILITY_LAG]
    moments = state[_VOLATILITY_LAG:]
    for row in range(len(x)):
        step = log_ratio(x[row], advance_lag(lag, x[row]))
        if lag[ROWS] == 1.0:
            out[row] = math.nan  # the first row has no return: it takes no place in the window
        else:
            anchor, sum1, _ = advance_moments(moments, step * step)
            total = sum1 + anchor * moments[1]
            out[row] = math.sqrt(0.0 if total < 0.0 else total)


def realized_volatility(x: Floats, window: int, out: Floats | None = None) -> Floats:
    """Square root of the sum of the last `window` squared one-row log returns (not annualised).

    Args:
        x: (time,) float64, a price above 0.
        window: returns, at least 1.
        out: (time,) float64 to write into; a new array when None.

    Returns:
        (time,) float64 without unit; NaN for the first `window` rows and where a return in the window is NaN.

    Raises:
        TypeError, ValueError: wrong dtype, dimension or window; the message names the argument.
    """
    return run(realized_volatility_update, realized_volatility_state(window), {"x": x}, out)
