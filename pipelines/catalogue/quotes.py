"""Features of the best bid and ask as they stood at the row's last tick."""

from pipelines.catalogue.functions import (
    bars,
    elapsed,
    log_returns,
    rolling_sum,
    share,
    zscore,
)
from pipelines.catalogue.registry import feature
from pipelines.expressions import Expression, absolute, divide_or, log1p, maximum

MID = (bars.bid + bars.ask) / 2.0
SPREAD = bars.ask - bars.bid
DEPTH = bars.bid_size + bars.ask_size


@feature("spread_bps", "spread over the mid price", unit="basis points")
def spread_bps() -> Expression:
    return 10_000.0 * SPREAD / MID


@feature("spread_z_20", "z-score of the spread; 0 when constant", unit="standard deviations", least=2)
def spread_z(window: int) -> Expression:
    return zscore(SPREAD / MID, window)


@feature("mid_ret_1", "logarithmic return of the mid price over rows", unit="log ratio")
def mid_ret(rows: int) -> Expression:
    return log_returns(MID, rows)


@feature("microprice_dev", "size-weighted mid price over the mid price, minus 1")
def microprice_dev() -> Expression:
    micro = divide_or(bars.bid * bars.ask_size + bars.ask * bars.bid_size, DEPTH, MID)
    return micro / MID - 1.0


@feature("qimb", "(bid size - ask size) / (bid size + ask size)", unit="-1 to 1")
def qimb() -> Expression:
    return share(bars.bid_size - bars.ask_size, DEPTH)


@feature("qimb_sum_20", "queue imbalance of the sizes summed over the window", unit="-1 to 1")
def qimb_sum(window: int) -> Expression:
    return share(rolling_sum(bars.bid_size - bars.ask_size, window), rolling_sum(DEPTH, window))


@feature("ofi_quote", "order-flow imbalance of Cont, Kukanov and Stoikov over the depth")
def ofi_quote() -> Expression:
    return share(bars.quote_flow, DEPTH)


@feature("ofi_quote_sum_20", "order-flow imbalance summed over the window, over the summed depth")
def ofi_quote_sum(window: int) -> Expression:
    return share(rolling_sum(bars.quote_flow, window), rolling_sum(DEPTH, window))


@feature("eff_spread", "twice the distance of the price from the mid price, over the mid price", unit="basis points")
def eff_spread() -> Expression:
    return 20_000.0 * absolute(bars.close - MID) / MID


@feature("trade_loc", "place of the price: 0 is the bid, 1 the ask; 0.5 where they are one")
def trade_loc() -> Expression:
    return divide_or(bars.close - bars.bid, SPREAD, 0.5)


@feature("quote_rate", "ln(1 + quotes a second since the row before)", unit="log")
def quote_rate() -> Expression:
    return log1p(bars.ticks / maximum(elapsed(bars.last_timestamp), 1e-3)) + 0.0 * SPREAD


@feature("depth_z_20", "z-score of ln(1 + bid size + ask size); 0 when constant", unit="standard deviations", least=2)
def depth_z(window: int) -> Expression:
    return zscore(log1p(DEPTH), window)
