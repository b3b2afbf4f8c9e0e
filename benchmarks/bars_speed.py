"""Ticks in memory to bars of a second: ns a tick, interleaved, medians, one thread, one process.

    python -m benchmarks.bars_speed                   # 5 million ticks, 21 a bar, about half a minute

`prices` is what the peers make (open, high, low, close, volume; ours adds the traded value and the last time), `all`
every column of bars, `all, quotes` with sides and quotes given. Each call checks its input and allocates its result.
"""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from benchmarks import goals
from benchmarks.cases import Run
from benchmarks.measuring import medians
from kernels import time_bars

SECOND = 10**9
ROWS = 5_000_000


def _runs(rows: int) -> tuple[dict[str, Run], dict[str, Run]]:
    """(ours, peers), name -> call."""
    rng = np.random.default_rng(1)
    stamps = 1_700_000_000 * SECOND + np.cumsum(rng.exponential(SECOND / 21.4, rows)).astype(np.int64)
    price = np.round(100.0 + np.cumsum(rng.choice([-0.01, 0.0, 0.01], rows)), 2)
    volume, side = rng.exponential(5.0, rows), rng.choice([-1.0, 1.0], rows)
    quotes = np.stack([price - 0.01, price + 0.01, *rng.exponential(5.0, (2, rows))])
    ticks = (stamps, price, volume, SECOND)
    ours: dict[str, Run] = {
        "prices": lambda: time_bars(*ticks, prices_only=True),
        "all": lambda: time_bars(*ticks),
        "all, quotes": lambda: time_bars(*ticks, side=side, quotes=quotes),
    }
    return ours, _peers(stamps, price, volume)


def _peers(stamps: np.ndarray, price: np.ndarray, volume: np.ndarray) -> dict[str, Run]:
    frame = pl.DataFrame({"t": pl.Series(stamps).cast(pl.Datetime("ns")), "price": price, "volume": volume})
    values = (
        pl.col("price").first().alias("open"), pl.col("price").max().alias("high"),
        pl.col("price").min().alias("low"), pl.col("price").last().alias("close"), pl.col("volume").sum(),
    )  # fmt: skip
    index = pd.DatetimeIndex(stamps)
    prices, volumes = pd.Series(price, index), pd.Series(volume, index)
    return {
        "Polars group_by_dynamic": lambda: frame.group_by_dynamic("t", every="1s").agg(*values),
        "Polars group_by": lambda: frame.group_by(pl.col("t").dt.truncate("1s"), maintain_order=True).agg(*values),
        "pandas resample": lambda: (prices.resample("1s").ohlc(), volumes.resample("1s").sum()),
    }


def bench(rows: int = ROWS) -> tuple[dict[str, Any], list[goals.Goal]]:
    """Measure and print."""
    ours, peers = _runs(rows)
    ns = {name: spent / rows * 1e9 for name, spent in medians(ours, peers).items()}
    print(f"{rows:,} ticks to bars of a second, ns a tick")
    for name, spent in ns.items():
        print(f"{name:<26}{spent:>8.2f}")
    best = min(ns[peer] for peer in peers)
    return {"rows": rows, "ns_per_tick": ns}, [
        goals.at_most("ticks to bars of a second, ns a tick", ns["prices"], 4.0),
        goals.at_least("ticks to bars of a second, best peer / ours", best / ns["prices"], 6.0),
    ]


if __name__ == "__main__":
    print(goals.show(bench()[1]))
