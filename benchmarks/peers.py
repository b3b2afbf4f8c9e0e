"""What the fastest libraries offer for the same definition, each in the cheapest way it can be asked.

Polars and pandas get their own containers, made outside the measured time. A statistic that a library has no function
for is composed of those it has.
"""

from collections.abc import Callable
from functools import partial
from math import sqrt
from typing import Any

import bottleneck as bn
import numbagg
import numpy as np
import pandas as pd
import polars as pl
import talib

from benchmarks.cases import Case, Run
from benchmarks.data import Arrays

_CONTAINERS: dict[str, Callable[[Any], Any]] = {"Polars": pl.Series, "pandas": pd.Series}


def _talib_std(x: Any, w: int) -> Any:
    return talib.STDDEV(x, w, sqrt(w / (w - 1)))


def _talib_cov(x: Any, y: Any, w: int) -> Any:
    return (talib.SMA(x * y, w) - talib.SMA(x, w) * talib.SMA(y, w)) * (w / (w - 1))


def _bn_realised(x: Any, w: int) -> Any:
    returned = np.diff(np.log(x), prepend=np.nan)
    return np.sqrt(bn.move_sum(returned * returned, w))


def _bn_log_z(v: Any, w: int) -> Any:
    logged = np.log1p(v)
    return (logged - bn.move_mean(logged, w)) / bn.move_std(logged, w, ddof=1)


