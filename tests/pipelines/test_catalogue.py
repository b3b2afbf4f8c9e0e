"""Every family of the catalogue against its definition in the literature, in plain NumPy, window by window."""

import math
from collections import Counter
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from pipelines.bars import Bars
from pipelines.catalogue import FAMILIES, QUOTE_COLUMNS, SETS, parse_feature
from pipelines.features import FeaturePlan
from tests.pipelines.market_rows import flat_rows, market_rows

Array = np.ndarray
SECOND = 1e9


def over(window: int, statistic: Callable[..., float], *series: Array) -> Array:
    """`statistic` of each full window of the series."""
    out = np.full(len(series[0]), np.nan)
    views = [sliding_window_view(values, window) for values in series]
    out[window - 1 :] = [statistic(*parts) for parts in zip(*views, strict=True)]
    return out


def before(x: Array, rows: int = 1) -> Array:
    return np.concatenate([np.full(rows, np.nan), x[:-rows]])


def ratio(above: Array, below: Array, otherwise: float = 0.0) -> Array:
    """above / below, and `otherwise` where below is 0 and above is known."""
    known = ~np.isnan(above) & (below == 0.0)
    return np.where(known, otherwise, above / np.where(known, 1.0, below))


def log_return(c: Array, rows: int = 1) -> Array:
    return np.log(c) - np.log(before(c, rows))


def z(x: Array, window: int) -> Array:
    def score(values: Array) -> float:
        return 0.0 if np.ptp(values) == 0.0 else (values[-1] - values.mean()) / values.std(ddof=1)

    return over(window, score, x)


def pearson(x: Array, y: Array, window: int) -> Array:
    def correlation(left: Array, right: Array) -> float:
        if np.isnan(left + right).any():
            return math.nan
        return 0.0 if np.ptp(left) == 0.0 or np.ptp(right) == 0.0 else np.corrcoef(left, right)[0, 1]

    return over(window, correlation, x, y)


def regressed(y: Array, x: Array, window: int) -> Array:
    """Slope of y on x, and 0 where x is constant."""

    def coefficient(left: Array, right: Array) -> float:
        if np.isnan(left).any():
            return math.nan
        spread = ((right - right.mean()) ** 2).sum()
        return ((left - left.mean()) * (right - right.mean())).sum() / spread if spread else 0.0

    return over(window, coefficient, y, x)


def line(window: int, values: Array) -> tuple[float, float, float]:
    """Slope, R² and last residual of the least-squares line in time."""
    time = np.arange(window) - (window - 1) / 2
    slope = (time * values).sum() / (time**2).sum()
    residuals = values - values.mean() - slope * time
    total = ((values - values.mean()) ** 2).sum()
    return slope, 1.0 - (residuals**2).sum() / total if total else 0.0, residuals[-1]


def exponential(x: Array, span: int) -> Array:
    return np.asarray(pd.Series(x).ewm(span=span, adjust=False, min_periods=span).mean())


def wilder(x: Array, period: int) -> Array:
    """Wilder's average of x, whose first value is NaN: a simple mean first, then 1/period of each new value."""
    out = np.full(len(x), np.nan)
    out[period] = x[1 : period + 1].mean()
    for row in range(period + 1, len(x)):
        out[row] = out[row - 1] + (x[row] - out[row - 1]) / period
    return out


def wilder_rsi(c: Array, period: int) -> Array:
    step = c - before(c)
    gain, loss = wilder(np.maximum(step, 0.0), period), wilder(np.maximum(-step, 0.0), period)
    return ratio(100.0 * gain, gain + loss, 50.0)


def true_range(b: Bars) -> Array:
    c = before(b.close)
    return np.max([b.high - b.low, abs(b.high - c), abs(b.low - c)], axis=0)


def wilder_adx(b: Bars, period: int) -> Array:
    """Wilder 1978: sums of period - 1 movements first, then faded by 1 - 1/period; DX averaged the same way."""
    up, down = b.high - before(b.high), before(b.low) - b.low
    rises, falls = np.where((up > down) & (up > 0), up, 0.0), np.where((down > up) & (down > 0), down, 0.0)
    plus, minus = rises[1:period].sum(), falls[1:period].sum()
    dx = []
    for row in range(period, len(b)):
        plus, minus = plus * (1 - 1 / period) + rises[row], minus * (1 - 1 / period) + falls[row]
        dx.append(100.0 * abs(plus - minus) / (plus + minus))
    averages = wilder(np.array([np.nan, *dx]), period)[1:]
    return np.concatenate([np.full(period, np.nan), averages])


