"""Rows that no window holds for want of a feature's value, beyond those in which a symbol's features warm up."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from kernels.arrays import Integers
from pipelines.columns import blocks_of
from pipelines.errors import DataError
from pipelines.panel import Panel
from pipelines.stored_panel import StoredPanel

NAMED = 3  # features, those that lack most


def left_out(panel: Panel | StoredPanel) -> str:
    """How many rows lack a value and of which features, in a line; empty where none does.

    Raises:
        DataError: a value is infinite, which is no missing one: a definition divides by 0.
    """
    rows = _holes(panel)
    lacking, first = np.zeros(len(panel.features), np.int64), np.full(len(panel.features), -1)
    for part in blocks_of(len(rows)):
        block = rows[part]
        values = panel.at(block)
        _require_no_infinity(panel, block, values)
        lacks = np.isnan(values)
        first = np.where((first < 0) & lacks.any(axis=0), block[lacks.argmax(axis=0)], first)
        lacking += lacks.sum(axis=0)
    return "" if not len(rows) else f"{len(rows):,} rows are in no window: {', '.join(_named(panel, lacking, first))}"


def _named(panel: Panel | StoredPanel, lacking: Integers, first: Integers) -> Iterator[str]:
    worst = [column for column in np.argsort(-lacking, kind="stable") if lacking[column]]
    for column in worst[:NAMED]:
        where = panel.row_name(int(first[column]))
        yield f"{panel.features[column]} has no value in {lacking[column]:,}, the first {where}"
    if len(worst) > NAMED:
        yield f"and {len(worst) - NAMED} more features"


def _require_no_infinity(panel: Panel | StoredPanel, rows: Integers, values: NDArray[np.float32]) -> None:
    infinite = np.argwhere(np.isinf(values))
    if len(infinite):
        row, column = (int(place) for place in infinite[0])
        raise DataError(
            f"features: {panel.features[column]} of {panel.row_name(int(rows[row]))} is {values[row, column]}, "
            f"expected a finite number, or NaN where there is no value: drop the feature, or define what it is where "
            f"it divides by 0"
        )


def _holes(panel: Panel | StoredPanel) -> Integers:
    """Rows that are not usable, after the first usable one of their symbol."""
    usable = _usable(panel)
    found = [
        first + np.flatnonzero(~usable[first:end])
        for begin, end in pairwise(panel.offsets)
        if begin < end and usable[first := int(begin) + int(np.argmax(usable[begin:end]))]
    ]
    return np.concatenate([np.empty(0, np.int64), *found])


def _usable(panel: Panel | StoredPanel) -> NDArray[np.bool_]:
    if not isinstance(panel, StoredPanel):
        return np.asarray(panel.finite)
    usable = np.zeros(len(panel), np.bool_)
    for first, end in zip(panel.found.usable.first, panel.found.usable.ends, strict=True):
        usable[first:end] = True
    return usable
