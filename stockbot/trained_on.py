"""Rows of another kind than a model was trained on are refused: their features mean something else to it."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from pipelines.steps import Steps
from pipelines.store import FeatureStore
from stockbot.build import bar_spec
from stockbot.bundle import Bundle
from stockbot.errors import ArtifactError

# Fewer steps may all be weekends; and the usual step of thin candles wanders a little from file to file.
TELLING_STEPS = 5
CANDLE_FACTOR = 1.5


def require_store(store: FeatureStore, bundle: Bundle) -> None:
    """Raises ArtifactError unless the store's rows are made as those that the model was trained on."""
    kind, calendar = store.manifest["source_kind"], store.manifest["quality"]["calendar"]
    if calendar != bundle.config.source.calendar:
        trained = bundle.config.source.calendar
        raise _misfit(bundle, f"{store.path} has {_sessions(calendar)}", _sessions(trained))
    require_kind(kind, bundle, f"{store.path} holds")
    missing = [name for name in bundle.features if name not in store.features]
    if missing:
        raise _misfit(bundle, f"{store.path} lacks {', '.join(missing)}", "features that it has")
    if kind == "candles":
        stamps = (store.read(symbol, ["timestamp"])["timestamp"].to_physical().to_numpy() for symbol in store.symbols)
        require_candle_length(stamps, bundle, f"{store.path} holds")
    elif store.bars != bar_spec(bundle.config.bars):
        raise _misfit(bundle, f"{store.path} holds {store.bars.describe()}", bar_spec(bundle.config.bars).describe())


def require_kind(kind: str, bundle: Bundle, subject: str) -> None:
    """Raises ArtifactError unless ticks come to a model of ticks, candles to one of candles."""
    if kind != bundle.manifest["source_kind"]:
        raise _misfit(bundle, f"{subject} {kind}", bundle.manifest["source_kind"])


def require_candle_length(stamps: Iterable[NDArray[np.int64]], bundle: Bundle, subject: str) -> None:
    """Raises ArtifactError when the candles are clearly longer or shorter than those of the model.

    Args:
        stamps: labels of each symbol, (rows,) int64, ns UTC, sorted; symbols of few rows tell nothing.
    """
    steps = Steps()
    for times in stamps:
        if len(times) > TELLING_STEPS:
            steps.add(np.diff(times))
    step, trained = int(steps.quantile(0.5)), bundle.row_step_ns
    if step and trained and not trained / CANDLE_FACTOR < step < trained * CANDLE_FACTOR:
        raise _misfit(bundle, f"{subject} candles of {step / 1e9:g} s", f"candles of {trained / 1e9:g} s")


def _misfit(bundle: Bundle, received: str, expected: str) -> ArtifactError:
    return ArtifactError(
        f"{received}, but model {bundle.short_id} was trained on {expected}; "
        "give what it was trained on, or another --model"
    )


def _sessions(calendar: str | None) -> str:
    return "rows without sessions" if calendar is None else f"the sessions of {calendar}"
