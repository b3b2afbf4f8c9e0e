"""The slow, obvious NumPy twin of every kernel: same names, same arguments, written from the definition.

Windows are taken one by one and summed in long double. The tests compare every kernel with its twin.
"""

import collections
import itertools
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.arrays import Floats, Integers
from kernels.bars import COLUMN_NAMES, FILL_TOLERANCE, QUOTE_NAMES, QUOTES, BarColumns
from kernels.delta_packing import BLOCK, PART, PARTS
from kernels.plain_numbers import INTEGER, NUMBER, SKIPPED

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


def rolling_moments(x: Floats, window: int) -> tuple[Floats, Floats, Floats]:
    return rolling_mean(x, window), rolling_std(x, window), rolling_zscore(x, window)


def _skewness(values: Exact) -> float:
    n, deviations = len(values), values - values.mean()
    second, third = (deviations**2).mean(), (deviations**3).mean()
    return float(np.sqrt(np.longdouble(n * (n - 1))) / (n - 2) * third / second**1.5) if second > 0.0 else _NAN


def rolling_skew(x: Floats, window: int) -> Floats:
    return _by_window(x, window, _skewness)


def _kurtosis(values: Exact) -> float:
    n, deviations = len(values), values - values.mean()
    second, fourth = (deviations**2).mean(), (deviations**4).mean()
    if second == 0.0:
        return _NAN
    return float((n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * fourth / second**2 - 3 * (n - 1)))


def rolling_kurt(x: Floats, window: int) -> Floats:
    return _by_window(x, window, _kurtosis)


def _by_two_windows(x: Floats, y: Floats, window: int, statistic: Callable[[Exact, Exact], float]) -> Floats:
    out = np.full(len(x), _NAN)
    for end in range(window, len(x) + 1):
        left, right = (values[end - window : end].astype(np.longdouble) for values in (x, y))
        if np.isfinite(left).all() and np.isfinite(right).all():
            out[end - 1] = statistic(left - left.mean(), right - right.mean())
    return out


def rolling_cov(x: Floats, y: Floats, window: int) -> Floats:
    return _by_two_windows(x, y, window, lambda left, right: (left * right).sum() / (window - 1))


def _correlation(left: Exact, right: Exact) -> float:
    scale = np.sqrt((left**2).sum() * (right**2).sum())
    return float((left * right).sum() / scale) if scale > 0.0 else _NAN


def rolling_corr(x: Floats, y: Floats, window: int) -> Floats:
    return _by_two_windows(x, y, window, _correlation)


def _line(values: Exact) -> tuple[np.longdouble, Exact]:
    """Slope of the least-squares line on time, and the residuals."""
    time = np.arange(len(values), dtype=np.longdouble) - np.longdouble(len(values) - 1) / 2
    deviations = values - values.mean()
    slope = (time * deviations).sum() / (time**2).sum()
    return slope, deviations - slope * time


def rolling_slope(x: Floats, window: int) -> Floats:
    return _by_window(x, window, lambda values: float(_line(values)[0]))


def _rsquare(values: Exact) -> float:
    total = ((values - values.mean()) ** 2).sum()
    return float(1.0 - (_line(values)[1] ** 2).sum() / total) if total > 0.0 else _NAN


def rolling_rsquare(x: Floats, window: int) -> Floats:
    return _by_window(x, window, _rsquare)


def rolling_resid(x: Floats, window: int) -> Floats:
    return _by_window(x, window, lambda values: float(_line(values)[1][-1]))


def rolling_min(x: Floats, window: int) -> Floats:
    return _by_window(x, window, lambda values: values.min(), finite=False)


def rolling_max(x: Floats, window: int) -> Floats:
    return _by_window(x, window, lambda values: values.max(), finite=False)


def rolling_argmin(x: Floats, window: int) -> Floats:
    return _by_window(x, window, lambda values: window - 1 - int(values.argmin()), finite=False)


def rolling_argmax(x: Floats, window: int) -> Floats:
    return _by_window(x, window, lambda values: window - 1 - int(values.argmax()), finite=False)


def rolling_median(x: Floats, window: int) -> Floats:
    return _by_window(x, window, lambda values: float(np.median(values)))


def rolling_quantile(x: Floats, window: int, q: float) -> Floats:
    return _by_window(x, window, lambda values: float(np.quantile(values, q)))


def _mean_rank(values: Exact) -> float:
    below, equal = (values < values[-1]).sum(), (values == values[-1]).sum()
    return float((below + (equal + 1) / 2) / len(values))


