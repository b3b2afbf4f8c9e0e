"""The rows of every symbol of a feature store as one matrix, and the windows that lie in it unbroken."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.errors import DataError
from pipelines.sessions import begun
from pipelines.splits import auto_max_gap, iso, longest_runs, segments, window_starts
from pipelines.store import FeatureStore


@dataclass(frozen=True)
class Panel:
    """Rows of all symbols one after another, each symbol sorted by time.

    Attributes:
        features: names of the columns of `matrix`.
        symbols: one name for each stretch of rows.
        matrix: (rows, features) float32, C-contiguous, not scaled; NaN where a feature has no value yet.
        timestamp: (rows,) int64, bar labels, ns UTC; gaps are measured on these.
        known: (rows,) int64, ns UTC at which the row was complete; splits cut by these.
        close: (rows,) float64, price in quote currency.
        offsets: (symbols + 1,) int64, first row of each symbol, then the number of rows.
        session: (rows,) int64, tells the sessions of the exchange apart, and the times outside them.
    """

    features: tuple[str, ...]
    symbols: tuple[str, ...]
    matrix: np.ndarray
    timestamp: np.ndarray
    known: np.ndarray
    close: np.ndarray
    offsets: np.ndarray
    session: np.ndarray

    @property
    def finite(self) -> np.ndarray:
        """(rows,) bool: every feature is a number and the price is above 0."""
        usable = np.isfinite(self.matrix).all(axis=1)
        return np.asarray(usable & np.isfinite(self.close) & (self.close > 0.0))

    def row_name(self, row: int) -> str:
        """Symbol and time of a row, for messages."""
        symbol = int(np.searchsorted(self.offsets, row, side="right")) - 1
        return f"{self.symbols[symbol]} at {iso(int(self.timestamp[row]))}"


@dataclass(frozen=True)
class WindowSet:
    """Rows stored once, and which windows of them to use.

    Attributes:
        matrix: (rows, features) float32, C-contiguous, scaled.
        starts: (windows,) int64, first row of each window.
        targets: (windows,) float32, what the model is to output for each.
        lookback: rows of a window.
    """

    matrix: np.ndarray
    starts: np.ndarray
    targets: np.ndarray
    lookback: int


def load_panel(store: FeatureStore, features: Sequence[str]) -> Panel:
    """Read the named features of all symbols.

    Raises:
        DataError: the store lacks a feature, or holds no rows.
    """
    require_features(store, features)
    columns = ["timestamp", "last_timestamp", "close", *features]
    # An open last bar is left out: the live runner never sees one.
    frames = [store.read(symbol, columns, closed_only=True) for symbol in store.symbols]
    if not sum(map(len, frames)):
        raise DataError(
            f"{store.path}: the feature store holds no finished row (a bar still open at the end is none); "
            f"build it from more data"
        )
    time = {name: np.concatenate([frame[name].to_physical() for frame in frames]) for name in columns[:2]}
    return Panel(
        features=tuple(features),
        symbols=tuple(store.symbols),
        matrix=np.concatenate([frame.select(features).to_numpy(order="c") for frame in frames]),
        timestamp=time["timestamp"],
        known=time["last_timestamp"],
        close=np.concatenate([frame["close"].to_numpy() for frame in frames]),
        offsets=np.cumsum([0, *map(len, frames)]),
        session=begun(time["last_timestamp"], store.session_edges()),
    )


def require_features(store: FeatureStore, features: Sequence[str]) -> None:
    """Raises DataError naming the features that the store does not hold."""
    missing = [name for name in features if name not in store.features]
    if missing:
        raise DataError(
            f"{store.path}: the feature store lacks {', '.join(missing)}; "
            f"it holds {', '.join(store.features)}: build it again with these features, "
            f"or take them out of `features`"
        )


def panel_windows(panel: Panel, *, lookback: int, horizon: int, max_gap_ns: int | None) -> tuple[np.ndarray, int]:
    """First rows of the unbroken windows, (windows,) int64, and the longest gap they may hold, ns.

    Args:
        lookback: rows of a window.
        horizon: rows between the window's last row and its label; 0 when no label is needed.
        max_gap_ns: None for the automatic rule.

    Raises:
        DataError: not one window; names the symbol that came nearest and why its rows were not usable.
    """
    gap = auto_max_gap(panel.timestamp, panel.offsets) if max_gap_ns is None else max_gap_ns
    segment = segments(panel.timestamp, panel.offsets, panel.finite, gap, panel.session)
    starts = window_starts(segment, lookback, horizon)
    if len(starts) == 0:
        raise DataError(_too_short(panel, segment, lookback + horizon))
    return starts, gap


def _too_short(panel: Panel, segment: np.ndarray, span: int) -> str:
    runs = longest_runs(segment, panel.offsets)
    best = int(np.argmax(runs))
    rows = panel.matrix[panel.offsets[best] : panel.offsets[best + 1]]
    empty = np.count_nonzero(~np.isfinite(rows), axis=0)
    worst = int(np.argmax(empty))
    reason = f" ({panel.features[worst]} has no value in {empty[worst]} of them)" if empty[worst] else ""
    return (
        f"{panel.symbols[best]}: the longest unbroken run of usable rows is {runs[best]} of {len(rows)}"
        f"{reason}, needed {span} (windows.lookback + labels.horizon): use more data, a shorter lookback "
        f"or a longer windows.max_gap"
    )
