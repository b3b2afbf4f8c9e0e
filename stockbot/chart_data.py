"""What `chart` draws, from a feature store and a model, or from a signal log alone."""

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipelines.splits import auto_max_gap
from pipelines.store import FeatureStore
from stockbot.bundle import Bundle, resolve
from stockbot.charts import Basis, ChartData, Floats
from stockbot.config import Config, CostsConfig
from stockbot.errors import StockbotError
from stockbot.evaluate import Rule, equity
from stockbot.live.replay import in_force
from stockbot.live.signals import read_signals
from stockbot.scored import ScoredRows, scored_rows
from stockbot.trained_on import require_store

Span = tuple[datetime | None, datetime | None]
POSITIONS = {"LONG": 1, "SHORT": -1, "FLAT": 0, "EXPIRED": 0}


def chart_of(
    source: Path,
    *,
    artifacts: Path,
    model: str | None,
    settings: Config,
    symbol: str | None = None,
    span: Span = (None, None),
) -> ChartData:
    """What to draw of a feature store (a folder, scored by a model) or of a signal log (a file).

    Args:
        model: id, beginning of one, `latest`, or None for the current one; a signal log needs no model at hand.
        settings: its `live` and `costs`, where stated, replace those of the model.
        symbol: None for the first one.
        span: rows with first <= label < second, UTC; None leaves an end open.

    Raises:
        DataError: no store or log there, or an unknown symbol. StockbotError: no row to draw.
        ArtifactError: the store is not what the model was trained on.
    """
    if not source.is_dir():
        return _of_signals(source, costs=settings.costs, symbol=symbol, span=span)
    store = FeatureStore.open(source)
    bundle = resolve(artifacts, model)
    require_store(store, bundle)
    rows = scored_rows(store, symbol or store.symbols[0], bundle, Rule.of(in_force(bundle, settings)))
    return chart_of_rows(rows, bundle, settings=settings, span=span)


def chart_of_rows(rows: ScoredRows, bundle: Bundle, *, settings: Config, span: Span = (None, None)) -> ChartData:
    """What to draw of rows that the model has scored."""
    inside = _inside(rows.frame["timestamp"], span)
    if rows.prediction is None or rows.position is None or rows.seen is None or not inside.any():
        raise StockbotError(f"{rows.symbol}: no scored row in the span; widen --from and --to")
    config = in_force(bundle, settings)
    rule = Rule.of(config)
    frame = rows.frame.filter(inside)
    kept = inside.to_numpy()
    close, position, seen = frame["close"].to_numpy(), rows.position[kept], rows.seen[kept]
    judged_from = 0 if seen.all() else int(np.argmin(seen))
    basis: Basis = "rows seen in training: no evidence" if seen.all() else "unseen rows"
    return ChartData(
        symbol=rows.symbol,
        model=bundle.id,
        objective=bundle.objective,
        time=rows.actionable_at[kept].view("datetime64[ns]"),
        close=close,
        open=frame["open"].to_numpy(),
        high=frame["high"].to_numpy(),
        low=frame["low"].to_numpy(),
        prediction=rows.prediction[kept],
        threshold=rule.up,
        floor=rule.down,
        position=position,
        **_worth(close, position, config.costs, judged_from),
        judged_from=judged_from,
        basis=basis,
        seen=seen,
    )


def _of_signals(path: Path, *, costs: CostsConfig, symbol: str | None, span: Span) -> ChartData:
    """One symbol of a signal log, under the model of its last line.

    A pause too long for any window to hold lies where nothing was said: the position before it is closed at once.
    """
    signals = read_signals(path)
    symbols = signals["symbol"].unique(maintain_order=True).to_list()
    if not symbols or (symbol is not None and symbol not in symbols):
        raise StockbotError(f"{path}: no signal of {symbol or 'any symbol'}; it holds {', '.join(symbols) or 'none'}")
    mine = signals.filter(pl.col("symbol") == (symbol or symbols[0])).sort("known_at", maintain_order=True)
    mine = mine.filter(_inside(mine["bar"], span))
    if mine.is_empty():
        raise StockbotError(f"{path}: no signal of {symbol or symbols[0]} in the span; widen --from and --to")
    # A dry and a live run may both have logged a bar: they say the same, one of them is drawn.
    mine = mine.filter(pl.col("model") == mine["model"][-1]).unique("signal_id", keep="last", maintain_order=True)
    close = mine["price"].to_numpy()
    position = mine["action"].replace_strict(POSITIONS, return_dtype=pl.Int8).to_numpy(writable=True)
    label = mine["bar"].to_physical().to_numpy()
    position[:-1][np.diff(label) > auto_max_gap(label, np.array([0, len(label)]))] = 0
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
        **_worth(close, position, costs, 0),
        judged_from=0,
        basis="logged rows, flat across pauses",
    )


def _inside(stamps: pl.Series, span: Span) -> pl.Series:
    keep = pl.repeat(True, len(stamps), eager=True)
    if span[0] is not None:
        keep &= stamps >= span[0]
    if span[1] is not None:
        keep &= stamps < span[1]
    return keep


def _worth(close: Floats, position: NDArray[np.int8], costs: CostsConfig, first: int) -> dict[str, Any]:
    """`equity`, `hold` and `turnover` as if the account had opened, flat, at the row `first`."""
    earned = equity(close, position, costs)
    entry = equity(close[first:], position[first:], costs)[0]
    return {
        "equity": earned - earned[first] + entry,
        "hold": np.log(close / close[first]),
        "turnover": float(np.abs(np.diff(position[first:].astype(np.float64), prepend=0.0)).sum()),
    }
