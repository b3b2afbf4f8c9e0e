"""Rows, features and predictions as one CSV that a backtest in any language can read, and a schema beside it.

Columns, in this order: `symbol timestamp actionable_at`, then `open high low close volume` (`price volume` where
every tick is a row), then the features by name, and with a model `prediction action position
seen_in_training`. Times are ISO 8601
with offset +00:00 and nine decimals; numbers use a point and as many digits as give the same number back; a
missing value is an empty field. Nothing of a row was known before its `actionable_at`.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.errors import DataError
from pipelines.files import fsync_folder, pretty_json, staging_beside, write_atomic, writing
from pipelines.schema import TIMESTAMP
from pipelines.store import FeatureStore
from stockbot.bundle import Bundle
from stockbot.destination import require_file_place
from stockbot.evaluate import Rule
from stockbot.scored import ScoredRows, scored_rows
from stockbot.trained_on import require_store

TIME_FORMAT = "%Y-%m-%dT%H:%M:%S%.9f%:z"
ACTION_OF = {1: "LONG", 0: "FLAT", -1: "SHORT"}
_MEANING = {
    "symbol": "instrument",
    "timestamp": "label of the row: start of the bar, time of the tick, or the candle's stamp",
    "actionable_at": "when the row was known; nothing of the row may be acted on before",
    "open": "first price", "high": "highest price", "low": "lowest price", "close": "last price", "price": "price",
    "volume": "traded quantity, 0 where the source has none",
    "action": "LONG, SHORT or FLAT; empty where there is no prediction",
    "position": "1, -1 or 0: to be held from actionable_at on; empty where there is no prediction",
    "seen_in_training": "true where the row played a part in making the model: judge it by the other rows",
}  # fmt: skip
_PREDICTION = {"regression": "predicted log return over the horizon", "direction": "predicted probability of a rise"}


@dataclass(frozen=True)
class ExportReport:
    """What was written: the CSV, its schema, data rows, rows with a prediction, and the columns in order."""

    path: Path
    schema: Path
    rows: int
    predictions: int
    columns: list[str]


def export(
    store: FeatureStore,
    out: Path,
    *,
    bundle: Bundle | None = None,
    rule: Rule | None = None,
    symbols: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> ExportReport:
    """Write the symbols (all when none is named) to `out`, one after another, each in time order.

    Args:
        rule: thresholds of the positions; those of the model's own configuration when None.

    Raises:
        UsageError: `out` is no place for a file. ArtifactError: the store is not what the model was trained on.
        DataError: an unknown symbol, no finished row, or a full disk.
    """
    require_file_place(out)
    schema = out.with_suffix(".schema.json")
    require_file_place(schema)
    if bundle is not None:
        require_store(store, bundle)
        rule = rule or Rule.of(bundle.config)
    names = list(symbols) or store.symbols
    rows = predictions = 0
    columns: list[str] = []
    with staging_beside(out) as staging, writing(out):
        with open(staging / out.name, "wb") as file:
            for done, symbol in enumerate(names, 1):
                frame = _frame(scored_rows(store, symbol, bundle, rule), is_ticks=_is_ticks(store))
                frame.write_csv(file, include_header=done == 1, datetime_format=TIME_FORMAT)
                rows, columns = rows + frame.height, frame.columns
                predictions += frame["prediction"].count() if bundle is not None else 0
                if progress is not None:
                    progress(done, len(names))
            file.flush()
            os.fsync(file.fileno())
        if rows == 0:
            raise DataError(f"{store.path}: holds no finished row of {', '.join(names)}; build it from more data")
        (staging / out.name).replace(out)
        fsync_folder(out.parent)
    write_atomic(schema, pretty_json(_schema(store, bundle, columns, rows)))
    return ExportReport(out, schema, rows, predictions, columns)


def _is_ticks(store: FeatureStore) -> bool:
    return store.bars.kind == "none" and store.manifest["source_kind"] == "ticks"


def _frame(rows: ScoredRows, *, is_ticks: bool) -> pl.DataFrame:
    prices = [pl.col("close").alias("price")] if is_ticks else [pl.col("open", "high", "low", "close")]
    features = pl.exclude("timestamp", "last_timestamp", "open", "high", "low", "close", "volume")
    known = pl.Series("actionable_at", rows.actionable_at).cast(TIMESTAMP)
    frame = rows.frame.select(
        pl.lit(rows.symbol).alias("symbol"), "timestamp", known, *prices, "volume", features.fill_nan(None)
    )
    if rows.prediction is None or rows.position is None or rows.seen is None:
        return frame
    prediction = pl.Series("prediction", rows.prediction).fill_nan(None)
    position = pl.when(pl.col("prediction").is_not_null()).then(pl.Series("position", rows.position))
    action = pl.col("position").replace_strict(ACTION_OF, return_dtype=pl.String)
    seen = pl.Series("seen_in_training", rows.seen)
    scored = frame.with_columns(prediction, seen).with_columns(position.alias("position"))
    judged = ("prediction", "action", "position", "seen_in_training")
    return scored.with_columns(action.alias("action")).select(*frame.columns, *judged)


def _schema(store: FeatureStore, bundle: Bundle | None, columns: list[str], rows: int) -> dict[str, Any]:
    described = [{"name": name, "type": _type(name), "meaning": _meaning(name, bundle)} for name in columns]
    schema: dict[str, Any] = {
        "columns": described,
        "rows": rows,
        "bars": store.bars.describe() if store.manifest["source_kind"] == "ticks" else "candles",
        "data_snapshot": store.snapshot,
        "time_format": "ISO 8601, UTC, offset +00:00, nanoseconds",
        "missing": "empty field",
    }
    if bundle is not None:
        schema["model"] = {
            "id": bundle.id,
            "commit": bundle.manifest["commit"],
            "objective": bundle.objective,
            "lookback": bundle.lookback,
            "horizon": bundle.horizon,
        }
    return schema


def _type(name: str) -> str:
    types = {"symbol": "string", "action": "string", "timestamp": "time", "actionable_at": "time", "position": "int"}
    if name == "seen_in_training":
        return "bool"
    return types.get(name, "float")


def _meaning(name: str, bundle: Bundle | None) -> str:
    if name == "prediction" and bundle is not None:
        return _PREDICTION[bundle.objective]
    return _MEANING.get(name, "feature; its definition is its name")