PEERS: dict[str, dict[str, Callable[..., Any]]] = {
    "rolling_sum": {
        "bottleneck": bn.move_sum,
        "TA-Lib": talib.SUM,
        "numbagg": lambda x, w: numbagg.move_sum(x, window=w),
        "Polars": lambda x, w: x.rolling_sum(w),
        "pandas": lambda x, w: x.rolling(w).sum(),
    },
    "rolling_mean": {
        "bottleneck": bn.move_mean,
        "TA-Lib": talib.SMA,
        "numbagg": lambda x, w: numbagg.move_mean(x, window=w),
        "Polars": lambda x, w: x.rolling_mean(w),
        "pandas": lambda x, w: x.rolling(w).mean(),
    },
    "rolling_var": {
        "bottleneck": lambda x, w: bn.move_var(x, w, ddof=1),
        "TA-Lib": lambda x, w: talib.VAR(x, w),  # the population's: one multiplication less
        "numbagg": lambda x, w: numbagg.move_var(x, window=w),
        "Polars": lambda x, w: x.rolling_var(w),
        "pandas": lambda x, w: x.rolling(w).var(),
    },
    "rolling_std": {
        "bottleneck": lambda x, w: bn.move_std(x, w, ddof=1),
        "TA-Lib": _talib_std,
        "numbagg": lambda x, w: numbagg.move_std(x, window=w),
        "Polars": lambda x, w: x.rolling_std(w),
        "pandas": lambda x, w: x.rolling(w).std(),
    },
    "rolling_zscore": {
        "bottleneck": lambda x, w: (x - bn.move_mean(x, w)) / bn.move_std(x, w, ddof=1),
        "TA-Lib": lambda x, w: (x - talib.SMA(x, w)) / _talib_std(x, w),
        "Polars": lambda x, w: (x - x.rolling_mean(w)) / x.rolling_std(w),
    },
    "rolling_skew": {
        "Polars": lambda x, w: x.rolling_skew(w, bias=False),
        "pandas": lambda x, w: x.rolling(w).skew(),
    },
    "rolling_kurt": {
        "Polars": lambda x, w: x.rolling_kurtosis(w, bias=False),
        "pandas": lambda x, w: x.rolling(w).kurt(),
    },
    "rolling_min": {
        "bottleneck": bn.move_min,
        "TA-Lib": talib.MIN,
        "Polars": lambda x, w: x.rolling_min(w),
        "pandas": lambda x, w: x.rolling(w).min(),
    },
    "rolling_max": {
        "bottleneck": bn.move_max,
        "TA-Lib": talib.MAX,
        "Polars": lambda x, w: x.rolling_max(w),
        "pandas": lambda x, w: x.rolling(w).max(),
    },
    "rolling_argmin": {"bottleneck": bn.move_argmin, "TA-Lib": talib.MININDEX},
    "rolling_argmax": {"bottleneck": bn.move_argmax, "TA-Lib": talib.MAXINDEX},
    "rolling_median": {
        "bottleneck": bn.move_median,
        "Polars": lambda x, w: x.rolling_median(w),
        "pandas": lambda x, w: x.rolling(w).median(),
    },
    "rolling_quantile": {
        "Polars": lambda x, w, q: x.rolling_quantile(q, interpolation="linear", window_size=w),
        "pandas": lambda x, w, q: x.rolling(w).quantile(q),
    },
    "rolling_rank": {
        "bottleneck": bn.move_rank,
        "Polars": lambda x, w: x.rolling_rank(w),
        "pandas": lambda x, w: x.rolling(w).rank(pct=True),
    },
    "rolling_corr": {
        "TA-Lib": talib.CORREL,
        "numbagg": lambda x, y, w: numbagg.move_corr(x, y, window=w),
        "pandas": lambda x, y, w: x.rolling(w).corr(y),
    },
    "rolling_cov": {
        "TA-Lib": _talib_cov,
        "numbagg": lambda x, y, w: numbagg.move_cov(x, y, window=w),
        "pandas": lambda x, y, w: x.rolling(w).cov(y),
    },
    "rolling_slope": {"TA-Lib": talib.LINEARREG_SLOPE},
    "rolling_rsquare": {"TA-Lib": lambda x, w: talib.CORREL(x, np.arange(len(x), dtype=float), w) ** 2},
    "rolling_resid": {"TA-Lib": lambda x, w: x - talib.LINEARREG(x, w)},
    "realized_volatility": {
        "bottleneck": _bn_realised,
        "Polars": lambda x, w: ((x / x.shift(1)).log() ** 2).rolling_sum(w).sqrt(),
    },
    "vwap_deviation": {
        "bottleneck": lambda p, v, w: p * bn.move_sum(v, w) / bn.move_sum(p * v, w) - 1.0,
        "TA-Lib": lambda p, v, w: p * talib.SUM(v, w) / talib.SUM(p * v, w) - 1.0,
        "Polars": lambda p, v, w: p * v.rolling_sum(w) / (p * v).rolling_sum(w) - 1.0,
    },
    "signed_volume_imbalance": {
        "bottleneck": lambda s, v, w: bn.move_sum(s * v, w) / bn.move_sum(v, w),
        "TA-Lib": lambda s, v, w: talib.SUM(s * v, w) / talib.SUM(v, w),
        "Polars": lambda s, v, w: (s * v).rolling_sum(w) / v.rolling_sum(w),
    },
    "volume_zscore": {
        "bottleneck": _bn_log_z,
        "Polars": lambda v, w: (v.log1p() - v.log1p().rolling_mean(w)) / v.log1p().rolling_std(w),
    },
    "returns": {
        "TA-Lib": lambda x: talib.ROCP(x, 1),
        "Polars": lambda x: x.pct_change(),
        "pandas": lambda x: x.pct_change(),
    },
    "log_returns": {
        "NumPy": lambda x: np.diff(np.log(x)),
        "TA-Lib": lambda x: talib.LN(talib.ROCR(x, 1)),
        "Polars": lambda x: (x / x.shift(1)).log(),
    },
    "ema": {
        "TA-Lib": talib.EMA,
        "Polars": lambda x, span: x.ewm_mean(span=span, adjust=False),
        "pandas": lambda x, span: x.ewm(span=span, adjust=False).mean(),
    },
    "rsi": {"TA-Lib": talib.RSI},
    "atr": {"TA-Lib": talib.ATR},
    "adx": {"TA-Lib": talib.ADX},
    "macd": {"TA-Lib": talib.MACD},
    "bollinger": {"TA-Lib": lambda x: talib.BBANDS(x, 20, 2.0, 2.0)},
    "tick_rule": {"Polars": lambda x: x.diff().sign().replace(0.0, None).forward_fill()},
}


def peers_of(case: Case, data: Arrays) -> dict[str, Run]:
    """Library -> a call that does what the case does."""
    found: dict[str, Run] = {}
    for library, function in PEERS[case.kernel].items():
        held = {
            name: _CONTAINERS[library](data[name]) if library in _CONTAINERS else data[name] for name in case.inputs
        }
        found[library] = partial(function, *(held[name] for name in case.inputs), *case.parameters)
    return found
