"""One PNG that answers: what did the price do, what did the model say, and what was it worth after costs."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.transforms import offset_copy
from numpy.typing import NDArray

from pipelines.files import write_atomic
from stockbot.errors import StockbotError

Floats = NDArray[np.float64]

# Okabe-Ito blue and orange: apart for every common colour vision, and apart in grey; shape says it again.
LONG, SHORT, INK, MUTED, GRID = "#0072B2", "#E69F00", "#1F2430", "#7A828E", "#E6E8EC"
CANDLES_AT_MOST = 240  # more than that and bodies are thinner than a pixel pair: a line says more
MARKERS_AT_MOST = 160
GAP_FACTOR = 10  # a step this many times the usual one is a hole, and no line is drawn over it


@dataclass(frozen=True, kw_only=True)
class ChartData:
    """The rows of one symbol under one model, oldest first.

    Attributes:
        time: (rows,) datetime64[ns], UTC, when each row was known.
        close: (rows,) float64; open, high, low as well, or None when only a price is known.
        prediction: (rows,) float64, log return or P(up); NaN where there is none.
        threshold: prediction from which LONG is taken. floor: the one from which SHORT is taken.
        position: (rows,) int8, +1, 0 or -1.
        equity, hold: (rows,) float64, cumulative log return after costs of the signal, and of holding.
        turnover: sum of absolute changes of position.
        seen: (rows,) bool, the row played a part in making the model; None where that is not known.
    """

    symbol: str
    model: str
    objective: str
    time: NDArray[np.datetime64]
    close: Floats
    open: Floats | None = None
    high: Floats | None = None
    low: Floats | None = None
    prediction: Floats
    threshold: float
    floor: float
    position: NDArray[np.int8]
    equity: Floats
    hold: Floats
    turnover: float
    seen: NDArray[np.bool_] | None = None

    @property
    def unseen_from(self) -> int | None:
        """First row that the model had not seen; None when that is not known or there is none."""
        if self.seen is None or self.seen.all():
            return None
        return int(np.argmin(self.seen))

    @property
    def unseen_return(self) -> float | None:
        """Simple return of the signal after costs on the rows that the model had not seen."""
        first = self.unseen_from
        return None if first is None else float(np.expm1(self.equity[-1] - self.equity[first]))

    @property
    def net_return(self) -> float:
        """Simple return of the signal over all rows, after costs."""
        return float(np.expm1(self.equity[-1]))

    @property
    def hold_return(self) -> float:
        """Simple return of buying at the first row and holding."""
        return float(np.expm1(self.hold[-1]))


def save_chart(data: ChartData, path: Path) -> None:
    """Draw the chart and write it as a PNG.

    Raises:
        StockbotError: there are no rows to draw.
    """
    figure = draw(data)
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=150)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, image.getvalue())


def draw(data: ChartData) -> Figure:
    """Price with entries, prediction against its threshold, and equity beside buy-and-hold, on one time axis.

    Raises:
        StockbotError: fewer than two rows.
    """
    if len(data.time) < 2:
        raise StockbotError(f"{data.symbol}: {len(data.time)} rows to draw, expected at least 2")
    figure = Figure(figsize=(13, 9), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(3, 1, sharex=True, gridspec_kw={"height_ratios": [3.0, 1.4, 1.6]})
    time = date2num(data.time)
    breaks = _after_gaps(time)
    _draw_price(figure, panels[0], data, time)
    _draw_prediction(panels[1], data, time, breaks)
    _draw_equity(panels[2], data, time, breaks)
    for panel in panels:
        _shade_seen(panel, data, time, label="seen in training" if panel is panels[0] else None)
        _style(panel)
    _time_axis(panels[2], time)
    _title(panels[0], data)
    return figure


def _draw_price(figure: Figure, panel: Axes, data: ChartData, time: Floats) -> None:
    if data.open is not None and len(time) <= CANDLES_AT_MOST:
        _candles(panel, data, time)
    else:
        panel.plot(*_broken(_after_gaps(time), time, data.close), color=INK, linewidth=0.9, label="price")
    for side, shape, colour, name in ((1, "^", LONG, "LONG"), (-1, "v", SHORT, "SHORT")):
        entries = np.flatnonzero((data.position == side) & (np.diff(data.position, prepend=0) != 0))
        crowd = min(1.0, MARKERS_AT_MOST / max(len(entries), 1))
        panel.scatter(
            time[entries], data.close[entries], marker=shape, color=colour, edgecolors="white",
            linewidths=0.5, s=20 + 40 * crowd, alpha=0.55 + 0.4 * crowd, zorder=3,
            label=f"{name} entered ({len(entries):,})",
            transform=offset_copy(panel.transData, figure, y=-9 * side, units="points"),
        )  # fmt: skip
    panel.set_ylabel("price")


def _candles(panel: Axes, data: ChartData, time: Floats) -> None:
    opened, high, low = (np.asarray(column, np.float64) for column in (data.open, data.high, data.low))
    half = 0.36 * float(np.median(np.diff(time)))
    rising = data.close >= opened
    bottom, top = np.minimum(opened, data.close), np.maximum(opened, data.close)
    wicks = np.stack([time, low, time, high], axis=1).reshape(-1, 2, 2)
    corners = (time - half, bottom, time + half, bottom, time + half, top, time - half, top)
    bodies = np.stack(corners, axis=1).reshape(-1, 4, 2)
    faces = np.where(rising, "white", INK).tolist()
    panel.add_collection(LineCollection(list(wicks), colors=MUTED, linewidths=0.8))
    panel.add_collection(PolyCollection(list(bodies), facecolors=faces, edgecolors=INK, linewidths=0.7))
    panel.autoscale_view()


def _draw_prediction(panel: Axes, data: ChartData, time: Floats, breaks: NDArray[np.intp]) -> None:
    is_return = data.objective == "regression"
    unit, offset, label = (1e4, 0.0, "prediction (bps)") if is_return else (1.0, 0.5, "P(up)")
    value, high, low = data.prediction * unit, data.threshold * unit, data.floor * unit
    x, y = _broken(breaks, time, value)
    panel.plot(x, y, color=MUTED, linewidth=0.7)
    panel.fill_between(x, high, y, where=y > high, color=LONG, alpha=0.55, linewidth=0, label="above: LONG")
    panel.fill_between(x, low, y, where=y < low, color=SHORT, alpha=0.65, linewidth=0, label="below: SHORT")
    for level in (high, low):
        panel.axhline(level, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
    panel.axhline(offset, color=GRID, linewidth=1.0, zorder=0)
    panel.set_ylabel(label)


def _draw_equity(panel: Axes, data: ChartData, time: Floats, breaks: NDArray[np.intp]) -> None:
    x, hold = _broken(breaks, time, 100.0 * np.expm1(data.hold))
    _, earned = _broken(breaks, time, 100.0 * np.expm1(data.equity))
    hold_label = f"buy and hold {100 * data.hold_return:+.2f} %"
    panel.plot(x, hold, color=MUTED, linewidth=1.0, linestyle=(0, (5, 2)), label=hold_label)
    signal_label = f"signal after costs {100 * data.net_return:+.2f} %"
    panel.plot(x, earned, color=LONG, linewidth=1.5, label=signal_label)
    panel.fill_between(x, 0.0, earned, color=LONG, alpha=0.08, linewidth=0)
    panel.axhline(0.0, color=INK, linewidth=0.6)
    panel.set_ylabel("return (%)")


def _after_gaps(time: Floats) -> NDArray[np.intp]:
    steps = np.diff(time)
    usual = np.median(steps[steps > 0]) if (steps > 0).any() else 0.0
    return np.flatnonzero(steps > GAP_FACTOR * usual) + 1


def _broken(breaks: NDArray[np.intp], time: Floats, values: Floats) -> tuple[Floats, Floats]:
    """The points with a NaN before each row that follows a gap, so that a line stops there."""
    return np.insert(time, breaks, time[breaks]), np.insert(values, breaks, np.nan)


def _shade_seen(panel: Axes, data: ChartData, time: Floats, *, label: str | None) -> None:
    """Grey behind the rows that made the model: what it earns there it has learned by heart."""
    if data.seen is not None and data.seen[0]:
        last = int(np.flatnonzero(data.seen)[-1])
        panel.axvspan(time[0], time[last], color=GRID, alpha=0.6, zorder=0, linewidth=0, label=label)


def _style(panel: Axes) -> None:
    # Above the panel, at the right: inside, it would hide what it explains.
    place = {"loc": "lower right", "bbox_to_anchor": (1.0, 1.0), "borderaxespad": 0.1}
    panel.legend(**place, ncols=4, frameon=False, fontsize=9)
    panel.grid(True, color=GRID, linewidth=0.8)
    panel.set_axisbelow(True)
    panel.margins(x=0.01)
    panel.tick_params(colors=INK, labelsize=9, length=3)
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        panel.spines[side].set_color(MUTED)


def _time_axis(panel: Axes, time: Floats) -> None:
    locator = AutoDateLocator(minticks=5, maxticks=10)
    panel.xaxis.set_major_locator(locator)
    panel.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    panel.set_xlabel("time (UTC)", color=INK)


def _net_return(data: ChartData) -> str:
    if data.seen is None or not data.seen.any():
        return f"net return {100 * data.net_return:+.2f} %"
    if data.unseen_return is None:
        return "all of it seen in training: no evidence"
    return f"net return on unseen rows {100 * data.unseen_return:+.2f} %"


def _title(panel: Axes, data: ChartData) -> None:
    first, last = (str(moment)[:16].replace("T", " ") for moment in (data.time[0], data.time[-1]))
    facts = (
        f"model {data.model[:16]}", _net_return(data), f"turnover {data.turnover:,.0f}",
        f"{len(data.time):,} rows", f"{first} to {last} UTC",
    )  # fmt: skip
    panel.set_title(data.symbol, loc="left", fontsize=17, fontweight="bold", color=INK, pad=42)
    panel.text(0.0, 1.075, "   ·   ".join(facts), transform=panel.transAxes, fontsize=10, color=MUTED)
