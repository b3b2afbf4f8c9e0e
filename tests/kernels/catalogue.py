"""One table of the kernels that turn rows into rows; every property test loops over it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernels import (
    directional,
    extreme_ages,
    extremes,
    lagged,
    lines,
    microstructure,
    moments,
    ordered,
    recursive,
    reference,
    regression,
    rolling,
    sequences,
    trend,
)

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Case:
    """A kernel with parameters: its whole-array form, its state machine and its twin."""

    name: str
    inputs: tuple[str, ...]
    parameters: tuple[Any, ...]
    module: Any
    outputs: int = 1

    def whole(self, data: Arrays) -> list[np.ndarray]:
        result = getattr(self.module, self.name)(*self._arrays(data), *self.parameters)
        return list(result) if isinstance(result, tuple) else [result]

    def twin(self, data: Arrays) -> list[np.ndarray]:
        result = getattr(reference, self.name)(*self._arrays(data), *self.parameters)
        return list(result) if isinstance(result, tuple) else [result]

    def new_state(self) -> np.ndarray:
        return getattr(self.module, f"{self.name}_state")(*self.parameters)

    @property
    def update(self) -> Callable[..., None]:
        return getattr(self.module, f"{self.name}_update")

    def _arrays(self, data: Arrays) -> list[np.ndarray]:
        return [data[name] for name in self.inputs]


def _windows(name: str, module: Any, inputs: tuple[str, ...], windows: tuple[int, ...], **more: Any) -> list[Case]:
    return [Case(name, inputs, (window,), module, **more) for window in windows]


CASES = [
    *_windows("rolling_sum", rolling, ("price",), (1, 5, 64)),
    *_windows("rolling_mean", rolling, ("price",), (1, 5, 64)),
    *_windows("rolling_var", rolling, ("price",), (2, 5, 64)),
    *_windows("rolling_std", rolling, ("price",), (2, 5, 64)),
    *_windows("rolling_zscore", rolling, ("price",), (2, 5, 64)),
    *_windows("rolling_moments", rolling, ("price",), (2, 5, 64), outputs=3),
    *_windows("rolling_skew", moments, ("price",), (3, 20, 64)),
    *_windows("rolling_kurt", moments, ("price",), (4, 20, 64)),
    *_windows("rolling_cov", regression, ("price", "volume"), (2, 5, 64)),
    *_windows("rolling_corr", regression, ("price", "volume"), (5, 64)),
    *_windows("rolling_slope", trend, ("price",), (2, 5, 64)),
    *_windows("rolling_rsquare", trend, ("price",), (3, 5, 64)),
    *_windows("rolling_resid", trend, ("price",), (2, 5, 64)),
    *_windows("rolling_min", extremes, ("price",), (1, 2, 7, 64)),
    *_windows("rolling_max", extremes, ("price",), (1, 2, 7, 64)),
    *_windows("rolling_argmin", extreme_ages, ("price",), (1, 2, 7, 64)),
    *_windows("rolling_argmax", extreme_ages, ("price",), (1, 2, 7, 64)),
    *_windows("rolling_argmax", extreme_ages, ("sign",), (7, 64)),
    *_windows("rolling_median", ordered, ("price",), (1, 2, 7, 64)),
    *_windows("rolling_median", ordered, ("volume",), (7,)),
    Case("rolling_quantile", ("price",), (20, 0.9), ordered),
    Case("rolling_quantile", ("price",), (7, 1.0), ordered),
    *_windows("rolling_rank", ordered, ("price",), (1, 2, 7, 64)),
    *_windows("rolling_rank", ordered, ("volume",), (20,)),
    *_windows("returns", lagged, ("price",), (1, 5)),
    *_windows("log_returns", lagged, ("price",), (1, 5)),
    *_windows("realized_volatility", lagged, ("price",), (1, 20)),
    *_windows("ema", recursive, ("price",), (1, 12)),
    Case("macd", ("price",), (3, 7, 4), lines, outputs=3),
    *_windows("rsi", recursive, ("price",), (1, 14)),
    *_windows("atr", recursive, ("high", "low", "price"), (1, 14)),
    *_windows("adx", directional, ("high", "low", "price"), (2, 14)),
    Case("bollinger", ("price",), (20, 2.0), lines, outputs=3),
    *_windows("lag", lagged, ("price",), (1, 5, 64)),
    Case("running_sum", ("sign",), (), sequences),
    Case("run_length", ("price",), (), sequences),
    *_windows("sign_entropy", sequences, ("price",), (1, 20)),
    *_windows("fractional_difference", sequences, ("price",), (0.9, 0.6)),
    Case("tick_rule", ("price",), (), microstructure),
    *_windows("vwap_deviation", microstructure, ("price", "volume"), (1, 20)),
    *_windows("signed_volume_imbalance", microstructure, ("sign", "volume"), (1, 20)),
    *_windows("volume_zscore", microstructure, ("volume",), (2, 20)),
]


def market(rows: int, seed: int = 0) -> Arrays:
    """A random walk with its highs, lows, volumes (some of them zero) and signs."""
    rng = np.random.default_rng(seed)
    price = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 1e-3, rows)))
    spread = np.abs(rng.normal(0.0, 1e-3, (2, rows))) * price
    volume = np.where(rng.random(rows) < 0.2, 0.0, rng.exponential(10.0, rows))
    sign = rng.choice([-1.0, 1.0], rows)
    return {"price": price, "high": price + spread[0], "low": price - spread[1], "volume": volume, "sign": sign}
