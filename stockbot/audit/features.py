"""What features are made of: their definitions, and the values that training reads."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipelines.errors import DataError
from pipelines.features import FeaturePlan
from pipelines.panel import Panel
from pipelines.replay import Replay, differing, kept_columns, replays, stored_blocks
from pipelines.store import FeatureStore
from pipelines.stored_panel import StoredPanel
from stockbot.audit.report import Check

# What the rounding of times far from now may change: of the spread of a feature, and of its size.
OF_SPREAD, OF_SIZE = 1e-4, 1e-6


@dataclass
class _Found:
    """The first row at which each feature fails a check, in words."""

    truncation: dict[str, str] = field(default_factory=dict)
    outside: dict[str, str] = field(default_factory=dict)
    replay: dict[str, str] = field(default_factory=dict)


AnyPanel = Panel | StoredPanel
Progress = Callable[[int, int], None]


def feature_checks(
    panel: AnyPanel, store: FeatureStore, progress: Progress | None = None
) -> tuple[Check, Check, Check]:
    """`truncation`, `outside` and `replay` of every feature, over every row.

    truncation: a value is the same, to the bit, when the rows after it are cut off.
    outside: a value follows from the rows alone; rows that hold the same a calendar cycle later give the same. A table
        that a feature looks up by time has a future that nothing here could cut off.
    replay: the values that training reads are those that the definitions give of the stored rows.

    Args:
        progress: called with (rows done, rows).
    """
    plan = FeaturePlan(panel.features)
    replayed = np.array([set(feature.inputs) <= kept_columns(store) for feature in plan.features])
    found = _Found()
    for number, symbol in enumerate(panel.symbols):
        begin, end = panel.offsets[number : number + 2]
        blocks = _same_rows(panel, stored_blocks(store, symbol), symbol, slice(int(begin), int(end)), found)
        for block in replays(plan, store, blocks):
            _compare(panel, block, int(begin), replayed, found)
            if progress is not None:
                progress(int(begin) + block.begin + len(block.whole), len(panel))
    _compare_definitions(store, found)
    seen = f"{len(panel.features)} features in {len(panel):,} rows"
    left_out = [name for name, is_replayed in zip(panel.features, replayed, strict=True) if not is_replayed]
    note = f"; not those of columns the store does not keep: {', '.join(left_out)}" if left_out else ""
    return (
        Check.of("truncation", seen, found.truncation.values()),
        Check.of("outside", seen, found.outside.values()),
        Check.of("replay", f"{int(replayed.sum())} features in {len(panel):,} rows{note}", found.replay.values()),
    )


def _compare(panel: AnyPanel, block: Replay, begin: int, replayed: NDArray[np.bool_], found: _Found) -> None:
    first = begin + block.begin
    used = panel.between(first, first + len(block.whole))
    for column, row in _firsts(differing(block.whole, block.pieces)):
        with_future, without = block.whole[row, column], block.pieces[row, column]
        found.truncation.setdefault(
            panel.features[column],
            f"{panel.features[column]} of {panel.row_name(first + row)} is {with_future:.7g} with the rows after it "
            f"and {without:.7g} without: it looks forward",
        )
    for column, row in _firsts(_moved(block.whole, block.moved)):
        found.outside.setdefault(
            panel.features[column],
            f"{panel.features[column]} of {panel.row_name(first + row)} is {block.whole[row, column]:.7g}, and "
            f"{block.moved[row, column]:.7g} of the same rows 28 years later: it reads what is not in them",
        )
    for column, row in _firsts(differing(used, block.whole) & replayed):
        found.replay.setdefault(
            panel.features[column],
            f"{panel.features[column]} of {panel.row_name(first + row)} is {used[row, column]:.7g} in training, but "
            f"its definition gives {block.whole[row, column]:.7g}: something changed it on the way",
        )


def _firsts(wrong: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """(column, its first wrong row) of each column that has one."""
    for column in np.flatnonzero(wrong.any(axis=0)):
        yield int(column), int(np.argmax(wrong[:, column]))


def _moved(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where values are apart by more than rounding."""
    known = np.isfinite(left) & np.isfinite(right)
    values = np.where(known, left, np.nan)
    with np.errstate(invalid="ignore"):
        highest = np.fmax.reduce(values, axis=0)
        lowest = np.fmin.reduce(values, axis=0)
        allowed = OF_SPREAD * (highest - lowest) + OF_SIZE * np.maximum(np.abs(highest), np.abs(lowest))
        apart = np.abs(left - right) > allowed
    return np.asarray(np.where(known, apart, (left != right) & ~(np.isnan(left) & np.isnan(right))))


def _same_rows(
    panel: AnyPanel, blocks: Iterator[pl.DataFrame], symbol: str, place: slice, found: _Found
) -> Iterator[pl.DataFrame]:
    """The blocks of a symbol, up to one in which training takes something else for time or price."""
    first = place.start
    for rows in blocks:
        problem = None if first + len(rows) > place.stop else next(_differing_rows(panel, rows, first), None)
        first += len(rows)
        if problem or first > place.stop:
            break
        yield rows
    else:
        problem = None
    if problem is None and (first := first + sum(map(len, blocks))) != place.stop:
        held = first - place.start
        problem = f"{symbol} has {place.stop - place.start} rows in training, {held} finished ones in the store"
    if problem:
        found.replay.setdefault(symbol, problem)


def _differing_rows(panel: AnyPanel, rows: pl.DataFrame, first: int) -> Iterator[str]:
    """What training takes for time and price from row `first` on, against the store."""
    place = slice(first, first + len(rows))
    columns = {"timestamp": panel.timestamp, "last_timestamp": panel.known, "close": panel.close}
    for name, used in columns.items():
        ours, stored = used[place], rows[name].to_physical().to_numpy()
        wrong = np.flatnonzero(ours != stored)
        if len(wrong):
            row = int(wrong[0])
            yield (
                f"{name} of {panel.row_name(place.start + row)} is {ours[row]} in training, {stored[row]} in the store"
            )


def _compare_definitions(store: FeatureStore, found: _Found) -> None:
    """The saved state of a store says which definitions made it."""
    with suppress(DataError):  # it holds features that nobody here knows, and that training does not use
        plan = FeaturePlan(store.features)
        if not all(plan.fits(store.saved_state(symbol)["features"]) for symbol in store.symbols):
            found.replay["definitions"] = (
                f"{store.path} was built with other definitions of its features: build it again"
            )
