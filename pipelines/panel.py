"""The rows of every symbol of a feature store as one matrix, and the windows that lie in it unbroken."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike, NDArray

from kernels.windows import first_not_finite
from pipelines.batches import Piece
from pipelines.errors import DataError
from pipelines.scaling import Scaler, ScalerKind
from pipelines.sessions import begun
from pipelines.splits import auto_max_gap, iso, longest_runs, segments, window_starts
from pipelines.store import FeatureStore
from pipelines.window_runs import WindowRuns


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

    def __len__(self) -> int:
        return len(self.timestamp)

    def between(self, begin: int, end: int) -> np.ndarray:
        """Features of rows `begin` to before `end`, (rows, features) float32, not scaled."""
        return self.matrix[begin:end]

    def at(self, rows: np.ndarray) -> np.ndarray:
        """Features of the rows of these numbers, (rows, features) float32, not scaled."""
        return np.asarray(self.matrix[rows])

    def kept(self, blocks: Iterable[NDArray[np.generic]], dtype: DTypeLike) -> np.ndarray:
        """Numbers that come in blocks, as one array."""
        return np.concatenate([np.empty(0, dtype), *blocks], dtype=dtype)

    def session_of(self, begin: int, end: int) -> np.ndarray:
        """What tells the sessions of rows `begin` to before `end` apart."""
        return self.session[begin:end]

    def unbroken(self, *, lookback: int, horizon: int, max_gap_ns: int | None) -> tuple[WindowRuns, int]:
        """As `panel_windows`, the windows as runs."""
        starts, gap = panel_windows(self, lookback=lookback, horizon=horizon, max_gap_ns=max_gap_ns)
        return WindowRuns.of_starts(starts), gap

    def fitted_scaler(self, kind: ScalerKind, rows: WindowRuns) -> Scaler:
        """A scaler of these rows, as `Scaler.fit`; `rows` are windows of one row."""
        numbers = rows.starts()
        return Scaler.fit(
            self.matrix[numbers], self.features, kind=kind, row_name=lambda row: self.row_name(int(numbers[row]))
        )

    def row_name(self, row: int) -> str:
        """Symbol and time of a row, for messages."""
        symbol = int(np.searchsorted(self.offsets, row, side="right")) - 1
        return f"{self.symbols[symbol]} at {iso(int(self.timestamp[row]))}"


@dataclass(frozen=True)
class WindowSet:
    """Rows in memory, once each, and which windows of them to use: a `batches.Windows`.

    Attributes:
        matrix: (rows, features) float32, C-contiguous, scaled.
        runs: the windows.
        targets: (rows, target_dim) float32, what the model is to output for the window whose last row it is.
        lookback: rows of a window.
        weights: (rows,) float32, what the window counts whose last row it is; None where all count the same.
    """

    matrix: np.ndarray
    runs: WindowRuns
    targets: np.ndarray
    lookback: int
    weights: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Raises ValueError: an array is of another shape or kind, or a window leaves the rows."""
        rows = len(self.matrix)
        arrays: dict[str, tuple[np.ndarray, tuple[int, ...]]]
        arrays = {"matrix": (self.matrix, (rows, self.features)), "targets": (self.targets, (rows, self.target_dim))}
        if self.weights is not None:
            arrays["weights"] = (self.weights, (rows,))
        for name, (array, shape) in arrays.items():
            if array.dtype != np.float32 or array.shape != shape or not array.flags.c_contiguous:
                raise ValueError(f"{name}: expected C-contiguous {shape} float32, received {array.shape} {array.dtype}")
        ends = self.runs.first + self.runs.counts + self.lookback - 1
        if self.lookback < 1 or (len(self.runs) and not (self.runs.first.min() >= 0 and ends.max() <= rows)):
            raise ValueError(f"runs: expected windows of {self.lookback} rows, at least 1, within the {rows} rows")

    def __len__(self) -> int:
        return len(self.runs)

    @property
    def features(self) -> int:
        """Of a row."""
        return int(self.matrix.shape[1])

    @property
    def target_dim(self) -> int:
        """Targets of a window."""
        return int(self.targets.shape[1])

    @property
    def weighted(self) -> bool:
        """Whether windows count differently."""
        return self.weights is not None

    def pieces(self, seed: int | None, epoch: int, skip: int) -> Iterator[Piece]:
        """All windows as one piece."""
        order = None if seed is None else (seed, epoch)
        yield Piece(self.matrix, self.targets, self.weights, self.runs, order, skip)

    def require_finite(self, columns: Sequence[str], row_name: Callable[[int], str]) -> None:
        """Raises DataError naming the first value, in a window or as its target, that is NaN or infinite."""
        names = [f"target {number}" for number in range(self.target_dim)]
        for matrix, runs, rows, named in (
            (self.matrix, self.runs, self.lookback, columns),
            (self.targets, self.runs.moved(self.lookback - 1), 1, names),
        ):
            row, column = first_not_finite(matrix, runs.first, runs.before, rows)
            if row >= 0:
                raise DataError(
                    f"windows: {named[column]} of {row_name(row)} is {matrix[row, column]}, expected a finite number: "
                    f"drop the feature or mend the source"
                )


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
            f"{store.path}: the feature store lacks {_some(missing)}; it holds {_some(store.features)}: "
            f"build it again with these features, or take them out of `features`"
        )


def _some(names: Sequence[str], most: int = 8) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest


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