def rolling_rank(x: Floats, window: int) -> Floats:
    return _by_window(x, window, _mean_rank)


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
    rows = np.flatnonzero(np.isfinite(x))
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
    rows = np.flatnonzero(np.isfinite(x))
    changes = np.diff(x[rows])
    gains = _wilder(np.maximum(changes, 0.0), period)
    losses = _wilder(np.maximum(-changes, 0.0), period)
    total = gains + losses
    out[rows[1:]] = np.where(total == 0.0, 50.0, 100.0 * gains / np.where(total == 0.0, 1.0, total))
    return out


def atr(high: Floats, low: Floats, close: Floats, period: int = 14) -> Floats:
    out = np.full(len(close), _NAN)
    rows = np.flatnonzero(np.isfinite(high + low + close))
    high, low, close = high[rows], low[rows], close[rows]
    ranges = np.maximum(high[1:] - low[1:], np.maximum(abs(high[1:] - close[:-1]), abs(low[1:] - close[:-1])))
    out[rows[1:]] = _wilder(ranges, period)
    return out


def adx(high: Floats, low: Floats, close: Floats, period: int = 14) -> Floats:
    out = np.full(len(close), _NAN)
    rows = np.flatnonzero(np.isfinite(high + low + close))
    up, down = np.diff(high[rows].astype(np.longdouble)), -np.diff(low[rows].astype(np.longdouble))
    rises, falls = np.where((up > down) & (up > 0.0), up, 0.0), np.where((down > up) & (down > 0.0), down, 0.0)
    start, average = period - 1, np.longdouble(0.0)
    rise, fall = rises[:start].sum(), falls[:start].sum()
    for count, row in enumerate(rows[period:], start=1):
        rise, fall = (old - old / period + new[start + count - 1] for old, new in ((rise, rises), (fall, falls)))
        if rise + fall > 0.0:
            dx = 100.0 * abs(rise - fall) / (rise + fall)
            average = average + dx / period if count <= period else (average * (period - 1) + dx) / period
        if count >= period:
            out[row] = average
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


def average_uniqueness(labelled: NDArray[np.bool_], horizon: int) -> Floats:
    at_work = [labelled[max(row - horizon, 0) : row].sum() for row in range(len(labelled) + horizon)]
    spans = [np.array(at_work[row + 1 : row + horizon + 1]) for row in range(len(labelled))]
    return np.array([np.mean(1.0 / span) if used else 0.0 for used, span in zip(labelled, spans, strict=True)])


def outlier_prints(prices: Floats) -> NDArray[np.bool_]:
    found = np.zeros(len(prices), dtype=np.bool_)
    for row in range(len(prices) if len(prices) > 50 else 0):
        start = min(max(row - 25, 0), len(prices) - 51)
        around = np.delete(prices[start : start + 51], row - start)
        median = np.median(around)
        deviation = np.abs(around - median).mean()
        found[row] = abs(prices[row] - median) > 10 * deviation + 0.002 * median
    return found


def sliding_windows(matrix: NDArray[np.float64], lookback: int) -> NDArray[np.float64]:
    windows = [matrix[start : start + lookback] for start in range(len(matrix) - lookback + 1)]
    return np.array(windows).reshape(len(windows), lookback, matrix.shape[1])


def gather_windows(matrix: NDArray[np.float64], starts: Integers, lookback: int) -> NDArray[np.float64]:
    windows = [matrix[start : start + lookback] for start in starts]
    return np.array(windows).reshape(len(starts), lookback, matrix.shape[1])


def window_rows(first: Integers, before: Integers, indices: Integers) -> Integers:
    rows = [row for run, row in enumerate(first) for row in range(row, row + before[run + 1] - before[run])]
    return np.array([rows[index] for index in indices], np.int64)


def scaled_rows(columns: Sequence[NDArray[Any]], center: Floats, scale: Floats) -> NDArray[np.float32]:
    rows = np.array(columns, np.float64).T
    return ((rows - center) / scale).astype(np.float32)