def aroon(b: Bars, window: int) -> Array:
    """(rows since the low - rows since the high) / window; of equal ones the oldest counts."""
    age = window - over(window + 1, np.argmax, b.high), window - over(window + 1, np.argmin, b.low)
    return (age[1] - age[0]) / window


def rank(values: Array) -> float:
    return float(pd.Series(values).rank(pct=True).iloc[-1])


def place_in_range(b: Bars, window: int) -> Array:
    low, high = over(window, np.min, b.low), over(window, np.max, b.high)
    return ratio(b.close - low, high - low, 0.5)


def corwin_schultz(b: Bars, window: int) -> Array:
    """Corwin and Schultz 2012, equations 14 and 18; negative estimates count as 0."""
    beta = np.log(b.high / b.low) ** 2 + np.log(before(b.high) / before(b.low)) ** 2
    highest, lowest = np.maximum(b.high, before(b.high)), np.minimum(b.low, before(b.low))
    gamma = np.log(highest / lowest) ** 2
    k = 3 - 2 * math.sqrt(2)
    alpha = (np.sqrt(2 * beta) - np.sqrt(beta)) / k - np.sqrt(gamma / k)
    spread = 2 * (np.exp(alpha) - 1) / (1 + np.exp(alpha))
    return over(window, np.mean, np.maximum(spread, 0.0))


def roll(b: Bars, window: int) -> Array:
    """Roll 1984: twice the root of the negative covariance of neighbouring changes."""
    step = b.close - before(b.close)

    def covariance(new: Array, old: Array) -> float:
        return np.cov(new, old)[0, 1]

    return 2 * np.sqrt(np.maximum(-over(window, covariance, step, before(step)), 0.0)) / b.close


def fixed_fracdiff(b: Bars, order: float) -> Array:
    """Lopez de Prado 2018, 5.5: binomial weights of (1 - lag)^order down to 1e-5."""
    weights = [1.0]
    while abs(weights[-1] * (len(weights) - 1 - order) / len(weights)) >= 1e-5:
        weights.append(weights[-1] * (len(weights) - 1 - order) / len(weights))
    return over(len(weights), lambda values: float(np.dot(values[::-1], weights)), np.log(b.close))


def signed(b: Bars) -> Array:
    return b.buy_volume - b.sell_volume


def root_value(b: Bars) -> Array:
    return np.sign(signed(b)) * np.sqrt(b.close * abs(signed(b)))


def impact(b: Bars, pressure: Array, window: int) -> Array:
    """Slope of the return on the pressure, in returns by a row of usual pressure."""
    return regressed(log_return(b.close), pressure, window) * over(window, np.mean, abs(pressure))


def bulk_imbalance(b: Bars, window: int) -> Array:
    """Easley, Lopez de Prado and O'Hara 2012: the share bought is Φ(change / deviation)."""
    step = b.close - before(b.close)
    score = ratio(step, over(window, lambda values: values.std(ddof=1), step))
    bought = np.array([0.5 * math.erfc(-value / math.sqrt(2.0)) for value in score])
    flow = over(window, np.sum, b.volume * (2.0 * bought - 1.0))
    return ratio(flow, over(window, np.sum, b.volume))


def amihud(b: Bars, window: int) -> Array:
    """Amihud 2002, times the mean value traded; rows without trades count as 0."""
    each = ratio(abs(log_return(b.close)), b.dollar)
    return over(window, np.mean, each) * over(window, np.mean, b.dollar)


def lengths_of_runs(c: Array) -> Array:
    out, length = np.full(len(c), np.nan), 0
    for row in range(1, len(c)):
        step = int(np.sign(c[row] - c[row - 1]))
        length = length if step == 0 else length + step if length * step > 0 else step
        out[row] = length
    return out


def entropy_of_signs(c: Array, window: int) -> Array:
    patterns = sliding_window_view(np.sign(np.diff(c)), 3)
    out = np.full(len(c), np.nan)
    for last in range(window, len(patterns) + 1):
        counts = Counter(map(tuple, patterns[last - window : last]))
        shares = np.array(list(counts.values())) / window
        out[last + 2] = -(shares * np.log(shares)).sum() / math.log(27)
    return out


