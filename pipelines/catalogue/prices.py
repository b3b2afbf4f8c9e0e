"""Features of prices: returns, candles, trend, volatility, place in a range. c o h l are close, open, high, low."""

import math

from pipelines.catalogue.functions import (
    adx,
    atr,
    bars,
    change,
    clipped,
    correlation,
    down_part,
    ema,
    fractional_difference,
    lag,
    log_returns,
    mean,
    returns,
    rolling_argmax,
    rolling_argmin,
    rolling_cov,
    rolling_max,
    rolling_mean,
    rolling_min,
    rolling_quantile,
    rolling_rank,
    rolling_resid,
    rolling_slope,
    rolling_sum,
    rolling_var,
    rsi,
    share,
    std,
    true_share_of_path,
    zscore,
)
from pipelines.catalogue.registry import feature
from pipelines.expressions import Expression, absolute, divide_or, exponential, logarithm, maximum, minimum, square_root

o, h, l, c = bars.open, bars.high, bars.low, bars.close  # noqa: E741 (the field's own symbols)
RETURN = log_returns(c, 1)


@feature("ret_1", "relative change over rows")
def ret(rows: int) -> Expression:
    return returns(c, rows)


@feature("logret_1", "logarithmic return over rows", unit="log ratio")
def logret(rows: int) -> Expression:
    return log_returns(c, rows)


@feature("gap_co", "log of the open over the close before", unit="log ratio")
def gap_co() -> Expression:
    return logarithm(o / lag(c, 1))


@feature("kmid", "body of the candle over its open")
def kmid() -> Expression:
    return (c - o) / o


@feature("klen", "length of the candle over its open")
def klen() -> Expression:
    return (h - l) / o


@feature("kup", "upper shadow over the open")
def kup() -> Expression:
    return (h - maximum(o, c)) / o


@feature("klow", "lower shadow over the open")
def klow() -> Expression:
    return (minimum(o, c) - l) / o


@feature("ksft", "where the close lies in the candle, over the open")
def ksft() -> Expression:
    return (2.0 * c - h - l) / o


@feature("ma_dev_20", "price over its rolling mean, minus 1", least=2)
def ma_dev(window: int) -> Expression:
    return c / mean(c, window) - 1.0


@feature("ema_dev_12", "price over its exponential average, minus 1")
def ema_dev(span: int) -> Expression:
    return c / ema(c, span) - 1.0


@feature("std_rel_20", "rolling standard deviation over the rolling mean", least=2)
def std_rel(window: int) -> Expression:
    return std(c, window) / mean(c, window)


@feature("zscore_20", "rolling z-score of the price; 0 when flat", unit="standard deviations", least=2)
def z(window: int) -> Expression:
    return zscore(c, window)


@feature("min_dev_20", "rolling low over the price, minus 1")
def min_dev(window: int) -> Expression:
    return rolling_min(l, window) / c - 1.0


@feature("max_dev_20", "rolling high over the price, minus 1")
def max_dev(window: int) -> Expression:
    return rolling_max(h, window) / c - 1.0


def realized_variance(window: int) -> Expression:
    """Sum of squared returns over the window."""
    return rolling_sum(RETURN * RETURN, window)


@feature("rvol_20", "realised volatility: root of the sum of squared returns", unit="log ratio")
def rvol(window: int) -> Expression:
    return square_root(realized_variance(window))


@feature("rvol_ratio_5_20", "mean squared return, short over long window, as a root; 1 when flat")
def rvol_ratio(short: int, long: int) -> Expression:
    squares = RETURN * RETURN
    return square_root(divide_or(rolling_mean(squares, short), rolling_mean(squares, long), 1.0))


@feature("park_20", "Parkinson's volatility from highs and lows, a row", unit="log ratio")
def park(window: int) -> Expression:
    spread = logarithm(h / l)
    return square_root(rolling_mean(spread * spread, window) / (4.0 * math.log(2.0)))


@feature("gk_20", "Garman and Klass's volatility, a row", unit="log ratio")
def gk(window: int) -> Expression:
    spread, body = logarithm(h / l), logarithm(c / o)
    each = 0.5 * spread * spread - (2.0 * math.log(2.0) - 1.0) * body * body
    return square_root(maximum(rolling_mean(each, window), 0.0))


def bipower_variance(window: int) -> Expression:
    """π/2 times the sum of products of neighbouring absolute returns."""
    return math.pi / 2.0 * rolling_sum(absolute(RETURN) * lag(absolute(RETURN), 1), window)


@feature("bipow_20", "root of the bipower variation, which jumps do not raise", unit="log ratio")
def bipow(window: int) -> Expression:
    return square_root(bipower_variance(window))


@feature("jump_20", "share of the realised variance that jumps make; 0 when flat", unit="0 to 1")
def jump(window: int) -> Expression:
    variance = realized_variance(window)
    return share(maximum(variance - bipower_variance(window), 0.0), variance)


@feature("semivar_dn_20", "share of the realised variance from falling rows; 0 when flat", unit="0 to 1")
def semivar_dn(window: int) -> Expression:
    return share(rolling_sum(down_part(RETURN) * down_part(RETURN), window), realized_variance(window))


@feature("rsi_wilder_14", "Wilder's relative strength index; 50 when flat", unit="0 to 100")
def rsi_wilder(period: int) -> Expression:
    return rsi(c, period)


