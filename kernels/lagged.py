"""Earlier values, simple and logarithmic returns over a lag, and the volatility realised by the latter."""

import math

import numpy as np

from kernels.arrays import ROWS, Floats, checked_count, run
from kernels.compilation import kernel
from kernels.logarithm import ln
from kernels.rolling import rolling_sum_state, rolling_sum_update
from kernels.scratch import scratch

_LAG, _RING = 1, 2
_BLOCK = 256
_NEAR = 0.01  # of the squared half relative change: the series of `log_ratios` is exact to the last bit below it


def lag_state(lag: int) -> Floats:
    """State that remembers the last `lag` rows: row r of all stands in slot r modulo `lag`, NaN before there is one."""
    lag = checked_count("lag", lag)
    return np.concatenate([[0.0, lag], np.full(lag, math.nan)])


returns_state = log_returns_state = lag_state


@kernel
def recall(state, row):  # type: ignore[no-untyped-def]
    """The value `lag` before row `row` of the next ones, where that came with earlier ones: `row` is below `lag`."""
    return state[_RING + (int(state[ROWS]) + row) % int(state[_LAG])]


@kernel
def remember(state, x):  # type: ignore[no-untyped-def]
    """Keep what later calls will ask of these rows."""
    lag = int(state[_LAG])
    seen = int(state[ROWS])
    for row in range(max(len(x) - lag, 0), len(x)):
        state[_RING + (seen + row) % lag] = x[row]
    state[ROWS] += len(x)


@kernel
def lag_update(state, x, out):  # type: ignore[no-untyped-def]
    lag = int(state[_LAG])
    for row in range(min(lag, len(x))):
        out[row] = recall(state, row)
    for row in range(np.uint64(lag), np.uint64(len(x))):  # unsigned: no index is checked for being negative
        out[row] = x[row - np.uint64(lag)]
    remember(state, x)


def lag(x: Floats, lag: int, out: Floats | None = None) -> Floats:
    """The value of `lag` rows ago.

    Args:
        x: (time,) float64, any unit.
        lag: rows, at least 1.
        out: (time,) float64 to write into; a new array when None.

    Returns:
        (time,) float64 in the unit of `x`; NaN for the first `lag` rows; a NaN is a value like any other.

    Raises:
        TypeError, ValueError: wrong dtype, dimension or lag; the message names the argument.
    """
    return run(lag_update, lag_state(lag), {"x": x}, out)


@kernel
def log_ratio(x, past):  # type: ignore[no-untyped-def]
    """ln(x / past), NaN unless both are above 0.

    As 2·atanh((x - past) / (x + past)): no error grows as the two come close, and where they differ by less than a
    fifth nine terms of the series are enough.
    """
    near, value = _near_ratio(x, past)
    return value if near else _far_ratio(x, past)


@kernel
def _near_ratio(x, past):  # type: ignore[no-untyped-def]
    """Whether the two are near enough for the series, and what it says."""
    ratio = (x - past) / (x + past)
    square = ratio * ratio
    series = 2.0 / 17.0
    series = series * square + 2.0 / 15.0
    series = series * square + 2.0 / 13.0
    series = series * square + 2.0 / 11.0
    series = series * square + 2.0 / 9.0
    series = series * square + 2.0 / 7.0
    series = series * square + 2.0 / 5.0
    series = series * square + 2.0 / 3.0
    return (square <= _NEAR) & (past > 0.0), ratio * (series * square) + 2.0 * ratio


@kernel
def _far_ratio(x, past):  # type: ignore[no-untyped-def]
    value = ln(x / past)
    return value if (x > 0.0) & (past > 0.0) else math.nan


@kernel
def log_ratios(x, past, out):  # type: ignore[no-untyped-def]
    """`log_ratio` of rows, in blocks that vectorise: where all are near, the logarithm is not computed at all."""
    for start in range(0, len(x), _BLOCK):
        stop = min(start + _BLOCK, len(x))
        far = 0
        for row in range(np.uint64(start), np.uint64(stop)):
            near, out[row] = _near_ratio(x[row], past[row])
            far += 0 if near else 1
        if far > 0:
            for row in range(np.uint64(start), np.uint64(stop)):
                near, value = _near_ratio(x[row], past[row])
                distant = _far_ratio(x[row], past[row])
                out[row] = value if near else distant


@kernel
def _ratio(x, past):  # type: ignore[no-untyped-def]
    change = (x - past) / past
    return math.nan if past == 0.0 else change


@kernel
def returns_update(state, x, out):  # type: ignore[no-untyped-def]
    lag = int(state[_LAG])
    for row in range(min(lag, len(x))):
        out[row] = _ratio(x[row], recall(state, row))
    for row in range(np.uint64(lag), np.uint64(len(x))):
        out[row] = _ratio(x[row], x[row - np.uint64(lag)])
    remember(state, x)


@kernel
def log_returns_update(state, x, out):  # type: ignore[no-untyped-def]
    lag = int(state[_LAG])
    for row in range(min(lag, len(x))):
        out[row] = log_ratio(x[row], recall(state, row))
    if len(x) > lag:
        log_ratios(x[lag:], x[: len(x) - lag], out[lag:])
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
    """State of `realized_volatility`: one remembered price, the rolling sum, working space for one row."""
    return np.concatenate([lag_state(1), rolling_sum_state(window), [0.0]])


@kernel
def realized_volatility_update(state, x, out):  # type: ignore[no-untyped-def]
    squares = scratch(state[-1:], len(x))
    row = 0
    if state[ROWS] == 0.0 and len(x) > 0:
        remember(state[:_ONE_ROW], x[:1])  # the first row has no return: it takes no place in a window
        out[0] = math.nan
        row = 1
    while row < len(x):
        stop = min(row + len(squares), len(x))
        _realize(state, x[row:stop], squares[: stop - row], out[row:stop])
        row = stop
    state[-1] = 0.0


@kernel
def _realize(state, x, squares, out):  # type: ignore[no-untyped-def]
    log_returns_update(state[:_ONE_ROW], x, squares)
    for row in range(len(x)):
        squares[row] *= squares[row]
    rolling_sum_update(state[_ONE_ROW : len(state) - 1], squares, out)
    for row in range(len(x)):
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
