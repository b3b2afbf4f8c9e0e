"""Sums by instant of all that a scorecard follows from: the windows that decide, and the rows that positions earn on.

Rows of one instant stay together in every draw of the bootstrap, so that symbols that move together are not counted as
if each were evidence of its own. What is summed is worked out a block at a time: of each window one number or two are
in memory.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from kernels.arrays import Floats, Integers
from pipelines.columns import Column, blocks_of
from pipelines.splits import usual_step
from pipelines.window_runs import WindowRuns
from stockbot.config import Config, CostsConfig
from stockbot.evaluate import Rule, equity, losses
from stockbot.statistics.calibration import BINS, bin_of
from stockbot.statistics.ranking import ranks
from stockbot.training_set import TrainingSet

# Instants beyond these are summed in groups of consecutive ones first: longer blocks, and draws that take a second.
MOST_GROUPS = 20_000
YEAR_NS = 365.25 * 86_400e9
FREE = CostsConfig(fee_bps=0.0, slippage_bps=0.0)
STRETCH_LABELS = 4  # lengths of a label in a stretch; with one, errors of overlapping labels come out a fifth too small


@dataclass(frozen=True)
class Tally:
    """The rows on which a position may stand, and which of them decide.

    Attributes:
        data, runs: the windows. spans: for each symbol with windows, its stretch of the panel's rows, from its first
            decision to the row after its last. edges: (spans + 1,) of all these rows, the first of each span.
        instant: (rows,) number of the instant of each: the same bar of all symbols. rank_of_move: (windows,), central.
        group_size: instants of a group. years: that the rows span.
    """

    data: TrainingSet
    runs: WindowRuns
    spans: tuple[slice, ...]
    edges: Integers
    instant: NDArray[np.int32]
    instants: int
    rank_of_move: Floats
    group_size: int
    years: float

    @classmethod
    def of(cls, data: TrainingSet, runs: WindowRuns) -> "Tally":
        instant_of, spans = _clock(data), _spans(data, runs)
        edges = np.cumsum([0, *(span.stop - span.start for span in spans)])
        times = _distinct(np.concatenate([instant_of(span) for span in spans]))
        instant = np.empty(edges[-1], np.int32)
        for span, edge in zip(spans, edges, strict=False):
            for part in blocks_of(span.stop - span.start):
                stamps = instant_of(slice(span.start + part.start, span.start + part.stop))
                instant[edge + part.start : edge + part.stop] = np.searchsorted(times, stamps)
        return cls(
            data=data,
            runs=runs,
            spans=spans,
            edges=edges,
            instant=instant,
            instants=len(times),
            rank_of_move=_central_ranks(_moves(data, runs)),
            group_size=-(-len(times) // MOST_GROUPS),
            years=float(times[-1] - times[0]) / YEAR_NS,
        )

    @property
    def groups(self) -> int:
        """How many groups of instants."""
        return -(-self.instants // self.group_size)

    def decisions(self, starts: Integers) -> Integers:
        """Which of the rows the windows decide at that begin there."""
        decision = starts + self.data.config.windows.lookback - 1
        span = np.searchsorted([span.start for span in self.spans], decision, side="right") - 1
        return np.asarray(decision + (self.edges[:-1] - [span.start for span in self.spans])[span])

    def of_instants(self, values: Floats) -> Floats:
        """Sums of what each instant has, (groups,)."""
        return np.asarray(np.add.reduceat(values, np.arange(0, self.instants, self.group_size)))


def stretches(data: TrainingSet, runs: WindowRuns) -> NDArray[np.int32]:
    """The stretch of time that each window decides in, numbered from 0: a few labels long, of all symbols together."""
    instant_of, decisions = _clock(data), runs.moved(data.config.windows.lookback - 1)
    blocks = (decisions.starts(part.start, part.stop) for part in blocks_of(len(runs)))
    instants = np.concatenate([instant_of(rows) for rows in blocks])
    times, symbols = _distinct(instants), len(_spans(data, runs))
    length = STRETCH_LABELS * data.config.labels.horizon * symbols * len(times) / len(runs)
    return (np.searchsorted(times, instants) // max(1, round(length))).astype(np.int32)


def _distinct(values: Integers) -> Integers:
    """Each once, ascending; of a million in 7 ms, where `numpy.unique`, which hashes, takes 580."""
    ordered = np.sort(values)
    return np.asarray(ordered[np.append(True, ordered[1:] != ordered[:-1])])


def _clock(data: TrainingSet) -> Callable[[slice | Integers], Integers]:
    """What tells the instant of rows, ns, at which they stand beside those of other symbols, (rows,).

    Bars of time are known with their last ticks, which never come at once in two symbols, and bars of trades at any
    time: as instants of their own they would count symbols that move together as independent of each other.
    """
    panel = data.panel
    if len(panel.symbols) == 1:
        return lambda rows: panel.known[rows]
    if data.config.bars.kind == "time":
        return lambda rows: panel.timestamp[rows]
    step = max(1, usual_step(panel.timestamp, panel.offsets))
    return lambda rows: panel.known[rows] // step * step


def columns_of(tally: Tally, predictions: Column, config: Config, direction: bool) -> dict[str, Floats]:
    """Sums from which all figures follow, (groups,) each."""
    sums: dict[str, Floats] = {}
    position = np.zeros(len(tally.instant), np.int8)
    rank = _central_ranks(predictions[:])
    for part in blocks_of(len(tally.runs)):
        said, starts = predictions[part], tally.runs.starts(part.start, part.stop)
        decisions = tally.decisions(starts)
        position[decisions] = Rule.of(config).positions(said)
        group = tally.instant[decisions] // tally.group_size
        held = {"predicted": np.ones(len(said)), **_products("rank", rank[part], tally.rank_of_move[part])}
        held |= _of_labels(said, tally.data.labels_of(starts), direction)
        for name, values in held.items():
            sums.setdefault(name, np.zeros(tally.groups))
            sums[name] += np.bincount(group, values, tally.groups)
    return sums | {name: tally.of_instants(values) for name, values in _traded(tally, position, config.costs)}


def _spans(data: TrainingSet, runs: WindowRuns) -> tuple[slice, ...]:
    decisions = runs.moved(data.config.windows.lookback - 1)
    places = np.searchsorted(decisions.first, data.panel.offsets)
    return tuple(
        slice(int(decisions.first[begin]), int(decisions.ends[end - 1]) + 1)
        for begin, end in pairwise(places)
        if begin < end
    )


def _moves(data: TrainingSet, runs: WindowRuns) -> Floats:
    close, horizon, moves = data.panel.close, data.config.labels.horizon, np.empty(len(runs))
    for part in blocks_of(len(runs)):
        decision = runs.starts(part.start, part.stop) + data.config.windows.lookback - 1
        moves[part] = np.log(close[decision + horizon] / close[decision])
    return moves


def _of_labels(predictions: Floats, labels: Floats, direction: bool) -> dict[str, Floats]:
    """What each window has that has a label, 0 where there is none."""
    known = np.isfinite(labels)
    middle, apart = 0.5 if direction else 0.0, predictions - labels
    moved = labels != middle
    columns = {
        "windows": np.ones(len(labels)),
        "loss": losses(predictions, labels, direction),
        "error": np.abs(apart),
        "moved": moved.astype(np.float64),
        "hits": (moved & (np.sign(predictions - middle) == np.sign(labels - middle))).astype(np.float64),
    }
    if direction:
        bins = {f"bin_{one}": apart * (bin_of(predictions) == one) for one in range(BINS)}
        columns |= {"squared": apart**2} | bins
    else:
        columns |= _products("said", predictions, labels)
    return {name: np.where(known, values, 0.0) for name, values in columns.items()}


def _central_ranks(values: Floats) -> Floats:
    found = ranks(values)
    found -= found.mean()
    return found


def _products(name: str, left: Floats, right: Floats) -> dict[str, Floats]:
    powers = {"l": left, "r": right, "ll": left**2, "rr": right**2, "lr": left * right}
    return {f"{name}_{power}": values for power, values in powers.items()}


def _traded(tally: Tally, position: NDArray[np.int8], costs: CostsConfig) -> Iterator[tuple[str, Floats]]:
    """What each instant has, one after another, (instants,)."""
    yield "instants", np.ones(tally.instants)
    earned = _per_instant(tally, position, costs)
    yield "pnl", earned
    squares = earned * earned
    yield "pnl_2", squares
    yield "pnl_3", squares * earned
    yield "pnl_4", squares * squares
    del earned, squares
    yield "pnl_before_costs", _per_instant(tally, position, FREE)
    yield "turnover", _per_instant(tally, position, None)


def _per_instant(tally: Tally, position: NDArray[np.int8], costs: CostsConfig | None) -> Floats:
    """What positions earn, or where costs are None by how much they change: the mean of the symbols at each instant."""
    found = np.zeros(tally.instants)
    for span, edge in zip(tally.spans, tally.edges, strict=False):
        for part in blocks_of(span.stop - span.start):
            before = part.start - (part.start > 0)  # a block goes on from the last row of the one before
            held = position[edge + before : edge + part.stop]
            if costs is None:
                values = np.abs(np.diff(held.astype(np.float64), prepend=0.0))
            else:
                close = tally.data.panel.close[span.start + before : span.start + part.stop]
                values = np.diff(equity(close, held, costs), prepend=0.0)
            rows = slice(edge + part.start, edge + part.stop)
            np.add.at(found, tally.instant[rows], values[part.start - before :])
    return found / len(tally.spans)
