"""Named features, and the plan that runs an ordered list of them over rows, in any cut, to the same bits.

A name states its definition: `rsi_wilder_14` is Wilder's RSI over 14 changes. What each computes, and in which unit,
stands with its kernel.
"""

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels import indicators, lagged, microstructure, recursive, rolling
from kernels.arrays import Floats, Integers
from kernels.bars import is_same_kind
from pipelines.bars import BarBuilder, Bars, BarSpec
from pipelines.errors import DataError

_BLOCK = 8192  # rows handed to each feature in turn: a block of every input stays in the second-level cache


@dataclass(frozen=True)
class Family:
    """Features of one definition that differ in their whole-number parameters.

    Attributes:
        update: compiled `(state, *inputs, out)`. state: new state from the parameters.
        inputs: columns of `Bars`. example: a full name, which also fixes how many parameters there are.
        warmup: rows that are NaN at the start, from the parameters.
    """

    update: Callable[..., None]
    state: Callable[..., Floats]
    inputs: tuple[str, ...]
    example: str
    warmup: Callable[..., int]
    least: int = 1


def _none() -> int:
    return 0


def _window(window: int) -> int:
    return window - 1


def _lag(lag: int) -> int:
    return lag


def _slow(fast: int, slow: int, signal: int) -> int:
    return slow - 1


def _signal(fast: int, slow: int, signal: int) -> int:
    return slow + signal - 2


_F = Family
FAMILIES: dict[str, Family] = {
    "ret": _F(lagged.returns_update, lagged.returns_state, ("close",), "ret_1", _lag),
    "logret": _F(lagged.log_returns_update, lagged.log_returns_state, ("close",), "logret_5", _lag),
    "gap_co": _F(indicators.gap_co_update, indicators.gap_co_state, ("open", "close"), "gap_co", lambda: 1),
    "kmid": _F(indicators.kmid_update, indicators.no_state, ("open", "close"), "kmid", _none),
    "klen": _F(indicators.klen_update, indicators.no_state, ("open", "high", "low"), "klen", _none),
    "kup": _F(indicators.kup_update, indicators.no_state, ("open", "high", "close"), "kup", _none),
    "klow": _F(indicators.klow_update, indicators.no_state, ("open", "low", "close"), "klow", _none),
    "ksft": _F(indicators.ksft_update, indicators.no_state, ("open", "high", "low", "close"), "ksft", _none),
    "ma_dev": _F(indicators.ma_dev_update, indicators.ma_dev_state, ("close",), "ma_dev_20", _window),
    "std_rel": _F(indicators.std_rel_update, indicators.std_rel_state, ("close",), "std_rel_20", _window, 2),
    "min_dev": _F(indicators.min_dev_update, indicators.min_dev_state, ("low", "close"), "min_dev_20", _window),
    "max_dev": _F(indicators.max_dev_update, indicators.max_dev_state, ("high", "close"), "max_dev_20", _window),
    "zscore": _F(rolling.rolling_zscore_update, rolling.rolling_zscore_state, ("close",), "zscore_20", _window, 2),
    "ema_dev": _F(indicators.ema_dev_update, indicators.ema_dev_state, ("close",), "ema_dev_12", _window),
    "rsi_wilder": _F(recursive.rsi_update, recursive.rsi_state, ("close",), "rsi_wilder_14", _lag),
    "macd_line": _F(indicators.macd_line_update, indicators.macd_line_state, ("close",), "macd_line_12_26_9", _slow),
    "macd_hist": _F(indicators.macd_hist_update, indicators.macd_hist_state, ("close",), "macd_hist_12_26_9", _signal),
    "atr_wilder": _F(indicators.atr_rel_update, recursive.atr_state, ("high", "low", "close"), "atr_wilder_14", _lag),
    "bb_pos": _F(indicators.bb_pos_update, indicators.bb_pos_state, ("close",), "bb_pos_20", _window),
    "rsv": _F(indicators.rsv_update, indicators.rsv_state, ("high", "low", "close"), "rsv_20", _window),
    "rvol": _F(lagged.realized_volatility_update, lagged.realized_volatility_state, ("close",), "rvol_20", _lag),
    "vwap_dev": _F(
        microstructure.vwap_deviation_update,
        microstructure.vwap_deviation_state,
        ("close", "volume"),
        "vwap_dev_20",
        _window,
    ),
    "vol_z": _F(
        microstructure.volume_zscore_update, microstructure.volume_zscore_state, ("volume",), "vol_z_20", _window, 2
    ),
    "ofi": _F(indicators.ofi_update, indicators.ofi_state, ("buy_volume", "sell_volume"), "ofi_20", _window),
    "dt_log": _F(indicators.dt_log_update, indicators.dt_log_state, ("last_timestamp",), "dt_log", lambda: 1),
    "tod_sin": _F(indicators.tod_sin_update, indicators.no_state, ("timestamp",), "tod_sin", _none),
    "tod_cos": _F(indicators.tod_cos_update, indicators.no_state, ("timestamp",), "tod_cos", _none),
    "dow_sin": _F(indicators.dow_sin_update, indicators.no_state, ("timestamp",), "dow_sin", _none),
    "dow_cos": _F(indicators.dow_cos_update, indicators.no_state, ("timestamp",), "dow_cos", _none),
}


