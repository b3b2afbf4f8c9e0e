"""What `chart` draws, from a feature store and a model, or from a signal log alone."""

from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipelines.store import FeatureStore
from stockbot.bundle import Bundle
from stockbot.charts import ChartData
from stockbot.config import CostsConfig
from stockbot.errors import StockbotError, UsageError
from stockbot.evaluate import Rule, equity
from stockbot.live.signals import read_signals
from stockbot.scored import scored_rows

POSITIONS = {"LONG": 1, "SHORT": -1, "FLAT": 0}


def chart_of_store(
    store: FeatureStore,
    bundle: Bundle,
    *,
    rule: Rule,
    costs: CostsConfig,
    symbol: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
) -> ChartData:
    """One symbol of a store under a model; the first symbol when none is named, rows with start <= label < end.

    Raises:
        DataError: unknown symbol, or features the model needs are missing. StockbotError: no row in the span.
    """
    rows = scored_rows(store, symbol or store.symbols[0], bundle, rule)
    if rows.prediction is None or rows.position is None:
        raise TypeError("scored_rows was given a model and returned no prediction")
    inside = _inside(rows.frame["timestamp"], start, end)
    if not inside.any():
        raise StockbotError(f"{store.path}: {rows.symbol} has no row in the span; see --from and --to")
    frame = rows.frame.filter(inside)
    close, position = frame["close"].to_numpy(), rows.position[inside]
    return ChartData(
        symbol=rows.symbol,
        model=bundle.id,
        objective=bundle.objective,
        time=rows.actionable_at[inside].view("datetime64[ns]"),
        **{name: frame[name].to_numpy() for name in ("open", "high", "low", "close")},
        prediction=rows.prediction[inside],
        threshold=rule.up,
        floor=rule.down,
        position=position,
        **_worth(close, position, costs),
    )


def chart_of_signals(
    path: Path,
    *,
    costs: CostsConfig,
    symbol: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
) -> ChartData:
    """One symbol of a signal log, under the model of its last line; the log's first symbol when none is named.

    Raises:
        DataError: the log is missing or altered. UsageError: it has no line of that symbol in the span.
    """
    signals = read_signals(path)
    symbols = signals["symbol"].unique(maintain_order=True).to_list()
    if not symbols or (symbol is not None and symbol not in symbols):
        raise UsageError(f"{path}: no signal of {symbol or 'any symbol'}; it holds {', '.join(symbols) or 'nothing'}")
    mine = signals.filter(pl.col("symbol") == (symbol or symbols[0]))
    mine = mine.filter(pl.Series(_inside(mine["bar"], start, end)))
    if mine.is_empty():
        raise UsageError(f"{path}: no signal of {symbol or symbols[0]} in the span; see --from and --to")
    # A dry and a live run may both have logged a bar: they say the same, one of them is drawn.
    mine = mine.filter(pl.col("model") == mine["model"][-1]).unique("signal_id", keep="last", maintain_order=True)
    mine = mine.sort("known_at", maintain_order=True)
    close = mine["price"].to_numpy()
    position = mine["action"].replace_strict(POSITIONS, return_dtype=pl.Int8).to_numpy()
    threshold = float(mine["threshold"][-1])
    is_probability = threshold >= 0.5  # a log return of a half is no threshold
    return ChartData(
        symbol=str(mine["symbol"][0]),
        model=str(mine["model"][0]),
        objective="direction" if is_probability else "regression",
        time=mine["known_at"].to_physical().to_numpy().view("datetime64[ns]"),
        close=close,
        prediction=mine["prediction"].to_numpy(),
        threshold=threshold,
        floor=1.0 - threshold if is_probability else -threshold,
        position=position,
        **_worth(close, position, costs),
    )


def _inside(stamps: pl.Series, start: datetime | None, end: datetime | None) -> NDArray[np.bool_]:
    keep = pl.repeat(True, len(stamps), eager=True)
    if start is not None:
        keep &= stamps >= start
    if end is not None:
        keep &= stamps < end
    return keep.to_numpy()


def _worth(close: NDArray[np.float64], position: NDArray[np.int8], costs: CostsConfig) -> dict[str, object]:
    return {
        "equity": equity(close, position, costs),
        "hold": np.log(close / close[0]),
        "turnover": float(np.abs(np.diff(position.astype(np.float64), prepend=0.0)).sum()),
    }
