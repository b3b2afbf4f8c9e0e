"""From a feature store and a configuration to scaled rows, targets and the windows of each part."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from pipelines.catalogue import expand
from pipelines.errors import DataError
from pipelines.labels import label_rows
from pipelines.panel import Panel, WindowSet, load_panel, panel_windows
from pipelines.scaling import Scaler
from pipelines.splits import (
    Boundaries,
    Split,
    covered_rows,
    iso,
    require_windows,
    split_windows,
    temporal_boundaries,
)
from pipelines.store import FeatureStore
from pipelines.weights import class_weights, uniqueness_weights
from pipelines.window_runs import WindowRuns
from stockbot.build import bar_spec
from stockbot.config import BarsConfig, Config, duration_ns


@dataclass(frozen=True)
class TrainingSet:
    """Everything that a training run feeds on.

    Attributes:
        config: resolved; its `bars` are those of the store.
        labels: (rows,) float64, log return over the horizon or 1 up / 0 down; NaN where there is none.
        target_scale: standard deviation of the training labels (regression), else 1.0.
        max_gap_ns: longest pause inside a window.
    """

    config: Config
    panel: Panel
    labels: np.ndarray
    split: Split
    boundaries: Boundaries
    scaler: Scaler
    target_scale: float
    max_gap_ns: int

    @cached_property
    def matrix(self) -> np.ndarray:
        """(rows, features) float32, scaled."""
        return self.scaler.transform(self.panel.matrix)

    def labels_of(self, starts: np.ndarray) -> np.ndarray:
        """Labels in natural units of the windows that begin there, (windows,) float64."""
        return np.asarray(self.labels[starts + self.config.windows.lookback - 1])

    def windows(self, starts: np.ndarray) -> WindowSet:
        """The windows that begin there, with targets in units of `target_scale`."""
        targets = (self.labels / self.target_scale).astype(np.float32)[:, None]
        return WindowSet(self.matrix, WindowRuns.of_starts(starts), targets, self.config.windows.lookback)

    def train_windows(self) -> WindowSet:
        """Those to train on, with what each counts by `training.weights`."""
        made = self.windows(self.split.train)
        kinds = self.config.training.weights
        if not kinds:
            return made
        lookback, rows = self.config.windows.lookback, len(self.matrix)
        weights = np.ones(rows, np.float32)
        if "class" in kinds:
            weights *= class_weights(made.runs, self.labels.astype(np.float32), lookback=lookback)
        if "uniqueness" in kinds:
            horizon = self.config.labels.horizon
            weights *= uniqueness_weights(made.runs, lookback=lookback, horizon=horizon, rows=rows)
        return replace(made, weights=weights)

    def all_windows(self, starts: np.ndarray) -> np.ndarray:
        """The windows of a part and those among them that have no label, such as moves in the dead zone, ascending.

        Acting on predictions must not depend on how large the move will have been.
        """
        lookback, horizon = self.config.windows.lookback, self.config.labels.horizon
        every, _ = panel_windows(self.panel, lookback=lookback, horizon=horizon, max_gap_ns=self.max_gap_ns)
        symbol = np.searchsorted(self.panel.offsets, starts, side="right") - 1
        spans = [mine[[0, -1]] for one in np.unique(symbol) if len(mine := starts[symbol == one])]
        return np.concatenate([every[(every >= first) & (every <= last)] for first, last in spans])

    def describe(self) -> dict[str, Any]:
        """Counts and times for the manifest and the log."""
        return {
            "rows": len(self.panel.matrix),
            "symbols": list(self.panel.symbols),
            "first": iso(self.panel.known.min()),
            "last": iso(self.panel.known.max()),
            "validation_start_ns": self.boundaries.validation_ns,
            "test_start_ns": self.boundaries.test_ns,
            "train_windows": len(self.split.train),
            "validation_windows": len(self.split.validation),
            "test_windows": len(self.split.test),
        }


def make_training_set(config: Config, store: FeatureStore, boundaries: Boundaries | None = None) -> TrainingSet:
    """Read, label, split by time and scale; nothing from validation or test rows reaches the scaler.

    Args:
        boundaries: where time is cut; default: where `split` says.

    Raises:
        DataError: missing features, too few rows, an empty part, or training labels of one class.
    """
    config = with_store_bars(config, store)
    panel = load_panel(store, expand(config.features))
    starts, labels, gap = labelled_windows(config, panel)
    split, boundaries = _split(config, panel, starts, boundaries)
    return fitted_set(config, panel, labels=labels, split=split, boundaries=boundaries, max_gap_ns=gap)


def labelled_windows(config: Config, panel: Panel) -> tuple[np.ndarray, np.ndarray, int]:
    """First rows of all windows that have a label, the label of each row, and the longest gap in a window, ns.

    Raises:
        DataError: not one window.
    """
    lookback, horizon = config.windows.lookback, config.labels.horizon
    starts, gap = panel_windows(panel, lookback=lookback, horizon=horizon, max_gap_ns=max_gap(config))
    labels = label_rows(panel.close, config.labels.objective, horizon=horizon, dead_zone=config.labels.dead_zone)
    starts = starts[np.isfinite(labels[starts + lookback - 1])]
    if len(starts) == 0:
        raise DataError(
            f"labels: every move lies within labels.dead_zone ({config.labels.dead_zone}): no window is left; "
            f"lower it or lengthen labels.horizon ({horizon})"
        )
    return starts, labels, gap


def fitted_set(
    config: Config, panel: Panel, *, labels: np.ndarray, split: Split, boundaries: Boundaries, max_gap_ns: int
) -> TrainingSet:
    """The parts of a split with the scaler and the scale of targets that its training windows give.

    Raises:
        DataError: training labels of one class, or a training row that is not finite.
    """
    scaler = _fit_scaler(config, panel, split.train)
    scale = _target_scale(config.labels.objective, labels[split.train + config.windows.lookback - 1])
    return TrainingSet(config, panel, labels, split, boundaries, scaler, scale, max_gap_ns)


def max_gap(config: Config) -> int | None:
    """Configured longest pause in ns, None for the automatic rule."""
    return None if config.windows.max_gap == "auto" else duration_ns(config.windows.max_gap)


def with_store_bars(config: Config, store: FeatureStore) -> Config:
    """The configuration with the bars and sessions that the store really holds, so that the recorded copy is true."""
    calendar = store.manifest["quality"]["calendar"]
    config = config.model_copy(update={"source": config.source.model_copy(update={"calendar": calendar})})
    if bar_spec(config.bars) == store.bars:
        return config
    size = f"{int(store.bars.size)}ns" if store.bars.kind == "time" else store.bars.size
    return config.model_copy(update={"bars": BarsConfig(kind=store.bars.kind, size=size)})


def _split(config: Config, panel: Panel, starts: np.ndarray, boundaries: Boundaries | None) -> tuple[Split, Boundaries]:
    span, embargo = config.windows.lookback + config.labels.horizon, config.split.embargo
    boundaries = boundaries or temporal_boundaries(
        starts, panel.known, span=span, validation=config.split.validation, test=config.split.test
    )
    split = split_windows(starts, panel.known, panel.offsets, boundaries, span=span, embargo=embargo)
    require_windows(split, span=span, embargo=embargo)
    return split, boundaries


def _fit_scaler(config: Config, panel: Panel, train: np.ndarray) -> Scaler:
    rows = np.flatnonzero(covered_rows(train, config.windows.lookback, len(panel.matrix)))
    return Scaler.fit(
        panel.matrix[rows],
        panel.features,
        kind=config.scaler,
        row_name=lambda row: panel.row_name(int(rows[row])),
    )


def _target_scale(objective: str, train_labels: np.ndarray) -> float:
    if objective == "direction":
        classes = np.unique(train_labels)
        if len(classes) < 2:
            only = "up" if classes[0] == 1.0 else "down"
            raise DataError(
                f"labels: all {len(train_labels)} training windows go {only}, expected both directions; "
                f"use more data, another split, or labels.objective regression"
            )
        return 1.0
    return float(np.std(train_labels)) or 1.0  # a price that never moves: nothing to divide by