@dataclass(frozen=True)
class Feature:
    """One feature of a plan: a family with its parameters."""

    name: str
    family: Family
    parameters: tuple[int, ...]

    @property
    def warmup(self) -> int:
        """Rows that are NaN at the start."""
        return self.family.warmup(*self.parameters)


def parse_feature(name: str) -> Feature:
    """The feature that a name states.

    Raises:
        DataError: unknown family (names the nearest), or parameters that do not fit it (shows an example).
    """
    match = re.fullmatch(r"([a-z]+(?:_[a-z]+)*)((?:_\d+)*)", name)
    family = FAMILIES.get(match[1]) if match else None
    if match is None or family is None:
        examples = [known.example for known in FAMILIES.values()]
        near = difflib.get_close_matches(name, examples, n=3, cutoff=0.4)
        raise DataError(f"feature {name!r} is not known; did you mean {' or '.join(near) or ', '.join(examples)}?")
    parameters = tuple(int(part) for part in match[2].split("_")[1:])
    expected = len(re.findall(r"_\d+", family.example))
    if len(parameters) != expected or any(value < family.least for value in parameters):
        raise DataError(
            f"feature {name!r}: expected {expected} whole numbers of at least {family.least} as in "
            f"{family.example!r}, received {list(parameters)}"
        )
    return Feature(name, family, parameters)


class FeaturePlan:
    """An ordered list of features, run together block by block.

    Attributes:
        names: output columns, in order. warmup: rows until every feature has a value.
    """

    def __init__(self, names: Sequence[str]) -> None:
        if not names:
            raise DataError("features: expected at least one name")
        twice = {name for name in names if list(names).count(name) > 1}
        if twice:
            raise DataError(f"features: {', '.join(sorted(twice))} listed twice; name each once")
        self.names = list(names)
        self._features = [parse_feature(name) for name in names]
        self.warmup = max(feature.warmup for feature in self._features)
        sizes = [len(self._new(feature)) for feature in self._features]
        ends = np.cumsum(sizes)
        self._slots = [slice(int(end - size), int(end)) for size, end in zip(sizes, ends, strict=True)]

    @staticmethod
    def _new(feature: Feature) -> Floats:
        try:
            return feature.family.state(*feature.parameters)
        except ValueError as error:
            raise DataError(f"feature {feature.name!r}: {error}") from error

    def new_state(self) -> Floats:
        """State before the first row: one float64 vector, the states of the features one after another."""
        return np.concatenate([self._new(feature) for feature in self._features])

    def update(self, state: Floats, bars: Bars) -> NDArray[np.float32]:
        """Take rows and return their features.

        Args:
            state: from `new_state` or saved by this plan; changed in place.
            bars: the next rows, in time order.

        Returns:
            (rows, features) float32, each column contiguous; NaN while a feature warms up.
        """
        out = np.empty((len(self.names), len(bars)), np.float32)
        scratch = np.empty(min(_BLOCK, len(bars)))
        for start in range(0, len(bars), _BLOCK):
            rows = slice(start, min(start + _BLOCK, len(bars)))
            block = scratch[: rows.stop - rows.start]
            for column, (feature, slot) in enumerate(zip(self._features, self._slots, strict=True)):
                inputs: list[Any] = [getattr(bars, name)[rows] for name in feature.family.inputs]
                feature.family.update(state[slot], *inputs, block)
                out[column, rows] = block
        return out.T


class FeatureStream:
    """Ticks or candles of one symbol in, finished rows and their features out: one path for research and live."""

    def __init__(self, spec: BarSpec, plan: FeaturePlan) -> None:
        self.plan = plan
        self._builder = BarBuilder(spec)
        self._features = plan.new_state()

    @property
    def state(self) -> dict[str, Floats]:
        """A copy of everything that the next row depends on."""
        return {"bars": self._builder.state.copy(), "features": self._features.copy()}

    @property
    def open_ticks(self) -> int:
        """Ticks in the open bar, which no row shows yet."""
        return self._builder.open_ticks

    def restore(self, state: dict[str, Floats]) -> None:
        """Go on from a saved state.

        Raises:
            DataError: the state is of another kind of bars, or of a plan of another size.
        """
        fits = {
            "bars": "bars" in state and is_same_kind(state["bars"], self._builder.state),
            "features": "features" in state and state["features"].shape == self._features.shape,
        }
        for name, is_fit in fits.items():
            if not is_fit:
                raise DataError(f"saved state: {name!r} does not fit this plan; rebuild the feature store")
        self._builder.state[:] = state["bars"]
        self._features[:] = state["features"]

    def push_ticks(
        self, timestamp: Integers, price: Floats, volume: Floats, side: Floats | None = None
    ) -> tuple[Bars, NDArray[np.float32]]:
        """Take ticks in time order; return the bars they close and those bars' features."""
        return self.push_bars(self._builder.update(timestamp, price, volume, side))

    def push_bars(self, bars: Bars) -> tuple[Bars, NDArray[np.float32]]:
        """Take finished rows, such as candles; return them with their features."""
        return bars, self.plan.update(self._features, bars)

    def flush(self) -> tuple[Bars, NDArray[np.float32]]:
        """Close the open time bar, as at the end of an archive."""
        return self.push_bars(self._builder.flush())
