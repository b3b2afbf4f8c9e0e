"""Features of volume and order flow. v is volume; signed volume is what was bought less what was sold."""

import math

from pipelines.catalogue.functions import (
    bars,
    change,
    correlation,
    elapsed,
    log_returns,
    mean,
    returns,
    rolling_cov,
    rolling_max,
    rolling_mean,
    rolling_slope,
    rolling_sum,
    rolling_var,
    run_length,
    running_sum,
    share,
    sign_entropy,
    std,
    zscore,
)
from pipelines.catalogue.registry import feature
from pipelines.expressions import Expression, absolute, divide_or, error_function, log1p, maximum, sign, square_root

c, v = bars.close, bars.volume
SIGNED = bars.buy_volume - bars.sell_volume
RETURN = log_returns(c, 1)


@feature("vwap_bar", "volume-weighted price of the row over its close, minus 1; 0 without volume")
def vwap_bar() -> Expression:
    return divide_or(bars.dollar, v, c) / c - 1.0


@feature("vwap_dev_20", "price over the volume-weighted price of the window, minus 1; 0 without volume")
def vwap_dev(window: int) -> Expression:
    return divide_or(c * rolling_sum(v, window), rolling_sum(bars.dollar, window), 1.0) - 1.0


@feature("dvol_20", "volume over its mean, minus 1; 0 without volume")
def dvol(window: int) -> Expression:
    return divide_or(v, rolling_mean(v, window), 1.0) - 1.0


@feature("vol_z_20", "z-score of ln(1 + volume); 0 when constant", unit="standard deviations", least=2)
def vol_z(window: int) -> Expression:
    return zscore(log1p(v), window)


@feature("dollar_z_20", "z-score of ln(1 + traded value); 0 when constant", unit="standard deviations", least=2)
def dollar_z(window: int) -> Expression:
    return zscore(log1p(bars.dollar), window)


@feature("trade_rate", "ln(1 + ticks a second since the row before)", unit="log")
def trade_rate() -> Expression:
    return log1p(bars.ticks / maximum(elapsed(bars.last_timestamp), 1e-3))


@feature("size_mean_z_20", "z-score of ln(1 + mean size of a tick)", unit="standard deviations", least=2)
def size_mean_z(window: int) -> Expression:
    return zscore(log1p(v / bars.ticks), window)


@feature("size_max_share", "share of the row's volume in its largest tick; 0 without volume", unit="0 to 1")
def size_max_share() -> Expression:
    return share(bars.largest, v)


@feature("ofi_trade", "(bought - sold) / (bought + sold) volume of the row; 0 where nothing is known", unit="-1 to 1")
def ofi_trade() -> Expression:
    return share(SIGNED, bars.buy_volume + bars.sell_volume)


@feature("ofi_20", "(bought - sold) / (bought + sold) volume of the window; 0 where nothing is known", unit="-1 to 1")
def ofi(window: int) -> Expression:
    traded = rolling_sum(bars.buy_volume + bars.sell_volume, window)
    return share(rolling_sum(SIGNED, window), traded)


@feature("cnt_imb_20", "(buys - sells) / ticks of the window", unit="-1 to 1")
def cnt_imb(window: int) -> Expression:
    return share(rolling_sum(bars.buys - bars.sells, window), rolling_sum(bars.ticks, window))


@feature("cvd_slope_20", "slope of cumulative signed volume over the mean volume; 0 without volume", least=2)
def cvd_slope(window: int) -> Expression:
    return share(rolling_slope(running_sum(SIGNED), window), rolling_mean(v, window))


@feature("vpin_20", "sum of |bought - sold| over the volume of the window (VPIN on volume bars)", unit="0 to 1")
def vpin(window: int) -> Expression:
    return share(rolling_sum(absolute(SIGNED), window), rolling_sum(v, window))


@feature("bvc_imb_20", "imbalance by bulk volume classification; 0 without volume", unit="-1 to 1", least=2)
def bvc_imb(window: int) -> Expression:
    moved = change(c)
    side = error_function(share(moved, std(moved, window)) / math.sqrt(2.0))  # 2Φ(x) - 1
    return share(rolling_sum(v * side, window), rolling_sum(v, window))


def _impact(pressure: Expression, window: int) -> Expression:
    """Slope of the return on `pressure`, times the mean size of the pressure: the return that a usual row makes."""
    slope = share(rolling_cov(RETURN, pressure, window), rolling_var(pressure, window))
    return slope * mean(absolute(pressure), window)


@feature("kyle_20", "Kyle's lambda: return by a usual row's signed volume; 0 when flat", unit="log ratio", least=2)
def kyle(window: int) -> Expression:
    return _impact(SIGNED, window)


@feature("hasb_20", "Hasbrouck's lambda: return by a usual row's signed root of value", unit="log ratio", least=2)
def hasb(window: int) -> Expression:
    return _impact(sign(SIGNED) * square_root(c * absolute(SIGNED)), window)


@feature("amihud_20", "Amihud's illiquidity: |return| by traded value, times the mean value", unit="log ratio")
def amihud(window: int) -> Expression:
    return rolling_mean(share(absolute(RETURN), bars.dollar), window) * rolling_mean(bars.dollar, window)


@feature("px_vol_corr_20", "correlation of price and ln(1 + volume); 0 when constant", unit="-1 to 1", least=2)
def px_vol_corr(window: int) -> Expression:
    return correlation(c, log1p(v), window)


@feature("cord_20", "correlation of return and log change of 1 + volume; 0 when constant", unit="-1 to 1", least=2)
def cord(window: int) -> Expression:
    return correlation(returns(c, 1), change(log1p(v)), window)


@feature("run_len", "moves of the close in one direction so far, signed", unit="rows")
def run_len() -> Expression:
    return run_length(c)


@feature("run_max_20", "longest run of one direction that the window saw, over the window")
def run_max(window: int) -> Expression:
    return rolling_max(absolute(run_length(c)), window) / float(window)


@feature("sign_entropy_60", "entropy of the patterns of three signs of change, over ln 27", unit="0 to 1")
def entropy(window: int) -> Expression:
    return sign_entropy(c, window)


@feature("zero_tick_share_20", "share of ticks at the price before", unit="0 to 1")
def zero_tick_share(window: int) -> Expression:
    return share(rolling_sum(bars.unchanged, window), rolling_sum(bars.ticks, window))
