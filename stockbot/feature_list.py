"""What the catalogue offers: definitions, warm-up, inputs, and what a feature costs on this machine."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from time import process_time

import numpy as np

from kernels.bars import COLUMN_NAMES
from pipelines.bars import Bars
from pipelines.catalogue import FAMILIES, SETS, expand, parse_feature
from pipelines.features import FeaturePlan

_ROWS, _REPEATS = 100_000, 3


@dataclass(frozen=True)
class Listed:
    """One line of the list; `cost` is ns a row of the feature computed alone, None where not measured."""

    name: str
    summary: str
    definition: str
    unit: str
    warmup: int
    inputs: tuple[str, ...]
    cost: float | None


def list_features(
    names: Sequence[str] = (), *, measured: bool = True, progress: Callable[[int, int], None] | None = None
) -> list[Listed]:
    """The features and sets that `names` names; an example of every family when there are none.

    Raises:
        DataError: a name that the catalogue does not know.
    """
    wanted = expand(names) if names else [family.example for family in FAMILIES.values()]
    features = [parse_feature(name) for name in wanted]
    rows = _market() if measured else None
    listed = []
    for number, feature in enumerate(features):
        cost = None if rows is None else _cost(feature.name, rows)
        listed.append(
            Listed(
                feature.name,
                feature.family.summary,
                str(feature.expression),
                feature.family.unit,
                feature.warmup,
                feature.inputs,
                cost,
            )
        )
        if progress:
            progress(number + 1, len(features))
    return listed


def set_sizes() -> dict[str, int]:
    """Number of features in each named set."""
    return {name: len(members) for name, members in SETS.items()}


def _cost(name: str, rows: Bars) -> float:
    plan = FeaturePlan([name])
    state = plan.new_state()
    out = np.empty((1, len(rows)), np.float32)
    plan.update(state, rows, out)
    spent = []
    for _ in range(_REPEATS):
        start = process_time()
        plan.update(state, rows, out)
        spent.append(process_time() - start)
    return median(spent) / len(rows) * 1e9


def _market() -> Bars:
    rng = np.random.default_rng(1)
    rows = Bars(np.zeros((len(COLUMN_NAMES), _ROWS)))
    rows.timestamp[:] = rows.last_timestamp[:] = 1_700_000_000 * 10**9 + np.cumsum(rng.integers(1, 2 * 10**9, _ROWS))
    rows.close[:] = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 1e-4, _ROWS)))
    rows.open[:] = rows.close
    rows.high[:], rows.low[:] = rows.close * 1.0001, rows.close * 0.9999
    rows.volume[:] = rng.exponential(10.0, _ROWS)
    rows.dollar[:] = rows.close * rows.volume
    rows.buy_volume[:] = np.where(rng.random(_ROWS) < 0.5, rows.volume, 0.0)
    rows.sell_volume[:] = rows.volume - rows.buy_volume
    rows.ticks[:] = rows.buys[:] = 1.0
    rows.bid[:], rows.ask[:] = rows.low, rows.high
    rows.bid_size[:] = rows.ask_size[:] = rows.volume + 1.0
    return rows
