"""One PNG that answers: what did the price do, what did the model say, and what was it worth after costs."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, fontManager, get_font
from matplotlib.transforms import offset_copy
from numpy.typing import NDArray

from pipelines.files import write_atomic
from stockbot.errors import StockbotError

Floats = NDArray[np.float64]
Basis = Literal["unseen rows", "rows seen in training: no evidence", "logged rows, flat across pauses"]

# Okabe-Ito blue and orange: apart for every common colour vision, and apart in grey; shape says it again.
LONG, SHORT, INK, MUTED, GRID = "#0072B2", "#E69F00", "#1F2430", "#7A828E", "#E6E8EC"
CANDLES_AT_MOST = 240  # more than that and bodies are thinner than a pixel pair: a line says more
MARKERS_AT_MOST = 160
# What the first one has no glyph for is drawn by the first other that is installed and has it.
FONTS = (
    "DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei", "Microsoft YaHei", "Malgun Gothic", "PingFang SC", "Hiragino Sans", "Arial Unicode MS",
)  # fmt: skip
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
        equity, hold: (rows,) float64, cumulative log return after costs of the signal, and of holding, as if begun
            at the row `judged_from`.
        turnover: sum of absolute changes of position from there on.
        basis: what the rows from `judged_from` on are; every figure is of them alone.
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
    judged_from: int
    basis: Basis
    seen: NDArray[np.bool_] | None = None

    @property
    def judged_rows(self) -> int:
        """How many rows the figures are of."""
        return len(self.time) - self.judged_from

    @property
    def net_return(self) -> float:
        """Simple return of the signal over the judged rows, after costs."""
        return float(np.expm1(self.equity[-1]))

    @property
    def hold_return(self) -> float:
        """Simple return of buying at the first judged row and holding."""
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
        style(panel)
    _time_axis(panels[2], time)
    _title(panels[0], data)
    return figure


def _draw_price(figure: Figure, panel: Axes, data: ChartData, time: Floats) -> None:
    under, over = data.close, data.close
    if data.low is not None and data.high is not None and len(time) <= CANDLES_AT_MOST:
        under, over = data.low, data.high
        _candles(panel, data, time)
    else:
        panel.plot(*_broken(_after_gaps(time), time, data.close), color=INK, linewidth=0.9, label="price")
    for side, shape, colour, name, edge in ((1, "^", LONG, "LONG", under), (-1, "v", SHORT, "SHORT", over)):
        entries = np.flatnonzero((data.position == side) & (np.diff(data.position, prepend=0) != 0))
        crowd = min(1.0, MARKERS_AT_MOST / max(len(entries), 1))
        panel.scatter(
            time[entries], edge[entries], marker=shape, color=colour, edgecolors="white",
            linewidths=0.5, s=20 + 40 * crowd, alpha=0.55 + 0.4 * crowd, zorder=3,
            label=f"{name} entered ({len(entries):,})",
            transform=offset_copy(panel.transData, figure, y=-9 * side, units="points"),
        )  # fmt: skip
    panel.margins(y=0.07)  # room for the markers, which stand off the price
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
    x, y = _stairs(*_broken(breaks, time, value))
    panel.plot(x, np.clip(y, low, high), color=MUTED, linewidth=0.7, alpha=0.7)
    for level, beyond, colour, name in (
        (high, np.maximum, LONG, "above: LONG"),
        (low, np.minimum, SHORT, "below: SHORT"),
    ):
        reached = beyond(y, level)
        panel.fill_between(
            x, level, reached, where=reached != level, color=colour, label=name, alpha=0.85, linewidth=0.5, zorder=2.1
        )
    for level in (high, low):
        panel.axhline(level, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
    panel.axhline(offset, color=GRID, linewidth=1.0, zorder=0)
    panel.set_ylabel(label)


def _draw_equity(panel: Axes, data: ChartData, time: Floats, breaks: NDArray[np.intp]) -> None:
    x, hold = _broken(breaks, time, 100.0 * np.expm1(data.hold))
    _, earned = _broken(breaks, time, 100.0 * np.expm1(data.equity))
    panel.plot(x, hold, color=MUTED, linewidth=1.0, linestyle=(0, (5, 2)), label="buy and hold")
    panel.plot(x, earned, color=LONG, linewidth=1.5, label="signal after costs")
    panel.fill_between(x, 0.0, earned, where=x >= time[data.judged_from], color=LONG, alpha=0.08, linewidth=0)
    panel.axhline(0.0, color=INK, linewidth=0.6)
    panel.set_ylabel("return (%)")


def _after_gaps(time: Floats) -> NDArray[np.intp]:
    return np.flatnonzero(np.diff(time) > GAP_FACTOR * _usual_step(time)) + 1


def _usual_step(time: Floats) -> float:
    steps = np.diff(time)
    return float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0


def _broken(breaks: NDArray[np.intp], time: Floats, values: Floats) -> tuple[Floats, Floats]:
    """The points with a NaN one usual step after the last row before each gap, so that a line stops there."""
    return np.insert(time, breaks, time[breaks - 1] + _usual_step(time)), np.insert(values, breaks, np.nan)


def _stairs(time: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Each value stands until the next row, so that one row above a threshold is an area and not a point."""
    return np.repeat(time, 2)[1:], np.repeat(values, 2)[:-1]