def seconds_between(b: Bars) -> Array:
    return before(b.last_timestamp.astype(float)) * 0.0 + np.diff(b.last_timestamp, prepend=0) / SECOND


def faded(b: Bars, counts: Array, seconds: float) -> Array:
    age = (b.last_timestamp[:, None] - b.last_timestamp[None, :]) / SECOND
    weights = np.where(age >= 0.0, np.exp(-np.maximum(age, 0.0) / seconds), 0.0)
    return np.tril(weights) @ counts


def intensity_ratio(b: Bars, short: int, long: int) -> Array:
    return (faded(b, b.ticks, short) / short) / (faded(b, b.ticks, long) / long)


def circle(b: Bars, of: str) -> Array:
    """Angle of the time of day, or of the week that begins on Monday."""
    stamps = pd.to_datetime(b.timestamp, utc=True)
    day = (stamps - stamps.normalize()) / pd.Timedelta(days=1)
    return 2 * np.pi * np.asarray(day if of == "day" else (stamps.day_of_week + day) / 7)


def mid(b: Bars) -> Array:
    return (b.bid + b.ask) / 2


def depth(b: Bars) -> Array:
    return b.bid_size + b.ask_size


def deviation(x: Array, window: int) -> Array:
    return over(window, lambda values: values.std(ddof=1), x)


def square_sum(b: Bars, window: int) -> Array:
    return over(window, np.sum, log_return(b.close) ** 2)


def bipower(b: Bars, window: int) -> Array:
    """Barndorff-Nielsen and Shephard 2004."""
    size = abs(log_return(b.close))
    return np.pi / 2 * over(window, np.sum, size * before(size))


def jump(b: Bars, window: int) -> Array:
    return ratio(np.maximum(square_sum(b, window) - bipower(b, window), 0.0), square_sum(b, window))


def macd(b: Bars, fast: int, slow: int) -> Array:
    return exponential(b.close, fast) - exponential(b.close, slow)


def macd_signal(b: Bars, fast: int, slow: int, signal: int) -> Array:
    known = macd(b, fast, slow)[slow - 1 :]
    return np.concatenate([np.full(slow - 1, np.nan), exponential(known, signal)])


def variance_ratio(b: Bars, window: int, rows: int) -> Array:
    """Lo and MacKinlay 1988, from overlapping returns."""
    long, short = (deviation(log_return(b.close, lag), window) ** 2 for lag in (rows, 1))
    return ratio(long, rows * short, 1.0)


def efficiency(b: Bars, window: int) -> Array:
    path = over(window, np.sum, abs(b.close - before(b.close)))
    return ratio(abs(b.close - before(b.close, window)), path)


