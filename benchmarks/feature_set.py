"""The set of 21 features that builds and the engine are measured on.

Log return; mean, standard deviation and z-score over 20, 64 and 256 rows; RSI 14; EMA 12 and 26; MACD and its signal;
Bollinger %b; lowest and highest of 64; realised volatility, volume z-score and VWAP deviation over 64.
"""

from pipelines.catalogue.functions import (
    bars,
    divide_or,
    ema,
    log_returns,
    mean,
    rolling_max,
    rolling_min,
    rolling_sum,
    rsi,
    std,
    zscore,
)
from pipelines.expressions import Expression, square_root

WINDOWS = (20, 64, 256)


def named_set() -> dict[str, Expression]:
    """The 21 expressions by name, in order."""
    c, v = bars.close, bars.volume
    moved, line = log_returns(c, 1), ema(c, 12) - ema(c, 26)
    statistics = {"mean": mean, "std": std, "z": zscore}
    return {
        "log_return": moved,
        **{f"{name}{window}": made(c, window) for window in WINDOWS for name, made in statistics.items()},
        "rsi14": rsi(c, 14),
        "ema12": ema(c, 12),
        "ema26": ema(c, 26),
        "macd": line,
        "signal": ema(line, 9),
        "percentb": zscore(c, 20) * (0.25 * (20 / 19) ** 0.5) + 0.5,
        "min64": rolling_min(c, 64),
        "max64": rolling_max(c, 64),
        "rv64": square_root(rolling_sum(moved * moved, 64)),
        "volz64": zscore(v, 64),
        "vwapdev64": divide_or(c * rolling_sum(v, 64), rolling_sum(c * v, 64), 1.0) - 1.0,
    }


def the_set() -> list[Expression]:
    """The 21 expressions."""
    return list(named_set().values())