def _macd_line(fast: int, slow: int) -> Expression:
    if fast >= slow:
        raise ValueError(f"fast: expected fewer rows than slow ({slow}), received {fast}")
    return ema(c, fast) - ema(c, slow)


@feature("macd_line_12_26_9", "MACD line over the price")
def macd_line(fast: int, slow: int, signal: int) -> Expression:
    return _macd_line(fast, slow) / c


@feature("macd_signal_12_26_9", "MACD signal over the price")
def macd_signal(fast: int, slow: int, signal: int) -> Expression:
    return ema(_macd_line(fast, slow), signal) / c


@feature("macd_hist_12_26_9", "MACD line minus its signal, over the price")
def macd_hist(fast: int, slow: int, signal: int) -> Expression:
    line = _macd_line(fast, slow)
    return (line - ema(line, signal)) / c


@feature("bb_pos_20", "place in the Bollinger bands: -1 and 1 are the bands of two deviations; 0 when flat", least=2)
def bb_pos(window: int) -> Expression:
    return zscore(c, window) * (0.5 / math.sqrt((window - 1.0) / window))  # the bands use the population's deviation


@feature("bb_width_20", "width of the Bollinger bands over their middle", least=2)
def bb_width(window: int) -> Expression:
    return 4.0 * math.sqrt((window - 1.0) / window) * std(c, window) / mean(c, window)


@feature("atr_wilder_14", "Wilder's average true range over the price")
def atr_wilder(period: int) -> Expression:
    return atr(h, l, c, period) / c


@feature("adx_14", "Wilder's average directional index", unit="0 to 100", least=2)
def adx_wilder(period: int) -> Expression:
    return adx(h, l, c, period)


@feature("rsv_20", "place of the close in the range of the window; 0.5 when flat", unit="0 to 1")
def rsv(window: int) -> Expression:
    low = rolling_min(l, window)
    return divide_or(c - low, rolling_max(h, window) - low, 0.5)


@feature("stoch_k_14", "slow stochastic: `rsv` averaged over three rows", unit="0 to 1")
def stoch_k(window: int) -> Expression:
    return rolling_mean(rsv(window), 3)


@feature("aroon_25", "Aroon oscillator: how much newer the high is than the low, the oldest of equals", unit="-1 to 1")
def aroon(window: int) -> Expression:
    return (rolling_argmin(l, window + 1) - rolling_argmax(h, window + 1)) / float(window)


@feature("slope_20", "slope of the price on time over the price", unit="ratio a row", least=2)
def slope(window: int) -> Expression:
    return rolling_slope(c, window) / c


@feature("rsq_20", "how much of the price's variance a line in time explains; 0 when flat", unit="0 to 1", least=2)
def rsq(window: int) -> Expression:
    step = window * (window + 1.0) / 12.0  # sample variance of 0 … window - 1
    slope_ = rolling_slope(c, window)
    return clipped(share(slope_ * slope_ * step, rolling_var(c, window)), 0.0, 1.0)


@feature("resi_20", "distance of the price from its line in time, over the price", least=2)
def resi(window: int) -> Expression:
    return rolling_resid(c, window) / c


@feature("rank_20", "rank of the price in its window", unit="0 to 1")
def rank(window: int) -> Expression:
    return rolling_rank(c, window)


@feature("q80_20", "80 % quantile of the price over the price, minus 1")
def q80(window: int) -> Expression:
    return rolling_quantile(c, window, 0.8) / c - 1.0


@feature("q20_20", "20 % quantile of the price over the price, minus 1")
def q20(window: int) -> Expression:
    return rolling_quantile(c, window, 0.2) / c - 1.0


@feature("er_20", "Kaufman's efficiency: net change over the path walked; 0 when flat", unit="0 to 1")
def er(window: int) -> Expression:
    return true_share_of_path(c, window)


@feature("autocorr_20", "correlation of returns with the ones before; 0 when flat", unit="-1 to 1", least=2)
def autocorr(window: int) -> Expression:
    return correlation(RETURN, lag(RETURN, 1), window)


@feature("var_ratio_20_5", "variance of long returns over that of as many short ones; 1 when flat", least=2)
def var_ratio(window: int, rows: int) -> Expression:
    return divide_or(rolling_var(log_returns(c, rows), window), float(rows) * rolling_var(RETURN, window), 1.0)


@feature("roll_spread_20", "Roll's spread from the reversal of price changes, over the price", least=2)
def roll_spread(window: int) -> Expression:
    reversal = rolling_cov(change(c), lag(change(c), 1), window)
    return 2.0 * square_root(maximum(0.0 - reversal, 0.0)) / c


@feature("cs_spread_20", "Corwin and Schultz's spread from highs and lows of two rows, averaged")
def cs_spread(window: int) -> Expression:
    squared = logarithm(h / l) * logarithm(h / l)
    both = squared + lag(squared, 1)
    over_two = logarithm(maximum(h, lag(h, 1)) / minimum(l, lag(l, 1)))
    scale = 3.0 - 2.0 * math.sqrt(2.0)
    alpha = (square_root(2.0 * both) - square_root(both)) / scale - over_two / math.sqrt(scale)
    grown = exponential(alpha)
    return rolling_mean(maximum(2.0 * (grown - 1.0) / (1.0 + grown), 0.0), window)


@feature("fracdiff_40", "fractional difference of the log price; its order is in hundredths", unit="log price")
def fracdiff(order: int) -> Expression:
    return fractional_difference(logarithm(c), order / 100.0)