def permutation(count: int, *, seed: int, epoch: int) -> Integers:
    keep, golden = (1 << 64) - 1, 0x9E3779B97F4A7C15
    first, second = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB

    def mixed(word: int) -> int:
        word = ((word ^ (word >> 30)) * first) & keep
        word = ((word ^ (word >> 27)) * second) & keep
        return word ^ (word >> 31)

    def below(word: int, salt: int, limit: int) -> int:
        word = ((word ^ salt) * first) & keep
        return ((((word ^ (word >> 32)) * second) & keep) >> 32) * limit >> 32

    key = mixed((mixed((seed + golden) & keep) + epoch * golden) & keep)
    rows = math.ceil(math.sqrt(count))
    columns = -(-count // rows)

    def moved(place: int) -> int:
        left, right = divmod(place, columns)
        for number in range(0, 10, 2):
            left = (left + below(right, (key + number * golden) & keep, rows)) % rows
            right = (right + below(left, (key + (number + 1) * golden) & keep, columns)) % columns
        place = left * columns + right
        return place if place < count else moved(place)

    return np.array([moved(place) for place in range(count)], np.int64)


@dataclass(frozen=True)
class _Ticks:
    timestamp: Integers
    price: Floats
    volume: Floats
    side: Floats | None
    quotes: Floats | None

    def signs(self) -> Floats:
        inferred = tick_rule(self.price)
        return inferred if self.side is None else np.where(np.isin(self.side, (1.0, -1.0)), self.side, inferred)

    def flow(self) -> Floats:
        """Order-flow imbalance of each tick."""
        flow = np.full(len(self.price), _NAN)
        if self.quotes is None:
            return flow
        for row in range(len(flow)):
            bid, ask, bids, asks = self.quotes[:, row]
            bid_before, ask_before, bids_before, asks_before = self.quotes[:, max(row - 1, 0)]
            if not np.isnan(self.quotes[:, max(row - 1, 0) : row + 1]).any():
                bought = (bid >= bid_before) * bids - (bid <= bid_before) * bids_before
                flow[row] = bought - (ask <= ask_before) * asks + (ask >= ask_before) * asks_before
        return flow


def _bar(ticks: _Ticks, rows: range, label: int) -> Floats:
    inside = slice(rows.start, rows.stop)
    price, volume, signs = ticks.price[inside], ticks.volume[inside], ticks.signs()[inside]
    moves = np.diff(ticks.price, prepend=ticks.price[:1])[inside]
    no_quotes = np.full(QUOTES, _NAN)
    values = {
        "open": price[0],
        "high": price.max(),
        "low": price.min(),
        "close": price[-1],
        "volume": sum(volume.tolist()),
        "dollar": sum((price * volume).tolist()),
        "buy_volume": sum(volume[signs == 1.0].tolist()),
        "sell_volume": sum(volume[signs == -1.0].tolist()),
        "ticks": len(rows),
        "buys": (signs == 1.0).sum(),
        "sells": (signs == -1.0).sum(),
        "unchanged": (moves == 0.0).sum() - (rows.start == 0),
        "path": sum(np.abs(moves).tolist()),
        "largest": volume.max(),
        **dict(zip(QUOTE_NAMES, no_quotes if ticks.quotes is None else ticks.quotes[:, rows.stop - 1], strict=True)),
        "quote_flow": sum(ticks.flow()[inside].tolist()),
    }
    times = np.array([label, ticks.timestamp[rows.stop - 1]], np.int64)
    return np.concatenate([times.view(np.float64), [float(values[name]) for name in COLUMN_NAMES[2:]]])


def _collect(bars: list[Floats]) -> BarColumns:
    return BarColumns(np.array(bars).reshape(len(bars), len(COLUMN_NAMES)).T)


def time_bars(
    timestamp: Integers,
    price: Floats,
    volume: Floats,
    step_ns: int,
    *,
    side: Floats | None = None,
    quotes: Floats | None = None,
) -> BarColumns:
    ticks = _Ticks(timestamp, price, volume, side, quotes)
    labels = [int(stamp) // step_ns * step_ns for stamp in timestamp]
    starts = [row for row in range(len(labels)) if row == 0 or labels[row] != labels[row - 1]]
    stops = [*starts[1:], len(labels)][: len(starts)]
    return _collect([_bar(ticks, range(a, b), labels[a]) for a, b in zip(starts, stops, strict=True)])


def _filled(ticks: _Ticks, amounts: Floats, size: float) -> BarColumns:
    bars, start, filled = [], 0, 0.0
    for row, amount in enumerate(amounts):
        filled += amount
        if filled >= size * (1.0 - FILL_TOLERANCE):
            bars.append(_bar(ticks, range(start, row + 1), int(ticks.timestamp[start])))
            start, filled = row + 1, 0.0
    return _collect(bars)


def tick_bars(
    timestamp: Integers,
    price: Floats,
    volume: Floats,
    size: int,
    *,
    side: Floats | None = None,
    quotes: Floats | None = None,
) -> BarColumns:
    return _filled(_Ticks(timestamp, price, volume, side, quotes), np.ones(len(price)), size)


def volume_bars(
    timestamp: Integers,
    price: Floats,
    volume: Floats,
    size: float,
    *,
    side: Floats | None = None,
    quotes: Floats | None = None,
) -> BarColumns:
    return _filled(_Ticks(timestamp, price, volume, side, quotes), volume, size)


def dollar_bars(
    timestamp: Integers,
    price: Floats,
    volume: Floats,
    size: float,
    *,
    side: Floats | None = None,
    quotes: Floats | None = None,
) -> BarColumns:
    return _filled(_Ticks(timestamp, price, volume, side, quotes), price * volume, size)


def lag(x: Floats, rows: int) -> Floats:
    """As `kernels.lag`."""
    return np.concatenate([np.full(min(rows, len(x)), np.nan), x[: max(len(x) - rows, 0)]])


def running_sum(x: Floats) -> Floats:
    """As `kernels.running_sum`."""
    return np.where(np.isnan(x), np.nan, np.cumsum(np.nan_to_num(x)))


def run_length(x: Floats) -> Floats:
    """As `kernels.run_length`."""
    out = np.full(len(x), np.nan)
    known = np.flatnonzero(~np.isnan(x))
    length = 0
    for before, row in itertools.pairwise(known):
        step = int(np.sign(x[row] - x[before]))
        if step:
            length = length + step if length * step > 0 else step
        out[row] = length
    return out


def sign_entropy(x: Floats, window: int) -> Floats:
    """As `kernels.sign_entropy`."""
    signs = np.sign(np.diff(x))
    patterns = [tuple(signs[row - 2 : row + 1]) for row in range(2, len(signs))]
    out = np.full(len(x), np.nan)
    for last in range(window - 1, len(patterns)):
        seen = patterns[last - window + 1 : last + 1]
        if not np.isnan(seen).any():
            shares = np.array(list(collections.Counter(seen).values())) / window
            out[last + 3] = -(shares * np.log(shares)).sum() / np.log(27.0)
    return out


def fractional_difference(x: Floats, order: float) -> Floats:
    """As `kernels.fractional_difference`, with weights as products of (k - 1 - order) / k."""
    weights = [1.0]
    while abs(weights[-1] * (len(weights) - 1 - order) / len(weights)) >= 1e-5:
        weights.append(weights[-1] * (len(weights) - 1 - order) / len(weights))
    out = np.full(len(x), np.nan)
    for row in range(len(weights) - 1, len(x)):
        out[row] = np.dot(weights, x[row - len(weights) + 1 : row + 1][::-1])
    return out


def split_bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    return np.concatenate([values.view(np.uint8)[byte :: values.itemsize] for byte in range(values.itemsize)])


def row_sum(values: NDArray[Any], first: int = 0) -> int:
    words = enumerate(values.view(np.uint64).tolist(), first)
    return int(sum((2 * row + 1) * (word ^ (word >> 29)) for row, word in words) % 2**64)


def pack_deltas(values: Integers) -> NDArray[np.uint8]:
    numbers = values.tolist()
    encoded = _varint(BLOCK) + _varint(PARTS) + _varint(len(numbers)) + _varint(_zigzag(numbers[0] if numbers else 0))
    deltas = [_wrapped(later - earlier) for earlier, later in itertools.pairwise(numbers)]
    for start in range(0, len(deltas), BLOCK):
        block = deltas[start : start + BLOCK]
        excess = [delta - min(block) for delta in block]
        parts = [excess[part * PART : (part + 1) * PART] for part in range(PARTS)]
        widths = [max(part, default=0).bit_length() for part in parts]
        encoded += _varint(_zigzag(min(block))) + bytes(widths)
        for part, width in zip(parts, widths, strict=True):
            packed = sum(number << width * place for place, number in enumerate(part))
            encoded += packed.to_bytes(width * PART // 8, "little")
    return np.frombuffer(encoded, np.uint8)


def _varint(number: int) -> bytes:
    sevens = [number >> 7 * place & 127 for place in range(max(1, -(-number.bit_length() // 7)))]
    return bytes([*(seven | 128 for seven in sevens[:-1]), sevens[-1]])


def _zigzag(number: int) -> int:
    return 2 * number if number >= 0 else -2 * number - 1


def _wrapped(number: int) -> int:
    return (number + 2**63) % 2**64 - 2**63


def read_numbers(text: bytes, delimiter: str, kinds: Sequence[int]) -> list[Integers | Floats] | None:
    rows = [line.split(delimiter) for line in text.removesuffix(b"\n").decode("latin-1").split("\n")]
    patterns = {SKIPPED: r"[\x01-\x7f]*", INTEGER: r"[0-9]{1,19}", NUMBER: r"[0-9]+(\.[0-9]+)?"}
    for row in rows:
        if len(row) != len(kinds) or '"' in "".join(row) or "\r" in "".join(row):
            return None
        for cell, kind in zip(row, kinds, strict=True):
            if not re.fullmatch(patterns[kind], cell) or (kind == NUMBER and not _is_exact(cell)):
                return None
            if kind == INTEGER and int(cell) >= 2**63:
                return None
    used = [at for at, kind in enumerate(kinds) if kind != SKIPPED]
    columns = [[(int if kinds[at] == INTEGER else float)(row[at]) for row in rows] for at in used]
    return [np.array(column) for column in columns]


def _is_exact(cell: str) -> bool:
    digits = cell.replace(".", "")
    return len(digits) <= 19 and int(digits) <= 2**53