def _shade_seen(panel: Axes, data: ChartData, time: Floats, *, label: str | None) -> None:
    """Grey behind the rows that made the model: what it earns there it has learned by heart."""
    if data.seen is not None and data.seen[0]:
        last = int(np.flatnonzero(data.seen)[-1])
        panel.axvspan(time[0], time[last], color=GRID, alpha=0.6, zorder=0, linewidth=0, label=label)


def style(panel: Axes) -> None:
    """Legend, grid, ticks and frame as every picture has them."""
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
    # Level by level from years to seconds; a tick that begins a larger unit names that one, so no offset is needed.
    plain = ["%Y", "%b %Y", "%d %b", "%H:%M", "%H:%M", "%S.%f"]
    begins = ["%Y", "%Y", "%d %b", "%d %b", "%H:%M", "%H:%M:%S"]
    panel.xaxis.set_major_formatter(
        ConciseDateFormatter(locator, formats=plain, zero_formats=begins, show_offset=False)
    )
    panel.set_xlabel("time (UTC)", color=INK)


def _title(panel: Axes, data: ChartData) -> None:
    first, last = (str(moment)[:16].replace("T", " ") for moment in (data.time[0], data.time[-1]))
    judged = (
        f"on {data.judged_rows:,} {data.basis}", f"signal after costs {100 * data.net_return:+.2f} %",
        f"buy and hold {100 * data.hold_return:+.2f} %", f"turnover {data.turnover:,.0f}",
    )  # fmt: skip
    about = (f"model {data.model[:16]}", f"{len(data.time):,} rows", f"{first} to {last} UTC")
    name, families = _legible(data.symbol)
    panel.set_title(
        name, loc="left", fontsize=17, fontweight="bold", color=INK, pad=62, family=families, parse_math=False
    )
    for facts, height, colour in ((judged, 42, INK), (about, 24, MUTED)):
        panel.annotate(
            "   ·   ".join(facts), (0.0, 1.0), xycoords="axes fraction", xytext=(0, height),
            textcoords="offset points", fontsize=10, color=colour,
        )  # fmt: skip


def _legible(text: str) -> tuple[str, list[str]]:
    """The text with every character that no installed font can draw escaped, and the fonts that draw it."""
    installed = {entry.name for entry in fontManager.ttflist}
    families = [name for name in FONTS if name in installed]
    fonts = [get_font(findfont(name)) for name in families]
    shown = (
        letter if any(font.get_char_index(ord(letter)) for font in fonts) else ascii(letter)[1:-1] for letter in text
    )
    return "".join(shown), families
