"""The feature sets Alpha158 and Alpha360 of qlib (`qlib.contrib.data.loader`), by their published formulas.

Names are qlib's in lower case behind `alpha_`; `alpha_roc_5` is ROC5. qlib's rolling functions start with windows that
are not full; here a feature is NaN until its window is. Where volume is 0 the formulas divide by it, as qlib does.
"""

from collections.abc import Callable

from pipelines.catalogue.functions import (
    bars,
    lag,
    mean,
    rolling_argmax,
    rolling_argmin,
    rolling_corr,
    rolling_max,
    rolling_mean,
    rolling_min,
    rolling_quantile,
    rolling_rank,
    rolling_resid,
    rolling_rsquare,
    rolling_slope,
    rolling_sum,
    std,
)
from pipelines.catalogue.registry import feature, feature_set
from pipelines.expressions import Expression, absolute, divide_or, log1p, logarithm, maximum, minimum

WINDOWS = (5, 10, 20, 30, 60)
LAGS = range(59, -1, -1)
EPSILON = 1e-12

o, h, l, c, v = bars.open, bars.high, bars.low, bars.close, bars.volume  # noqa: E741
VWAP = divide_or(bars.dollar, v, c)


def _alpha(name: str, build: Callable[..., Expression], least: int = 1) -> None:
    feature(f"alpha_{name}", f"{name.removesuffix('_5').upper()} of qlib's Alpha158", least=least)(build)


def _same(expression: Expression) -> Callable[[], Expression]:
    return lambda: expression


BODY, LENGTH = c - o, h - l + EPSILON
UP, DOWN, SHIFT = h - maximum(o, c), minimum(o, c) - l, 2.0 * c - h - l
CANDLE: dict[str, Expression] = {
    "kmid": BODY / o,
    "klen": (h - l) / o,
    "kmid2": BODY / LENGTH,
    "kup": UP / o,
    "kup2": UP / LENGTH,
    "klow": DOWN / o,
    "klow2": DOWN / LENGTH,
    "ksft": SHIFT / o,
    "ksft2": SHIFT / LENGTH,
    "open": o / c,
    "high": h / c,
    "low": l / c,
    "vwap": VWAP / c,
}

PRICE_STEP, VOLUME_STEP = c - lag(c, 1), v - lag(v, 1)
RISE, FALL, MOVE = maximum(PRICE_STEP, 0.0), maximum(0.0 - PRICE_STEP, 0.0), absolute(PRICE_STEP)
GROWTH, LOSS, SHIFTED = maximum(VOLUME_STEP, 0.0), maximum(0.0 - VOLUME_STEP, 0.0), absolute(VOLUME_STEP)
UPS, DOWNS = c > lag(c, 1), c < lag(c, 1)
WEIGHTED = absolute(c / lag(c, 1) - 1.0) * v


def _part(part: Expression, whole: Expression, d: int) -> Expression:
    return rolling_sum(part, d) / (rolling_sum(whole, d) + EPSILON)


def _highest(d: int) -> Expression:
    """qlib's IdxMax: place of the highest in the window, oldest = 1."""
    return float(d) - rolling_argmax(h, d)


def _lowest(d: int) -> Expression:
    return float(d) - rolling_argmin(l, d)


ROLLING: dict[str, Callable[[int], Expression]] = {
    "roc": lambda d: lag(c, d) / c,
    "ma": lambda d: mean(c, d) / c,
    "std": lambda d: std(c, d) / c,
    "beta": lambda d: rolling_slope(c, d) / c,
    "rsqr": lambda d: rolling_rsquare(c, d),
    "resi": lambda d: rolling_resid(c, d) / c,
    "max": lambda d: rolling_max(h, d) / c,
    "min": lambda d: rolling_min(l, d) / c,
    "qtlu": lambda d: rolling_quantile(c, d, 0.8) / c,
    "qtld": lambda d: rolling_quantile(c, d, 0.2) / c,
    "rank": lambda d: rolling_rank(c, d),
    "rsv": lambda d: (c - rolling_min(l, d)) / (rolling_max(h, d) - rolling_min(l, d) + EPSILON),
    "imax": lambda d: _highest(d) / float(d),
    "imin": lambda d: _lowest(d) / float(d),
    "imxd": lambda d: (_highest(d) - _lowest(d)) / float(d),
    "corr": lambda d: rolling_corr(c, log1p(v), d),
    "cord": lambda d: rolling_corr(c / lag(c, 1), logarithm(v / lag(v, 1) + 1.0), d),
    "cntp": lambda d: rolling_mean(UPS, d),
    "cntn": lambda d: rolling_mean(DOWNS, d),
    "cntd": lambda d: rolling_mean(UPS, d) - rolling_mean(DOWNS, d),
    "sump": lambda d: _part(RISE, MOVE, d),
    "sumn": lambda d: _part(FALL, MOVE, d),
    "sumd": lambda d: _part(RISE, MOVE, d) - _part(FALL, MOVE, d),
    "vma": lambda d: mean(v, d) / (v + EPSILON),
    "vstd": lambda d: std(v, d) / (v + EPSILON),
    "wvma": lambda d: std(WEIGHTED, d) / (mean(WEIGHTED, d) + EPSILON),
    "vsump": lambda d: _part(GROWTH, SHIFTED, d),
    "vsumn": lambda d: _part(LOSS, SHIFTED, d),
    "vsumd": lambda d: _part(GROWTH, SHIFTED, d) - _part(LOSS, SHIFTED, d),
}

NEEDS_TWO_ROWS = {"ma", "std", "beta", "rsqr", "resi", "corr", "cord", "vma", "vstd", "wvma"}


def _before(x: Expression, rows: int) -> Expression:
    return lag(x, rows) if rows else x


LAGGED: dict[str, Callable[[int], Expression]] = {
    "close_lag": lambda rows: _before(c, rows) / c,
    "open_lag": lambda rows: _before(o, rows) / c,
    "high_lag": lambda rows: _before(h, rows) / c,
    "low_lag": lambda rows: _before(l, rows) / c,
    "vwap_lag": lambda rows: _before(VWAP, rows) / c,
    "volume_lag": lambda rows: _before(v, rows) / (v + EPSILON),
}

for _name, _expression in CANDLE.items():
    _alpha(_name, _same(_expression))
for _name, _build in ROLLING.items():
    _alpha(f"{_name}_5", _build, 2 if _name in NEEDS_TWO_ROWS else 1)
for _name, _build in LAGGED.items():
    feature(f"alpha_{_name}_5", f"{_name.removesuffix('_lag').upper()} of qlib's Alpha360", least=0)(_build)

feature_set(
    "alpha158",
    [
        *(f"alpha_{name}" for name in CANDLE),
        *(f"alpha_{name}_{window}" for name in ROLLING for window in WINDOWS),
    ],
)
feature_set("alpha360", [f"alpha_{name}_{rows}" for name in LAGGED for rows in LAGS])
