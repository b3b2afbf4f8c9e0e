"""Two pictures of a run: how its loss fell, and whether what came was what it had said."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from kernels.arrays import Floats, Integers
from pipelines.columns import Column
from pipelines.files import write_atomic
from stockbot.charts import GRID, INK, LONG, MUTED, SHORT, style

Compared = tuple[Column, Column, Column]  # predictions, labels, and the stretch of time that each window lies in
BINS = 12  # of equal counts: with more, the spread of what came hides what they have in common
LEAST_IN_BIN = 20
LOG_FROM = 10.0  # times the least loss: on a logarithmic axis of less there is no mark to read


def plot_loss(history: Sequence[Mapping[str, float]], best_epoch: int, path: Path) -> None:
    """Loss of training and validation by epoch, and the epoch whose weights were kept, as a PNG.

    Args:
        best_epoch: counted from 1.
    """
    _save(_loss_figure(history, best_epoch), path)


def _loss_figure(history: Sequence[Mapping[str, float]], best_epoch: int) -> Figure:
    figure = _figure(9.0, 5.0)
    panel = figure.subplots()
    epochs = np.arange(1, len(history) + 1)
    marker = "o" if len(history) <= 40 else None
    for name, key, colour, dashes in (("training", "loss", MUTED, (5.0, 2.0)), ("validation", "val_loss", LONG, ())):
        values = [entry[key] for entry in history]
        panel.plot(epochs, values, color=colour, linewidth=1.5, dashes=dashes, marker=marker, markersize=4, label=name)
    best = history[best_epoch - 1]["val_loss"]
    panel.axvline(best_epoch, color=INK, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
    panel.plot(best_epoch, best, "D", color=SHORT, markeredgecolor="white", markersize=9, label="kept", zorder=3)
    _scale_losses(panel, [entry[key] for entry in history for key in ("loss", "val_loss")])
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    panel.set_xlabel("epoch", color=INK)
    panel.set_ylabel("loss, in units of the network", color=INK)
    _headline(panel, "Loss", f"best epoch {best_epoch} of {len(history)}   ·   validation {best:.6g}")
    style(panel)
    return figure


def _scale_losses(panel: Axes, losses: Sequence[float]) -> None:
    if 0.0 < LOG_FROM * min(losses) < max(losses):
        panel.set_yscale("log")  # the first epoch fell further than all others together
        panel.yaxis.set_major_formatter("{x:g}")
        panel.yaxis.set_minor_formatter(NullFormatter())


def plot_predictions(parts: Mapping[str, Compared], objective: str, path: Path) -> None:
    """For each part, what came on average where so much was predicted, above how often that was, as a PNG.

    Args:
        parts: predictions and labels, (windows,) float64 in natural units; labels that are not known are NaN.
            Stretches, (windows,) int64 from 0, as `tally.stretches` numbers them.
    """
    figure = _figure(12.0, 6.5)
    panels = figure.subplots(2, len(parts), sharex="col", squeeze=False, gridspec_kw={"height_ratios": [3.0, 1.0]})
    direction = objective == "direction"
    for (name, (predictions, labels, stretch)), column in zip(parts.items(), panels.T, strict=True):
        known = np.isfinite(labels[:])
        said, came = (values[:][known] * (1.0 if direction else 1e4) for values in (predictions, labels))
        _draw_calibration(column[0], _binned(said, came, stretch[known]), direction)
        _draw_counts(column[1], said, direction)
        _headline(column[0], name.capitalize(), f"{len(said):,} windows")
        for panel in column:
            style(panel)
    _save(figure, path)


def _draw_calibration(panel: Axes, bins: tuple[Floats, Floats, Floats], direction: bool) -> None:
    centre, mean, error = bins
    panel.plot(centre, centre, color=INK, linewidth=0.8, linestyle=(0, (4, 3)), label="as predicted")
    panel.errorbar(
        centre, mean, 2.0 * error, fmt="o-", color=LONG, ecolor=MUTED, elinewidth=1.2, capsize=3, markersize=6,
        markeredgecolor="white", linewidth=1.0, label="what came, ± 2 standard errors",
    )  # fmt: skip
    panel.axhline(0.5 if direction else 0.0, color=GRID, linewidth=1.2, zorder=0)
    panel.set_ylabel("share that rose" if direction else "mean return (bps)", color=INK)


def _draw_counts(panel: Axes, said: Floats, direction: bool) -> None:
    panel.hist(said, bins=60, color=MUTED, alpha=0.7, label="how often")
    panel.set_ylabel("windows", color=INK)
    panel.set_xlabel("predicted P(up)" if direction else "predicted return (bps)", color=INK)


def _binned(said: Floats, came: Floats, stretch: Integers) -> tuple[Floats, Floats, Floats]:
    """Mean prediction, mean of what came and its standard error, over windows sorted into bins of equal counts.

    Labels of a stretch overlap, and symbols move together: only stretches are evidence of their own.
    """
    order = np.argsort(said, kind="stable")
    bins = max(1, min(BINS, len(said) // LEAST_IN_BIN))
    groups = [part for part in np.array_split(order, bins) if len(part)]
    centre, mean = (np.array([values[part].mean() for part in groups]) for values in (said, came))
    apart = [np.bincount(stretch[part], came[part] - middle) for part, middle in zip(groups, mean, strict=True)]
    error = np.array([np.sqrt((sums**2).sum()) / len(part) for part, sums in zip(groups, apart, strict=True)])
    return centre, mean, error


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _headline(panel: Axes, name: str, facts: str) -> None:
    panel.set_title(name, loc="left", fontsize=14, fontweight="bold", color=INK, pad=38)
    panel.annotate(
        facts, (0.0, 1.0), xycoords="axes fraction", xytext=(0, 22), textcoords="offset points", fontsize=10,
        color=MUTED,
    )  # fmt: skip


def _save(figure: Figure, path: Path) -> None:
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=110)
    write_atomic(path, image.getvalue())
