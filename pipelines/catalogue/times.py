"""Features of time: how fast rows and trades come, and where in the day and week they lie (UTC)."""

from pipelines.catalogue.functions import (
    bars,
    day_cosine,
    day_sine,
    decayed,
    elapsed,
    mean,
    share,
    std,
    week_cosine,
    week_sine,
)
from pipelines.catalogue.registry import feature
from pipelines.expressions import Expression, log1p

SECONDS = elapsed(bars.last_timestamp)


@feature("dt_log", "ln(1 + seconds since the row before)", unit="log seconds")
def dt_log() -> Expression:
    return log1p(SECONDS)


@feature("dt_cv_20", "standard deviation over mean of the seconds between rows; 0 when even", least=2)
def dt_cv(window: int) -> Expression:
    return share(std(SECONDS, window), mean(SECONDS, window))


@feature("intensity_ratio_10_900", "ticks a second faded over a short time, over the same over a long one")
def intensity_ratio(short: int, long: int) -> Expression:
    fast = decayed(bars.last_timestamp, bars.ticks, short)
    slow = decayed(bars.last_timestamp, bars.ticks, long)
    return share(fast * (float(long) / short), slow)


@feature("hawkes_buy_10", "ln(1 + buys, each faded over seconds)", unit="log count")
def hawkes_buy(seconds: int) -> Expression:
    return log1p(decayed(bars.last_timestamp, bars.buys, seconds))


@feature("hawkes_sell_10", "ln(1 + sells, each faded over seconds)", unit="log count")
def hawkes_sell(seconds: int) -> Expression:
    return log1p(decayed(bars.last_timestamp, bars.sells, seconds))


@feature("tod_sin", "sine of the time of day", unit="-1 to 1")
def tod_sin() -> Expression:
    return day_sine(bars.timestamp)


@feature("tod_cos", "cosine of the time of day", unit="-1 to 1")
def tod_cos() -> Expression:
    return day_cosine(bars.timestamp)


@feature("dow_sin", "sine of the time of the week", unit="-1 to 1")
def dow_sin() -> Expression:
    return week_sine(bars.timestamp)


@feature("dow_cos", "cosine of the time of the week", unit="-1 to 1")
def dow_cos() -> Expression:
    return week_cosine(bars.timestamp)
