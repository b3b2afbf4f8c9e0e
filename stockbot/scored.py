"""The rows of a feature store beside what a model says about them: what `export` and `chart` share."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipelines.sessions import begun
from pipelines.splits import usual_step
from pipelines.store import FeatureStore
from stockbot.bundle import Bundle
from stockbot.evaluate import Rule, predict_rows


@dataclass(frozen=True)
class ScoredRows:
    """One symbol's finished rows, oldest first; a bar that was still open when the archive ended is left out.

    Attributes:
        frame: the store's columns.
        actionable_at: (rows,) int64, ns UTC, when each row was known: from then on its prediction may be acted on.
        prediction: (rows,) float64, NaN where no whole window ends; None without a model.
        position: (rows,) int8, +1, 0 or -1, 0 where there is no prediction; None without a model.
        seen: (rows,) bool, the row played a part in making the model, so that its prediction proves nothing; None
            without a model.
    """

    symbol: str
    frame: pl.DataFrame
    actionable_at: NDArray[np.int64]
    prediction: NDArray[np.float64] | None
    position: NDArray[np.int8] | None
    seen: NDArray[np.bool_] | None


def scored_rows(store: FeatureStore, symbol: str, bundle: Bundle | None, rule: Rule | None) -> ScoredRows:
    """Read a symbol and let the model, if there is one, predict at every row that ends a whole window.

    Args:
        bundle: `trained_on.require_store` has passed it for this store.

    Raises:
        DataError: unknown symbol.
    """
    frame = store.read(symbol, closed_only=True)
    actionable_at = _actionable_at(frame, store, bundle)
    if bundle is None or rule is None:
        return ScoredRows(symbol, frame, actionable_at, None, None, None)
    matrix = frame.select(bundle.features).to_numpy(order="c")
    label, known = (frame[name].to_physical().to_numpy() for name in ("timestamp", "last_timestamp"))
    prediction = predict_rows(bundle, matrix, label, begun(known, store.session_edges()))
    seen = known < bundle.unseen_from_ns
    return ScoredRows(symbol, frame, actionable_at, prediction, rule.positions(prediction), seen)


def _actionable_at(frame: pl.DataFrame, store: FeatureStore, bundle: Bundle | None) -> NDArray[np.int64]:
    """As `live.lane.known_at`; without a model the usual step of the candles is taken from these rows."""
    label = frame["timestamp"].to_physical().to_numpy()
    if store.manifest["source_kind"] == "candles":
        step = bundle.row_step_ns if bundle is not None else usual_step(label, np.array([0, len(label)]))
        return np.asarray(label + step)
    if store.bars.kind == "time":
        return np.asarray(label + int(store.bars.size))
    return frame["last_timestamp"].to_physical().to_numpy()
