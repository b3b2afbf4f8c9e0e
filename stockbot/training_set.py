"""From a feature store and a configuration to scaled rows, targets and the windows of each part."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.arrays import Floats, Integers
from pipelines.batches import Batch, WindowLoader
from pipelines.catalogue import expand
from pipelines.columns import Column, blocks_of
from pipelines.errors import DataError
from pipelines.labels import label_rows
from pipelines.panel import Panel, WindowSet, load_panel
from pipelines.scaling import Scaler
from pipelines.scan import boundaries_of, split_runs
from pipelines.splits import Boundaries, iso, require_windows
from pipelines.store import FeatureStore
from pipelines.stored_panel import StoredPanel
from pipelines.streamed import StreamedWindows, is_streamed
from pipelines.weights import class_weights, uniqueness_weights
from pipelines.window_runs import Parts, WindowRuns
from stockbot.build import bar_spec
from stockbot.config import BarsConfig, Config, byte_count, duration_ns
from stockbot.left_out import left_out


@dataclass(frozen=True)
class TrainingSet:
    """Everything that a training run feeds on, with the rows in memory or streamed from the store.

    Attributes:
        config: resolved; its `bars` are those of the store.
        labels: (rows,) float64, log return over the horizon or 1 up / 0 down; NaN where there is none. Where rows are
            streamed they are in a file, as the times and prices of the panel are.
        every: all windows, those without a label too, such as moves in the dead zone.
        split: the windows of each part.
        target_scale: standard deviation of the training labels (regression), else 1.0.
        max_gap_ns: longest pause inside a window.
        left_out: which rows no window holds for want of a value, in words.
    """

    config: Config
    panel: Panel | StoredPanel
    labels: Column
    every: WindowRuns
    split: Parts
    boundaries: Boundaries
    scaler: Scaler
    target_scale: float
    max_gap_ns: int
    left_out: str = ""

    @cached_property
    def matrix(self) -> NDArray[np.float32]:
        """(rows, features), scaled; only of a panel in memory."""
        return self.scaler.transform(self.panel.between(0, len(self.panel)))

    def labels_of(self, starts: Integers) -> Floats:
        """Labels in natural units of the windows that begin there, (windows,) float64."""
        return np.asarray(self.labels[starts + self.config.windows.lookback - 1])

    def windows(self, runs: WindowRuns, weights: Column | None = None) -> WindowSet | StreamedWindows:
        """These windows, with targets in units of `target_scale`.

        Args:
            weights: (rows,) float32, what the window counts whose last row it is.
        """
        lookback, horizon = self.config.windows.lookback, self.config.labels.horizon
        if not isinstance(self.panel, StoredPanel):
            every = None if weights is None else weights[:]
            return WindowSet(self.matrix, runs, self._targets(self.labels[:]), lookback, every)
        return StreamedWindows(
            self.panel.rows,
            runs,
            lookback=lookback,
            horizon=horizon,
            scaler=self.scaler,
            targets=lambda close: self._targets(labels_of_prices(self.config, close)),
            weights=weights,
        )

    def _targets(self, labels: Floats) -> NDArray[np.float32]:
        return np.asarray((labels / self.target_scale).astype(np.float32)[:, None])

    def train_windows(self) -> WindowSet | StreamedWindows:
        """Those to train on, with what each counts by `training.weights`."""
        runs, kinds = self.split.train, self.config.training.weights
        if not kinds:
            return self.windows(runs)
        lookback, horizon, rows = self.config.windows.lookback, self.config.labels.horizon, len(self.panel)
        made = {
            "class": lambda: class_weights(runs, self.labels, lookback=lookback),
            "uniqueness": lambda: uniqueness_weights(runs, lookback=lookback, horizon=horizon, rows=rows),
        }
        blocks = zip(*(made[kind]() for kind in kinds), strict=True)
        return self.windows(runs, self.panel.kept((np.prod(each, axis=0) for each in blocks), np.float32))

    def batches(self, runs: WindowRuns, size: int) -> Iterator[Batch]:
        """These windows, ascending, so many at once; each is to be used before the next is taken."""
        return WindowLoader(self.windows(runs), batch_size=size, seed=None).batches()

    def decided(self, runs: WindowRuns) -> Iterator[tuple[Integers, NDArray[np.float32]]]:
        """First rows of some windows, and the scaled rows (windows, features) at which they decide, block by block."""
        done = 0
        for piece in self.windows(runs).pieces(None, 0, 0):
            for part in blocks_of(len(piece.runs)):
                own = piece.starts(part.start, part.stop)
                starts = runs.starts(done + part.start, done + part.stop)
                yield starts, piece.matrix[own + self.config.windows.lookback - 1]
            done += len(piece.runs)

    def all_windows(self, part: WindowRuns) -> WindowRuns:
        """The windows of a part and those among them that have no label, such as moves in the dead zone, ascending.

        Acting on predictions must not depend on how large the move will have been.
        """
        symbols = len(self.panel.symbols)
        low, high = np.full(symbols, len(self.panel)), np.zeros(symbols, np.int64)
        mine, all_of = (np.searchsorted(self.panel.offsets, one.first, side="right") - 1 for one in (part, self.every))
        np.minimum.at(low, mine, part.first)
        np.maximum.at(high, mine, part.ends)
        return self.every.clipped(low[all_of], high[all_of])

    @property
    def placement(self) -> str:
        """Where the rows are while training: `memory` or `streamed`."""
        return "streamed" if isinstance(self.panel, StoredPanel) else "memory"

    def describe(self) -> dict[str, Any]:
        """Counts and times for the manifest and the log."""
        known = (self.panel.known[part] for part in blocks_of(len(self.panel)))
        ends = [(int(times.min()), int(times.max())) for times in known]
        return {
            "rows": len(self.panel),
            "placement": self.placement,
            "symbols": list(self.panel.symbols),
            "first": iso(min(first for first, _ in ends)),
            "last": iso(max(last for _, last in ends)),
            "validation_start_ns": self.boundaries.validation_ns,
            "test_start_ns": self.boundaries.test_ns,
            "train_windows": len(self.split.train),
            "validation_windows": len(self.split.validation),
            "test_windows": len(self.split.test),
        }


@dataclass(frozen=True)
class Labelled:
    """The rows of a store, their labels and their windows.

    Attributes:
        labels: as of a training set. every: all windows. windows: those with a label. max_gap_ns: longest pause in one.
    """

    panel: Panel | StoredPanel
    labels: Column
    every: WindowRuns
    windows: WindowRuns
    max_gap_ns: int


def make_training_set(config: Config, store: FeatureStore, boundaries: Boundaries | None = None) -> TrainingSet:
    """Read, label, split by time and scale; nothing from validation or test rows reaches the scaler.

    Args:
        boundaries: where time is cut; default: where `split` says.

    Raises:
        DataError: missing features, too few rows, an empty part, or training labels of one class.
    """
    config = with_store_bars(config, store)
    rows = labelled_rows(config, store, expand(config.features))
    span, embargo = config.windows.lookback + config.labels.horizon, config.split.embargo
    if boundaries is None:
        cuts = {"validation": config.split.validation, "test": config.split.test}
        boundaries = boundaries_of(rows.panel, rows.windows, span=span, **cuts)
    split = split_runs(rows.panel, rows.windows, boundaries, span=span, embargo=embargo)
    require_windows(split, span=span, embargo=embargo)
    return fitted_set(config, rows, split=split, boundaries=boundaries)


def labelled_rows(config: Config, store: FeatureStore, features: list[str]) -> Labelled:
    """The rows of a store, in memory or streamed as `loader` says, with their labels and windows.

    Raises:
        DataError: missing features, or not one window.
    """
    panel: Panel | StoredPanel
    if streams(config, store, features):
        panel = StoredPanel.read(store, features, max_gap_ns=max_gap(config))
    else:
        panel = load_panel(store, features)
    lookback, horizon = config.windows.lookback, config.labels.horizon
    every, gap = panel.unbroken(lookback=lookback, horizon=horizon, max_gap_ns=max_gap(config))
    labels = panel.kept(_label_blocks(config, panel.close), np.float64)
    labelled = WindowRuns.of_blocks(np.isfinite(labels[part]) for part in blocks_of(len(labels)))
    windows = every.shared_with(labelled.moved(1 - lookback))
    if len(windows) == 0:
        raise DataError(
            f"labels: every move lies within labels.dead_zone ({config.labels.dead_zone}): no window is left; "
            f"lower it or lengthen labels.horizon ({horizon})"
        )
    return Labelled(panel, labels, every, windows, gap)


def streams(config: Config, store: FeatureStore, features: list[str]) -> bool:
    """Whether the rows stay in the store, by `loader.placement` and `loader.budget`."""
    return is_streamed(store, features, budget=byte_count(config.loader.budget), placement=config.loader.placement)


def labels_of_prices(config: Config, close: Floats) -> Floats:
    """The label of each row from prices that follow one another."""
    labels = config.labels
    return label_rows(close, labels.objective, horizon=labels.horizon, dead_zone=labels.dead_zone)


def _label_blocks(config: Config, close: Column) -> Iterator[Floats]:
    for part in blocks_of(len(close)):
        prices = close[part.start : part.stop + config.labels.horizon]
        yield labels_of_prices(config, prices)[: part.stop - part.start]


def fitted_set(config: Config, rows: Labelled, *, split: Parts, boundaries: Boundaries) -> TrainingSet:
    """The parts of a split with the scaler and the scale of targets that its training windows give.

    Raises:
        DataError: training labels of one class, or a value of a feature that is infinite.
    """
    lookback = config.windows.lookback
    lacking = left_out(rows.panel)
    scaler = rows.panel.fitted_scaler(config.scaler, split.train.rows(lookback))
    scale = _target_scale(config.labels.objective, rows.labels, split.train.moved(lookback - 1))
    return TrainingSet(
        config, rows.panel, rows.labels, rows.every, split, boundaries, scaler, scale, rows.max_gap_ns, lacking
    )


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


def spread(labels: Column, decisions: WindowRuns) -> float:
    """Standard deviation of the labels of some rows, windows of one row each, without a copy of all of them."""

    def mean(of: Callable[[Floats], Floats]) -> float:
        return sum(float(np.sum(of(block))) for block in _chosen(labels, decisions)) / len(decisions)

    middle = mean(lambda block: block)
    return math.sqrt(mean(lambda block: (block - middle) ** 2))


def _chosen(labels: Column, decisions: WindowRuns) -> Iterator[Floats]:
    return (labels[decisions.starts(part.start, part.stop)] for part in blocks_of(len(decisions)))


def _target_scale(objective: str, labels: Column, decisions: WindowRuns) -> float:
    if objective == "direction":
        classes = set[float]().union(*(np.unique(block).tolist() for block in _chosen(labels, decisions)))
        if len(classes) < 2:
            only = "up" if 1.0 in classes else "down"
            raise DataError(
                f"labels: all {len(decisions)} training windows go {only}, expected both directions; "
                f"use more data, another split, or labels.objective regression"
            )
        return 1.0
    return spread(labels, decisions) or 1.0  # a price that never moves: nothing to divide by
