"""Simple and logarithmic returns over a lag, and the volatility realised by the latter."""

import math

import numpy as np

from kernels.arrays import ROWS, Floats, checked_count, run
from kernels.compilation import kernel
from kernels.rolling import SUM, moments_state, update_statistic

_LAG, _RING = 1, 2
_BLOCK = 256
_NEAR = 0.01  # of the squared half relative change: the series of `log_ratios` is exact to the last bit below it


def lag_state(lag: int) -> Floats:
    """State that remembers the last `lag` rows: row r of all stands in slot r modulo `lag`."""
    lag = checked_count("lag", lag)
    state = np.zeros(_RING + lag)
    state[_LAG] = lag
    return state


returns_state = log_returns_state = lag_state


@kernel
def recall(state, rows):  # type: ignore[no-untyped-def]
    """The rows that lie `lag` before the next `rows` ones and came with earlier calls; NaN where there are none."""
    lag = int(state[_LAG])
    seen = int(state[ROWS])
    past = np.empty(min(lag, rows))
    for row in range(len(past)):
        past[row] = state[_RING + (seen + row) % lag] if seen + row >= lag else math.nan
    return past


@kernel
def remember(state, x):  # type: ignore[no-untyped-def]
    """Keep what later calls will ask of these rows."""
    lag = int(state[_LAG])
    seen = int(state[ROWS])
    for row in range(max(len(x) - lag, 0), len(x)):
        state[_RING + (seen + row) % lag] = x[row]
    state[ROWS] += len(x)


@kernel
def log_ratios(x, past, out):  # type: ignore[no-untyped-def]
    """ln(x / past), NaN unless both are above 0.

    As 2·atanh((x - past) / (x + past)): no error grows as the two come close, and where they differ by less than a
    fifth nine terms of the series are enough, which vectorise where a call of `log` does not.
    """
    for start in range(0, len(x), _BLOCK):
        rows = slice(start, min(start + _BLOCK, len(x)))
        if _near_ratios(x[rows], past[rows], out[rows]) > 0:
            _far_ratios(x[rows], past[rows], out[rows])


@kernel
def _near_ratios(x, past, out):  # type: ignore[no-untyped-def]
    far = 0
    for row in range(len(x)):
        ratio = (x[row] - past[row]) / (x[row] + past[row])
        square = ratio * ratio
        far += 0 if square <= _NEAR and past[row] > 0.0 else 1
        series = 2.0 / 17.0
        series = series * square + 2.0 / 15.0
        series = series * square + 2.0 / 13.0
        series = series * square + 2.0 / 11.0
        series = series * square + 2.0 / 9.0
        series = series * square + 2.0 / 7.0
        series = series * square + 2.0 / 5.0
        series = series * square + 2.0 / 3.0
        out[row] = ratio * (series * square) + 2.0 * ratio
    return far


@kernel
def _far_ratios(x, past, out):  # type: ignore[no-untyped-def]
    for row in range(len(x)):
        ratio = (x[row] - past[row]) / (x[row] + past[row])
        if not (ratio * ratio <= _NEAR and past[row] > 0.0):
            out[row] = math.log(x[row] / past[row]) if x[row] > 0.0 and past[row] > 0.0 else math.nan


@kernel
def _ratios(x, past, out):  # type: ignore[no-untyped-def]
    for row in range(len(x)):
        change = (x[row] - past[row]) / past[row]
        out[row] = math.nan if past[row] == 0.0 else change


@kernel
def returns_update(state, x, out):  # type: ignore[no-untyped-def]
    past = recall(state, len(x))
    _ratios(x[: len(past)], past, out[: len(past)])
    _ratios(x[len(past) :], x[: len(x) - len(past)], out[len(past) :])
    remember(state, x)


@kernel
def log_returns_update(state, x, out):  # type: ignore[no-untyped-def]
    past = recall(state, len(x))
    log_ratios(x[: len(past)], past, out[: len(past)])
    log_ratios(x[len(past) :], x[: len(x) - len(past)], out[len(past) :])
    remember(state, x)


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


_ONE_ROW = _RING + 1  # a state that remembers one price stands before the rolling sum of squared returns


def realized_volatility_state(window: int) -> Floats:
    """State of `realized_volatility`: one remembered price and the rolling sum."""
    return np.concatenate([lag_state(1), moments_state(window)])


@kernel
def realized_volatility_update(state, x, out):  # type: ignore[no-untyped-def]
    squares = np.empty(len(x))
    first = 1 if state[ROWS] == 0.0 and len(x) > 0 else 0  # the first row has no return: it takes no place in a window
    log_returns_update(state[:_ONE_ROW], x, squares)
    for row in range(len(x)):
        squares[row] *= squares[row]
    out[:first] = math.nan
    update_statistic(state[_ONE_ROW:], squares[first:], out[first:], SUM)
    for row in range(first, len(x)):
        out[row] = math.sqrt(0.0 if out[row] < 0.0 else out[row])


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
