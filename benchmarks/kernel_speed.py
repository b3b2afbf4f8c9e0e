"""Kernels against the fastest libraries that do the same: ns a row, interleaved, medians, one thread, one process.

    python benchmarks/kernel_speed.py                 # 10 million rows, about 4 minutes
    python benchmarks/kernel_speed.py --rows 1000000 --json kernels.json

`ours` writes into a reused array, `ours+alloc` allocates its result as the peers must. Time is processor time of the
process, so that other work on the machine counts little. `ratio` is best peer / ours: above 1 we are faster.
"""

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from time import process_time

for name in ("POLARS_MAX_THREADS", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"

import bottleneck as bn  # noqa: E402
import numbagg  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import polars as pl  # noqa: E402
import talib  # noqa: E402

import kernels  # noqa: E402

Run = Callable[[], object]
REPEATS = 7


def cases(rows: int) -> dict[str, tuple[Run, Run, dict[str, Run]]]:
    """Name -> (into a reused array, allocating, peers)."""
    rng = np.random.default_rng(1)
    x = 10_000.0 + np.cumsum(0.01 * rng.standard_normal(rows))
    high, low = x + np.abs(rng.standard_normal(rows)), x - np.abs(rng.standard_normal(rows))
    out, series, frame = np.empty(rows), pl.Series(x), pd.Series(x)
    found: dict[str, tuple[Run, Run, dict[str, Run]]] = {"copy": (lambda: np.copyto(out, x), x.copy, {})}

    def add(name: str, kernel: Callable[..., object], arguments: tuple[object, ...], peers: dict[str, Run]) -> None:
        found[name] = (lambda: kernel(*arguments, out=out), lambda: kernel(*arguments), peers)

    for w in (64, 1024):
        add(f"sum {w}", kernels.rolling_sum, (x, w), {
            "bottleneck": lambda w=w: bn.move_sum(x, w), "talib": lambda w=w: talib.SUM(x, w),
            "numbagg": lambda w=w: numbagg.move_sum(x, window=w)})  # fmt: skip
        add(f"mean {w}", kernels.rolling_mean, (x, w), {
            "bottleneck": lambda w=w: bn.move_mean(x, w), "talib": lambda w=w: talib.SMA(x, w),
            "polars": lambda w=w: series.rolling_mean(w),
            "numbagg": lambda w=w: numbagg.move_mean(x, window=w)})  # fmt: skip
        add(f"std {w}", kernels.rolling_std, (x, w), {
            "bottleneck": lambda w=w: bn.move_std(x, w, ddof=1), "talib": lambda w=w: talib.STDDEV(x, w),
            "polars": lambda w=w: series.rolling_std(w),
            "numbagg": lambda w=w: numbagg.move_std(x, window=w)})  # fmt: skip
        add(f"z-score {w}", kernels.rolling_zscore, (x, w), {
            "bottleneck": lambda w=w: (x - bn.move_mean(x, w)) / bn.move_std(x, w),
            "talib": lambda w=w: (x - talib.SMA(x, w)) / talib.STDDEV(x, w)})  # fmt: skip
        add(f"max {w}", kernels.rolling_max, (x, w), {
            "talib": lambda w=w: talib.MAX(x, w), "bottleneck": lambda w=w: bn.move_max(x, w),
            "polars": lambda w=w: series.rolling_max(w)})  # fmt: skip
    add("EMA 26", kernels.ema, (x, 26), {
        "talib": lambda: talib.EMA(x, 26), "polars": lambda: series.ewm_mean(span=26, adjust=False),
        "pandas": lambda: frame.ewm(span=26, adjust=False).mean()})  # fmt: skip
    add("RSI 14", kernels.rsi, (x, 14), {"talib": lambda: talib.RSI(x, 14)})
    add("ATR 14", kernels.atr, (high, low, x, 14), {"talib": lambda: talib.ATR(high, low, x, 14)})
    add("log return", kernels.log_returns, (x, 1), {
        "numpy": lambda: np.diff(np.log(x)), "polars": lambda: (series / series.shift(1)).log()})  # fmt: skip
    found["MACD"] = (lambda: kernels.macd(x), lambda: kernels.macd(x), {"talib": lambda: talib.MACD(x)})
    found["Bollinger"] = (
        lambda: kernels.bollinger(x), lambda: kernels.bollinger(x), {"talib": lambda: talib.BBANDS(x, 20, 2.0, 2.0)}
    )  # fmt: skip
    return found


def measure(runs: dict[str, Run], rows: int) -> dict[str, float]:
    """Median ns a row of each, run in turn so that a drift of the machine's speed meets them all."""
    for run in runs.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(REPEATS):
        for name, run in runs.items():
            start = process_time()
            run()
            times[name].append(process_time() - start)
    return {name: float(np.median(spent)) / rows * 1e9 for name, spent in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args()
    table = {}
    print(f"{options.rows:,} rows, ns a row")
    print(f"{'':<14}{'ours':>8}{'ours+alloc':>12}{'best peer':>12}  {'':<12}{'ratio':>7}{'ratio+alloc':>13}")
    for name, (reused, allocating, peers) in cases(options.rows).items():
        figures = measure({"ours": reused, "ours+alloc": allocating, **peers}, options.rows)
        table[name] = figures
        line = f"{name:<14}{figures['ours']:>8.2f}{figures['ours+alloc']:>12.2f}"
        if peers:
            best = min(peers, key=lambda peer: figures[peer])
            ratios = (figures[best] / figures["ours"], figures[best] / figures["ours+alloc"])
            line += f"{figures[best]:>12.2f}  {best:<12}{ratios[0]:>6.2f}x{ratios[1]:>12.2f}x"
        print(line, flush=True)
    if options.json:
        options.json.write_text(json.dumps({"rows": options.rows, "ns_per_row": table}, indent=2) + "\n")


if __name__ == "__main__":
    main()