DEFINITIONS: dict[str, Callable[..., Array]] = {
    "ret": lambda b, n: b.close / before(b.close, n) - 1,
    "logret": lambda b, n: log_return(b.close, n),
    "gap_co": lambda b: np.log(b.open / before(b.close)),
    "kmid": lambda b: (b.close - b.open) / b.open,
    "klen": lambda b: (b.high - b.low) / b.open,
    "kup": lambda b: (b.high - np.maximum(b.open, b.close)) / b.open,
    "klow": lambda b: (np.minimum(b.open, b.close) - b.low) / b.open,
    "ksft": lambda b: (2 * b.close - b.high - b.low) / b.open,
    "ma_dev": lambda b, w: b.close / over(w, np.mean, b.close) - 1,
    "ema_dev": lambda b, w: b.close / exponential(b.close, w) - 1,
    "std_rel": lambda b, w: deviation(b.close, w) / over(w, np.mean, b.close),
    "zscore": lambda b, w: z(b.close, w),
    "min_dev": lambda b, w: over(w, np.min, b.low) / b.close - 1,
    "max_dev": lambda b, w: over(w, np.max, b.high) / b.close - 1,
    "rvol": lambda b, w: np.sqrt(square_sum(b, w)),
    "rvol_ratio": lambda b, s, w: np.sqrt(ratio(square_sum(b, s) / s, square_sum(b, w) / w, 1.0)),
    "park": lambda b, w: np.sqrt(over(w, np.mean, np.log(b.high / b.low) ** 2) / (4 * math.log(2))),
    "gk": lambda b, w: np.sqrt(
        over(w, np.mean, np.log(b.high / b.low) ** 2 / 2 - (2 * math.log(2) - 1) * np.log(b.close / b.open) ** 2)
    ),
    "bipow": lambda b, w: np.sqrt(bipower(b, w)),
    "jump": jump,
    "semivar_dn": lambda b, w: ratio(
        over(w, np.sum, np.minimum(log_return(b.close), 0.0) ** 2), square_sum(b, w)
    ),
    "rsi_wilder": lambda b, n: wilder_rsi(b.close, n),
    "macd_line": lambda b, fast, slow, _: macd(b, fast, slow) / b.close,
    "macd_signal": lambda b, *spans: macd_signal(b, *spans) / b.close,
    "macd_hist": lambda b, *spans: (macd(b, *spans[:2]) - macd_signal(b, *spans)) / b.close,
    "bb_pos": lambda b, w: ratio(b.close - over(w, np.mean, b.close), 2 * over(w, np.std, b.close)),
    "bb_width": lambda b, w: 4 * over(w, np.std, b.close) / over(w, np.mean, b.close),
    "atr_wilder": lambda b, n: wilder(true_range(b), n) / b.close,
    "adx": wilder_adx,
    "rsv": place_in_range,
    "stoch_k": lambda b, w: over(3, np.mean, place_in_range(b, w)),
    "aroon": aroon,
    "slope": lambda b, w: over(w, lambda values: line(w, values)[0], b.close) / b.close,
    "rsq": lambda b, w: over(w, lambda values: line(w, values)[1], b.close),
    "resi": lambda b, w: over(w, lambda values: line(w, values)[2], b.close) / b.close,
    "rank": lambda b, w: over(w, rank, b.close),
    "q80": lambda b, w: over(w, lambda values: np.quantile(values, 0.8), b.close) / b.close - 1,
    "q20": lambda b, w: over(w, lambda values: np.quantile(values, 0.2), b.close) / b.close - 1,
    "er": efficiency,
    "autocorr": lambda b, w: pearson(log_return(b.close), before(log_return(b.close)), w),
    "var_ratio": variance_ratio,
    "roll_spread": roll,
    "cs_spread": corwin_schultz,
    "fracdiff": lambda b, hundredths: fixed_fracdiff(b, hundredths / 100),
    "vwap_bar": lambda b: ratio(b.dollar / b.close, b.volume, 1.0) - 1,
    "vwap_dev": lambda b, w: ratio(b.close * over(w, np.sum, b.volume), over(w, np.sum, b.dollar), 1.0) - 1,
    "dvol": lambda b, w: ratio(b.volume, over(w, np.mean, b.volume), 1.0) - 1,
    "vol_z": lambda b, w: z(np.log(1 + b.volume), w),
    "dollar_z": lambda b, w: z(np.log(1 + b.dollar), w),
    "trade_rate": lambda b: np.log(1 + b.ticks / np.maximum(seconds_between(b), 1e-3)),
    "size_mean_z": lambda b, w: z(np.log(1 + b.volume / b.ticks), w),
    "size_max_share": lambda b: ratio(b.largest, b.volume),
    "ofi_trade": lambda b: ratio(signed(b), b.buy_volume + b.sell_volume),
    "ofi": lambda b, w: ratio(over(w, np.sum, signed(b)), over(w, np.sum, b.buy_volume + b.sell_volume)),
    "cnt_imb": lambda b, w: ratio(over(w, np.sum, b.buys - b.sells), over(w, np.sum, b.ticks)),
    "cvd_slope": lambda b, w: ratio(
        over(w, lambda flow: line(w, np.cumsum(flow))[0], signed(b)), over(w, np.mean, b.volume)
    ),
    "vpin": lambda b, w: ratio(over(w, np.sum, abs(signed(b))), over(w, np.sum, b.volume)),
    "bvc_imb": bulk_imbalance,
    "kyle": lambda b, w: impact(b, signed(b), w),
    "hasb": lambda b, w: impact(b, root_value(b), w),
    "amihud": amihud,
    "px_vol_corr": lambda b, w: pearson(b.close, np.log(1 + b.volume), w),
    "cord": lambda b, w: pearson(
        b.close / before(b.close) - 1, np.log((1 + b.volume) / (1 + before(b.volume))), w
    ),
    "run_len": lambda b: lengths_of_runs(b.close),
    "run_max": lambda b, w: over(w, np.max, abs(lengths_of_runs(b.close))) / w,
    "sign_entropy": lambda b, w: entropy_of_signs(b.close, w),
    "zero_tick_share": lambda b, w: ratio(over(w, np.sum, b.unchanged), over(w, np.sum, b.ticks)),
    "dt_log": lambda b: np.log(1 + seconds_between(b)),
    "dt_cv": lambda b, w: ratio(deviation(seconds_between(b), w), over(w, np.mean, seconds_between(b))),
    "intensity_ratio": intensity_ratio,
    "hawkes_buy": lambda b, seconds: np.log(1 + faded(b, b.buys, seconds)),
    "hawkes_sell": lambda b, seconds: np.log(1 + faded(b, b.sells, seconds)),
    "tod_sin": lambda b: np.sin(circle(b, "day")),
    "tod_cos": lambda b: np.cos(circle(b, "day")),
    "dow_sin": lambda b: np.sin(circle(b, "week")),
    "dow_cos": lambda b: np.cos(circle(b, "week")),
    "spread_bps": lambda b: 1e4 * (b.ask - b.bid) / mid(b),
    "spread_z": lambda b, w: z((b.ask - b.bid) / mid(b), w),
    "mid_ret": lambda b, n: log_return(mid(b), n),
    "microprice_dev": lambda b: (b.bid * b.ask_size + b.ask * b.bid_size) / depth(b) / mid(b) - 1,
    "qimb": lambda b: (b.bid_size - b.ask_size) / depth(b),
    "qimb_sum": lambda b, w: over(w, np.sum, b.bid_size - b.ask_size) / over(w, np.sum, depth(b)),
    "ofi_quote": lambda b: b.quote_flow / depth(b),
    "ofi_quote_sum": lambda b, w: over(w, np.sum, b.quote_flow) / over(w, np.sum, depth(b)),
    "eff_spread": lambda b: 1e4 * 2 * abs(b.close - mid(b)) / mid(b),
    "trade_loc": lambda b: ratio(b.close - b.bid, b.ask - b.bid, 0.5),
    "quote_rate": lambda b: np.log(1 + b.ticks / np.maximum(seconds_between(b), 1e-3)),
    "depth_z": lambda b, w: z(np.log(1 + depth(b)), w),
}  # fmt: skip

