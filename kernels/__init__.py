"""Compiled kernels: arrays and state in, arrays and state out. No files, no settings, no logging.

Every kernel has two forms that agree to the bit. `rolling_mean(x, 20)` takes a whole array. `rolling_mean_state(20)`
makes a state, a float64 vector, and `rolling_mean_update(state, x, out)` takes the next rows, however they are cut.
"""

from kernels.bars import dollar_bars, tick_bars, time_bars, volume_bars
from kernels.directional import adx
from kernels.extreme_ages import rolling_argmax, rolling_argmin
from kernels.extremes import rolling_max, rolling_min
from kernels.labels import average_uniqueness, direction, horizon_return
from kernels.lagged import log_returns, realized_volatility, returns
from kernels.lines import bollinger, macd
from kernels.microstructure import signed_volume_imbalance, tick_rule, volume_zscore, vwap_deviation
from kernels.moments import rolling_kurt, rolling_skew
from kernels.ordered import rolling_median, rolling_quantile, rolling_rank
from kernels.permutation import permutation
from kernels.prints import outlier_prints
from kernels.recursive import atr, ema, rsi
from kernels.regression import rolling_corr, rolling_cov
from kernels.rolling import rolling_mean, rolling_moments, rolling_std, rolling_sum, rolling_var, rolling_zscore
from kernels.trend import rolling_resid, rolling_rsquare, rolling_slope
from kernels.windows import gather_windows, sliding_windows, window_rows

__all__ = [
    "adx",
    "atr",
    "average_uniqueness",
    "bollinger",
    "direction",
    "dollar_bars",
    "ema",
    "gather_windows",
    "horizon_return",
    "log_returns",
    "macd",
    "outlier_prints",
    "permutation",
    "realized_volatility",
    "returns",
    "rolling_argmax",
    "rolling_argmin",
    "rolling_corr",
    "rolling_cov",
    "rolling_kurt",
    "rolling_max",
    "rolling_mean",
    "rolling_median",
    "rolling_min",
    "rolling_moments",
    "rolling_quantile",
    "rolling_rank",
    "rolling_resid",
    "rolling_rsquare",
    "rolling_skew",
    "rolling_slope",
    "rolling_std",
    "rolling_sum",
    "rolling_var",
    "rolling_zscore",
    "rsi",
    "signed_volume_imbalance",
    "sliding_windows",
    "tick_bars",
    "tick_rule",
    "time_bars",
    "volume_bars",
    "volume_zscore",
    "vwap_deviation",
    "window_rows",
]
