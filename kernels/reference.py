"""The slow, obvious NumPy twin of every kernel: same names, same arguments, written from the definition.

Windows are taken one by one and summed in long double. The tests compare every kernel with its twin.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from kernels.arrays import Floats, Integers
from kernels.bars import FILL_TOLERANCE, BarArrays

Exact = NDArray[np.longdouble]
_NAN = float("nan")


def _by_window(x: Floats, window: int, statistic: Callable[[Exact], float], *, finite: bool = True) -> Floats:
    out = np.full(len(x), _NAN)
    for end in range(window, len(x) + 1):
        values = x[end - window : end].astype(np.longdouble)
        if np.isfinite(values).all() if finite else not np.isnan(values).any():
            out[end - 1] = statistic(values)
    return out


def rolling_sum(x: Floats, window: int) -> Floats:
    return _by_window(x, window, lambda values: values.sum())


def rolling_mean(x: Floats, window: int) -> Floats:
    return _by_window(x, window, lambda values: values.mean())


def rolling_var(x: Floats, window: int) -> Floats:
    return _by_window(x, window, lambda values: values.var(ddof=1))


def rolling_std(x: Floats, window: int) -> Floats:
    return _by_window(x, window, lambda values: values.std(ddof=1))


def _zscore(values: Exact) -> float:
    if (values == values[0]).all():
        return 0.0
    return float((values[-1] - values.mean()) / values.std(ddof=1))


def rolling_zscore(x: Floats, window: int) -> Floats:
    return _by_window(x, window, _zscore)


def rolling_min(x: Floats, window: int) -> Floats:
    return _by_window(x, window, lambda values: values.min(), finite=False)


def rolling_max(x: Floats, window: int) -> Floats:
    return _by_window(x, window, lambda values: values.max(), finite=False)


def returns(x: Floats, lag: int = 1) -> Floats:
    out = np.full(len(x), _NAN)
    for row in range(lag, len(x)):
        if x[row - lag] != 0.0:
            out[row] = (x[row] - x[row - lag]) / x[row - lag]
    return out


def log_returns(x: Floats, lag: int = 1) -> Floats:
    out = np.full(len(x), _NAN)
    exact = x.astype(np.longdouble)
    for row in range(lag, len(x)):
        if x[row] > 0.0 and x[row - lag] > 0.0:
            out[row] = np.log(exact[row] / exact[row - lag])
    return out


def realized_volatility(x: Floats, window: int) -> Floats:
    out = np.full(len(x), _NAN)
    squares = log_returns(x).astype(np.longdouble) ** 2
    for row in range(window, len(x)):
        out[row] = np.sqrt(squares[row - window + 1 : row + 1].sum())
    return out


def ema(x: Floats, span: int) -> Floats:
    out = np.full(len(x), _NAN)
    rows = np.flatnonzero(~np.isnan(x))
    average = np.longdouble(0.0)
    for count, row in enumerate(rows, start=1):
        weight = np.longdouble(2.0) / (span + 1) if count > 1 else np.longdouble(1.0)
        average = weight * np.longdouble(x[row]) + (1 - weight) * average
        if count >= span:
            out[row] = average
    return out


def macd(x: Floats, fast: int = 12, slow: int = 26, signal: int = 9) -> tuple[Floats, Floats, Floats]:
    line = ema(x, fast) - ema(x, slow)
    smooth = ema(line, signal)
    return line, smooth, line - smooth


def _wilder(values: Floats, period: int) -> Floats:
    out = np.full(len(values), _NAN)
    if len(values) >= period:
        average = values[:period].astype(np.longdouble).mean()
        out[period - 1] = average
        for row in range(period, len(values)):
            average = (average * (period - 1) + values[row]) / period
            out[row] = average
    return out


def rsi(x: Floats, period: int = 14) -> Floats:
    out = np.full(len(x), _NAN)
    rows = np.flatnonzero(~np.isnan(x))
    changes = np.diff(x[rows])
    gains = _wilder(np.maximum(changes, 0.0), period)
    losses = _wilder(np.maximum(-changes, 0.0), period)
    total = gains + losses
    out[rows[1:]] = np.where(total == 0.0, 50.0, 100.0 * gains / np.where(total == 0.0, 1.0, total))
    return out


def atr(high: Floats, low: Floats, close: Floats, period: int = 14) -> Floats:
    out = np.full(len(close), _NAN)
    rows = np.flatnonzero(~np.isnan(high + low + close))
    high, low, close = high[rows], low[rows], close[rows]
    ranges = np.maximum(high[1:] - low[1:], np.maximum(abs(high[1:] - close[:-1]), abs(low[1:] - close[:-1])))
    out[rows[1:]] = _wilder(ranges, period)
    return out


def bollinger(x: Floats, window: int = 20, width: float = 2.0) -> tuple[Floats, Floats, Floats]:
    middle = rolling_mean(x, window)
    band = width * _by_window(x, window, lambda values: values.std())
    return middle - band, middle, middle + band


def tick_rule(price: Floats) -> Floats:
    out = np.zeros(len(price))
    sign, previous = 0.0, _NAN
    for row, value in enumerate(price):
        if value > previous:
            sign = 1.0
        elif value < previous:
            sign = -1.0
        previous = previous if np.isnan(value) else value
        out[row] = sign
    return out


def _ratio(above: Floats, below: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(below == 0.0, 0.0, above / below)


def vwap_deviation(price: Floats, volume: Floats, window: int) -> Floats:
    turnover = rolling_sum(price * volume, window)
    total = rolling_sum(volume, window)
    vwap = _ratio(turnover, total)
    return np.where(total == 0.0, 0.0, _ratio(price, vwap) - 1.0)


def signed_volume_imbalance(sign: Floats, volume: Floats, window: int) -> Floats:
    return _ratio(rolling_sum(sign * volume, window), rolling_sum(volume, window))


def volume_zscore(volume: Floats, window: int) -> Floats:
    return rolling_zscore(np.log1p(np.where(volume >= 0.0, volume, _NAN)), window)


def horizon_return(close: Floats, horizon: int) -> Floats:
    out = np.full(len(close), _NAN)
    out[: max(len(close) - horizon, 0)] = log_returns(close, horizon)[horizon:]
    return out


def direction(returns: Floats, dead_zone: float = 0.0) -> Floats:
    return np.where(returns > dead_zone, 1.0, np.where(returns < -dead_zone, 0.0, _NAN))


def sliding_windows(matrix: NDArray[np.float64], lookback: int) -> NDArray[np.float64]:
    windows = [matrix[start : start + lookback] for start in range(len(matrix) - lookback + 1)]
    return np.array(windows).reshape(len(windows), lookback, matrix.shape[1])


def gather_windows(matrix: NDArray[np.float64], starts: Integers, lookback: int) -> NDArray[np.float64]:
    windows = [matrix[start : start + lookback] for start in starts]
    return np.array(windows).reshape(len(starts), lookback, matrix.shape[1])


Ticks = tuple[Integers, Floats, Floats, Floats | None]


def _bar(ticks: Ticks, rows: range, label: int) -> tuple[list[int], list[float], int]:
    timestamp, price, volume, side = ticks
    inferred = tick_rule(price)
    signs = inferred if side is None else np.where(np.isin(side, (1.0, -1.0)), side, inferred)
    inside = slice(rows.start, rows.stop)
    prices, sizes = price[inside], volume[inside]
    bought, sold = (sum(sizes[signs[inside] == sign].tolist()) for sign in (1.0, -1.0))
    dollar = sum((prices * sizes).tolist())
    values = [prices[0], prices.max(), prices.min(), prices[-1], sum(sizes.tolist()), dollar, bought, sold]
    return [label, int(timestamp[rows.stop - 1])], [float(value) for value in values], len(rows)


def _collect(bars: list[tuple[list[int], list[float], int]]) -> BarArrays:
    times = np.array([times for times, _, _ in bars], np.int64).reshape(len(bars), 2).T
    values = np.array([values for _, values, _ in bars]).reshape(len(bars), 8).T
    return BarArrays(times, values, np.array([ticks for _, _, ticks in bars], np.int64))


def time_bars(
    timestamp: Integers, price: Floats, volume: Floats, step_ns: int, *, side: Floats | None = None
) -> BarArrays:
    ticks = (timestamp, price, volume, side)
    labels = [int(stamp) // step_ns * step_ns for stamp in timestamp]
    starts = [row for row in range(len(labels)) if row == 0 or labels[row] != labels[row - 1]]
    stops = [*starts[1:], len(labels)][: len(starts)]
    return _collect([_bar(ticks, range(a, b), labels[a]) for a, b in zip(starts, stops, strict=True)])


def _filled(ticks: Ticks, amounts: Floats, size: float) -> BarArrays:
    bars, start, filled = [], 0, 0.0
    for row, amount in enumerate(amounts):
        filled += amount
        if filled >= size * (1.0 - FILL_TOLERANCE):
            bars.append(_bar(ticks, range(start, row + 1), int(ticks[0][start])))
            start, filled = row + 1, 0.0
    return _collect(bars)


def tick_bars(
    timestamp: Integers, price: Floats, volume: Floats, size: int, *, side: Floats | None = None
) -> BarArrays:
    return _filled((timestamp, price, volume, side), np.ones(len(price)), size)


def volume_bars(
    timestamp: Integers, price: Floats, volume: Floats, size: float, *, side: Floats | None = None
) -> BarArrays:
    return _filled((timestamp, price, volume, side), volume, size)


def dollar_bars(
    timestamp: Integers, price: Floats, volume: Floats, size: float, *, side: Floats | None = None
) -> BarArrays:
    return _filled((timestamp, price, volume, side), price * volume, size)