OWN = {
    name: family
    for name, family in FAMILIES.items()
    if family.build.__module__.startswith("pipelines.catalogue") and not name.startswith("alpha_")
}


def examples(shift: int) -> list[str]:
    """A feature of each family that has numbers, or that has none when `shift` is 0."""
    names = []
    for name, family in OWN.items():
        numbers = family.example.removeprefix(name).split("_")[1:]
        if numbers or not shift:
            names.append("_".join([name, *(str(int(number) + shift) for number in numbers)]))
    return names


def test_every_family_has_a_definition_here() -> None:
    assert set(DEFINITIONS) == set(OWN)


@pytest.mark.parametrize("name", [*examples(0), *examples(3)])
def test_a_feature_is_its_definition(name: str) -> None:
    one = parse_feature(name)
    rows = market_rows(one.warmup + 300, seed=11)
    plan = FeaturePlan([name])
    ours = plan.update(plan.new_state(), rows)[:, 0]
    assert np.isnan(ours[: one.warmup]).all()
    assert np.isfinite(ours[one.warmup :]).all()
    family = next(known for known, family in OWN.items() if family is one.family)
    numbers = [int(number) for number in name.removeprefix(family).split("_")[1:]]
    expected = DEFINITIONS[family](rows, *numbers)
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(expected))
    np.testing.assert_allclose(ours, expected, rtol=2e-7, atol=1e-11)


