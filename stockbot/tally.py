"""Sums by instant of all that a scorecard follows from: the windows that decide, and the rows that positions earn on.

Rows of one instant stay together in every draw of the bootstrap, so that symbols that move together are not counted as
if each were evidence of its own.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from kernels.arrays import Floats, Integers
from pipelines.splits import usual_step
from stockbot.config import Config, CostsConfig
from stockbot.evaluate import Rule, equity, losses
from stockbot.statistics.calibration import BINS, bin_of
from stockbot.statistics.ranking import ranks
from stockbot.training_set import TrainingSet

# Instants beyond these are summed in groups of consecutive ones first: longer blocks, and draws that take a second.
MOST_GROUPS = 20_000
YEAR_NS = 365.25 * 86_400e9
STRETCH_LABELS = 4  # lengths of a label in a stretch; with one, errors of overlapping labels come out a fifth too small


@dataclass(frozen=True)
class Tally:
    """The rows on which a position may stand, and which of them decide.

    Attributes:
        spans: for each symbol with windows, its stretch of these rows, from its first decision to the row after its
            last. close: (rows,) of these. instant: (rows,) number of the instant of each: the same bar of all symbols.
        decision: (windows,) which of these rows each window decides at. labels, moves: (windows,), labels NaN
            where there is none.
        group_size: instants of a group. years: that the rows span. symbols: among which capital is split.
    """

    spans: tuple[slice, ...]
    close: Floats
    instant: Integers
    instants: int
    decision: Integers
    labels: Floats
    moves: Floats
    group_size: int
    years: float

    @classmethod
    def of(cls, data: TrainingSet, starts: Integers) -> "Tally":
        panel, horizon = data.panel, data.config.labels.horizon
        decision = starts + data.config.windows.lookback - 1
        symbol = np.searchsorted(panel.offsets, decision, side="right") - 1
        rows = [
            np.arange(mine.min(), mine.max() + 2) for one in np.unique(symbol) if len(mine := decision[symbol == one])
        ]
        edges = np.cumsum([0, *map(len, rows)])
        every = np.concatenate(rows)
        times, instant = np.unique(_clock(data, every), return_inverse=True)
        return cls(
            spans=tuple(slice(int(first), int(stop)) for first, stop in pairwise(edges)),
            close=panel.close[every],
            instant=instant,
            instants=len(times),
            decision=np.searchsorted(every, decision),
            labels=data.labels_of(starts),
            moves=np.log(panel.close[decision + horizon] / panel.close[decision]),
            group_size=-(-len(times) // MOST_GROUPS),
            years=float(times[-1] - times[0]) / YEAR_NS,
        )

    @property
    def groups(self) -> int:
        """How many groups of instants."""
        return -(-self.instants // self.group_size)

    def of_windows(self, values: Floats) -> Floats:
        """Sums of what each window has, (groups,)."""
        return _summed(self.instant[self.decision] // self.group_size, values, self.groups)

    def of_instants(self, values: Floats) -> Floats:
        """Sums of what each instant has, (groups,)."""
        return _summed(np.arange(self.instants) // self.group_size, values, self.groups)

    def per_instant(self, values: Floats) -> Floats:
        """What each row has, as the mean over the symbols at each instant, (instants,)."""
        return _summed(self.instant, values, self.instants) / len(self.spans)


def stretches(data: TrainingSet, starts: Integers) -> Integers:
    """The stretch of time that each window decides in, numbered from 0: a few labels long, of all symbols together."""
    panel, decision = data.panel, starts + data.config.windows.lookback - 1
    times, instant = np.unique(_clock(data, decision), return_inverse=True)
    symbols = len(np.unique(np.searchsorted(panel.offsets, decision, side="right")))
    length = STRETCH_LABELS * data.config.labels.horizon * symbols * len(times) / len(decision)
    return np.asarray(instant // max(1, round(length)))


def _clock(data: TrainingSet, rows: Integers) -> Integers:
    """The instant of each row, ns, at which it stands beside those of other symbols, (rows,).

    Bars of time are known with their last ticks, which never come at once in two symbols, and bars of trades at any
    time: as instants of their own they would count symbols that move together as independent of each other.
    """
    panel = data.panel
    if len(panel.symbols) == 1:
        return np.asarray(panel.known[rows])
    if data.config.bars.kind == "time":
        return np.asarray(panel.timestamp[rows])
    step = max(1, usual_step(panel.timestamp, panel.offsets))
    return np.asarray(panel.known[rows] // step * step)


def _summed(place: Integers, values: Floats, places: int) -> Floats:
    return np.asarray(np.bincount(place, values, places), np.float64)


def columns_of(tally: Tally, predictions: Floats, config: Config, direction: bool) -> dict[str, Floats]:
    """Sums from which all figures follow, (groups,) each."""
    held = {name: tally.of_windows(values) for name, values in _of_windows(tally, predictions, direction).items()}
    position = np.zeros(len(tally.close), np.int8)
    position[tally.decision] = Rule.of(config).positions(predictions)
    traded = {
        "pnl": _earned(tally, position, config.costs),
        "pnl_before_costs": _earned(tally, position, CostsConfig(fee_bps=0.0, slippage_bps=0.0)),
        "turnover": np.concatenate(
            [np.abs(np.diff(position[one].astype(np.float64), prepend=0.0)) for one in tally.spans]
        ),
    }
    by_instant = {name: tally.per_instant(values) for name, values in traded.items()}
    by_instant |= {f"pnl_{power}": by_instant["pnl"] ** power for power in (2, 3, 4)}
    by_instant["instants"] = np.ones(tally.instants)
    return held | {name: tally.of_instants(values) for name, values in by_instant.items()}


def _of_windows(tally: Tally, predictions: Floats, direction: bool) -> dict[str, Floats]:
    rank, rank_of_move = (_centred(ranks(values)) for values in (predictions, tally.moves))
    known = np.isfinite(tally.labels)
    labelled = _of_labels(predictions, tally.labels, direction)
    return {
        "predicted": np.ones(len(predictions)),
        **_products("rank", rank, rank_of_move),
        "windows": known.astype(np.float64),
        **{name: np.where(known, values, 0.0) for name, values in labelled.items()},
    }


def _of_labels(predictions: Floats, labels: Floats, direction: bool) -> dict[str, Floats]:
    middle, apart = 0.5 if direction else 0.0, predictions - labels
    moved = labels != middle
    columns = {
        "loss": losses(predictions, labels, direction),
        "error": np.abs(apart),
        "moved": moved.astype(np.float64),
        "hits": (moved & (np.sign(predictions - middle) == np.sign(labels - middle))).astype(np.float64),
    }
    if not direction:
        return columns | _products("said", predictions, labels)
    bins = {f"bin_{one}": apart * (bin_of(predictions) == one) for one in range(BINS)}
    return columns | {"squared": apart**2} | bins


def _centred(values: Floats) -> Floats:
    return np.asarray(values - values.mean())


def _products(name: str, left: Floats, right: Floats) -> dict[str, Floats]:
    powers = {"l": left, "r": right, "ll": left**2, "rr": right**2, "lr": left * right}
    return {f"{name}_{power}": values for power, values in powers.items()}


def _earned(tally: Tally, position: NDArray[np.int8], costs: CostsConfig) -> Floats:
    return np.concatenate([np.diff(equity(tally.close[one], position[one], costs), prepend=0.0) for one in tally.spans])
