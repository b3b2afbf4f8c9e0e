"""The table of cases: every public kernel that turns rows into rows, with parameters. Speed and gate loop over it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import kernels
from benchmarks.data import Arrays

Run = Callable[[], Any]
WINDOWS = (64, 1024)


@dataclass(frozen=True)
class Case:
    """A kernel of `kernels` by its name, so that a tree without it can say so, and what it is called with."""

    name: str
    kernel: str
    inputs: tuple[str, ...] = ("price",)
    parameters: tuple[Any, ...] = ()
    outputs: int = 1
    near_copy: bool = False  # held to twice the time of a memory copy

    def allocating(self, data: Arrays) -> Run:
        return partial(getattr(kernels, self.kernel), *self.arguments(data))

    def reusing(self, data: Arrays) -> Run:
        buffers = tuple(np.empty(len(data["price"])) for _ in range(self.outputs))
        return partial(self.allocating(data), out=buffers if self.outputs > 1 else buffers[0])

    def arguments(self, data: Arrays) -> list[Any]:
        return [data[name] for name in self.inputs] + list(self.parameters)


def _windowed(label: str, kernel: str, inputs: tuple[str, ...] = ("price",), **more: Any) -> list[Case]:
    return [Case(f"{label} {window}", kernel, inputs, (window,), **more) for window in WINDOWS]


CASES = [
    *_windowed("sum", "rolling_sum", near_copy=True),
    *_windowed("mean", "rolling_mean", near_copy=True),
    *_windowed("variance", "rolling_var"),
    *_windowed("std", "rolling_std"),
    *_windowed("z-score", "rolling_zscore"),
    *_windowed("skew", "rolling_skew"),
    *_windowed("kurtosis", "rolling_kurt"),
    *_windowed("min", "rolling_min", near_copy=True),
    *_windowed("max", "rolling_max", near_copy=True),
    *_windowed("argmin", "rolling_argmin"),
    *_windowed("argmax", "rolling_argmax"),
    *_windowed("median", "rolling_median"),
    *(Case(f"quantile 0.9 {window}", "rolling_quantile", parameters=(window, 0.9)) for window in WINDOWS),
    *_windowed("rank", "rolling_rank"),
    *_windowed("correlation", "rolling_corr", ("price", "other")),
    *_windowed("covariance", "rolling_cov", ("price", "other")),
    *_windowed("slope", "rolling_slope"),
    *_windowed("r-square", "rolling_rsquare"),
    *_windowed("residual", "rolling_resid"),
    *_windowed("realised volatility", "realized_volatility"),
    *_windowed("VWAP deviation", "vwap_deviation", ("price", "volume")),
    *_windowed("signed volume", "signed_volume_imbalance", ("sign", "volume")),
    *_windowed("volume z-score", "volume_zscore", ("volume",)),
    Case("return", "returns"),
    Case("log return", "log_returns", near_copy=True),
    Case("EMA 26", "ema", parameters=(26,), near_copy=True),
    Case("RSI 14", "rsi", parameters=(14,)),
    Case("ATR 14", "atr", ("high", "low", "price"), (14,)),
    Case("ADX 14", "adx", ("high", "low", "price"), (14,)),
    Case("MACD", "macd", outputs=3),
    Case("Bollinger", "bollinger", outputs=3),
    Case("tick rule", "tick_rule"),
]
NAMED = {case.name: case for case in CASES}

UNMEASURED = {
    "time_bars", "tick_bars", "volume_bars", "dollar_bars",  # fewer rows out than in: bars_speed.py
    "sliding_windows", "gather_windows",  # matrices
    "permutation", "window_rows",  # which windows come next: benchmarks.train
    "direction", "horizon_return", "average_uniqueness",  # labels: made once a training run, and no peer defines them
    "rolling_moments",  # three of the others in one pass
    "outlier_prints",  # no `out`, and no peer defines it
}  # fmt: skip
