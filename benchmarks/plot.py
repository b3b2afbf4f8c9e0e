"""The figures of the kernels as a picture: ratio to the best peer, and to a memory copy."""

from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

OURS, ALLOCATING, GOAL = "#0b6e4f", "#c8553d", "#7a7a7a"


def draw(kernels: list[dict[str, Any]], rows: int, path: Path) -> None:
    """Write the picture to `path`, in the order of the table."""
    matplotlib.use("Agg")
    figure = Figure(figsize=(12, 1.6 + 0.24 * len(kernels)), layout="constrained")
    peers, copies = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    names = [f"{entry['case']}  ({entry['best_peer']})" for entry in kernels]
    _dots(peers, [entry["ratio_allocating"] for entry in kernels], ALLOCATING, "each call allocates its result", "o")
    _dots(peers, [entry["ratio_reused"] for entry in kernels], OURS, "into a reused buffer", "D")
    _dots(copies, [entry["times_a_copy"] for entry in kernels], OURS, "into a reused buffer", "D")
    _axis(peers, "best peer / ours   (right is faster)", {1.0: "level", 1.5: "goal 1.5"})
    _axis(copies, "ours / memory copy   (left is faster)", {1.0: "copy", 2.0: "goal 2 of the cheapest"})
    peers.set_yticks(range(len(kernels)), names)
    peers.set_ylim(len(kernels) - 0.4, -0.6)
    figure.suptitle(f"Kernels against the fastest library for each, {rows:,} rows, one thread")
    figure.savefig(path, dpi=130)


def _dots(axes: Axes, values: list[float], colour: str, label: str, marker: str) -> None:
    axes.scatter(values, range(len(values)), s=26, color=colour, label=label, marker=marker, zorder=3)


def _axis(axes: Axes, label: str, lines: dict[float, str]) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(label)
    axes.grid(axis="both", color="#e4e4e4", linewidth=0.7)
    for (value, text), style in zip(lines.items(), ("-", "--"), strict=True):
        axes.axvline(value, color=GOAL, linewidth=1.1, linestyle=style, label=text)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=8, frameon=False)