CORE17 = (
    "logret_1 logret_5 logret_20 klen ksft vwap_dev_20 rvol_20 rvol_ratio_5_20 rsi_wilder_14 rsv_20 slope_20 vol_z_20 "
    "ofi_trade ofi_20 dt_log tod_sin tod_cos"
)
TRADES_ONLY = (
    "logret gap_co kmid klen kup klow ksft vwap_dev ma_dev ema_dev zscore rvol rvol_ratio park gk bipow jump "
    "semivar_dn rsi_wilder macd_line bb_pos bb_width atr_wilder adx stoch_k rsv aroon slope rsq resi rank q80 q20 er "
    "autocorr var_ratio roll_spread cs_spread dvol vol_z dollar_z trade_rate size_mean_z size_max_share ofi_trade ofi "
    "cnt_imb cvd_slope vpin bvc_imb kyle amihud hasb px_vol_corr cord run_len run_max sign_entropy zero_tick_share "
    "dt_log dt_cv intensity_ratio hawkes_buy hawkes_sell tod_sin tod_cos dow_sin dow_cos"
)


def test_core17_is_the_published_list() -> None:
    assert list(SETS["core17"]) == CORE17.split()


def test_ticks60_holds_each_family_of_trades_once_and_no_quotes() -> None:
    features = [parse_feature(name) for name in SETS["ticks60"]]
    named = {id(family): name for name, family in OWN.items()}
    assert sorted(named[id(one.family)] for one in features) == sorted(TRADES_ONLY.split())
    assert not {column for one in features for column in one.inputs} & QUOTE_COLUMNS


def test_quotes12_reads_quotes_in_each_of_its_twelve() -> None:
    features = [parse_feature(name) for name in SETS["quotes12"]]
    assert len(features) == 12
    assert all(set(one.inputs) & QUOTE_COLUMNS for one in features)


def without_movement(count: int) -> Bars:
    rows = market_rows(count)
    for column in ("open", "high", "low", "close"):
        getattr(rows, column)[:] = 7.0
    rows.dollar[:] = 7.0 * rows.volume
    return rows


def without_volume(count: int) -> Bars:
    rows = market_rows(count)
    for column in ("volume", "dollar", "buy_volume", "sell_volume", "largest"):
        getattr(rows, column)[:] = 0.0
    return rows


@pytest.mark.parametrize("make", [flat_rows, without_movement, without_volume])
@pytest.mark.parametrize("name", ["core17", "ticks60", "quotes12"])
def test_a_market_without_volume_or_movement_gives_numbers(name: str, make: Callable[[int], Bars]) -> None:
    plan = FeaturePlan([name])
    matrix = plan.update(plan.new_state(), make(plan.warmup + 50))
    for column, one in enumerate(plan.features):
        assert np.isfinite(matrix[one.warmup :, column]).all(), one.name
        assert np.isnan(matrix[: one.warmup, column]).all(), one.name


@pytest.mark.parametrize("name", ["core17", "ticks60"])
def test_units_of_price_and_volume_do_not_matter(name: str) -> None:
    """Those that take ln(1 + amount) apart, in which an amount of 1 means something."""
    amounts = {"vol_z_20", "dollar_z_20", "size_mean_z_20", "px_vol_corr_20", "cord_20"}
    plan = FeaturePlan([member for member in SETS[name] if member not in amounts])
    rows, scaled = market_rows(400), market_rows(400)
    for column in ("open", "high", "low", "close", "path", "dollar"):
        getattr(scaled, column)[:] *= 4.0
    for column in ("volume", "buy_volume", "sell_volume", "largest", "dollar"):
        getattr(scaled, column)[:] *= 1024.0
    ours, others = (plan.update(plan.new_state(), each) for each in (rows, scaled))
    np.testing.assert_allclose(ours, others, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("family", [name for name, family in FAMILIES.items() if family.parameters])
def test_the_smallest_numbers_make_a_feature(family: str) -> None:
    known = FAMILIES[family]
    numbers = [known.least + place for place in range(len(known.parameters))]  # growing: some must
    plan = FeaturePlan(["_".join([family, *map(str, numbers)])])
    matrix = plan.update(plan.new_state(), lively_rows(plan.warmup + 100))
    assert np.isfinite(matrix[plan.warmup :]).all()


def lively_rows(count: int) -> Bars:
    """Market rows that all have volume and a price of their own: some formulas divide by volume or change."""
    rows = market_rows(count)
    rows.volume[:] += 1.0
    rows.close[:] *= 1.0 + 1e-6 * np.random.default_rng(1).random(count)
    return rows
