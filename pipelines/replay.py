"""Features computed anew from the rows of a feature store: all at once, and with the future cut off at many rows.

A piece of rows that ends where the future is cut off cannot show what comes after it, and the state that the next
piece begins with was made before it. So rows that are the same in pieces as in one go were made without their future.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kernels.arrays import Floats
from kernels.bars import COLUMN_NAMES, PRICE_COLUMNS, QUOTE_NAMES
from pipelines.bars import Bars
from pipelines.features import FeaturePlan
from pipelines.schema import TIMESTAMP
from pipelines.store import BASE_COLUMNS, FeatureStore

# The calendar of days, weeks and leap years comes again after 28 years: no season tells such rows apart.
CALENDAR_NS = (28 * 365 + 7) * 86_400 * 10**9
BLOCK_ROWS = 65_536
# Of each block. A leak of one row shows at each cut, one of many rows at all rows before it; one that peeks only where
# it pays shows before the largest moves. The calls for these cost about what the rows of a block do.
CUTS, SINGLE_ROWS, LARGEST_MOVES = 24, 24, 12

_COLUMN = {name: row for row, name in enumerate(COLUMN_NAMES)}


@dataclass(frozen=True)
class Replay:
    """The features of a block of a symbol's rows, each (rows, features) float32.

    Attributes:
        begin: first row of the block.
        whole: computed in one go. pieces: with the future cut off at the end of each piece.
        moved: in one go, as if all rows had come a calendar cycle later.
    """

    begin: int
    whole: NDArray[np.float32]
    pieces: NDArray[np.float32]
    moved: NDArray[np.float32]


def kept_columns(store: FeatureStore) -> frozenset[str]:
    """Columns of bars that the rows of a store give back as the build had them."""
    if store.manifest["source_kind"] == "candles":
        return frozenset(COLUMN_NAMES)
    kept = frozenset(COLUMN_NAMES[:PRICE_COLUMNS])
    # The traded value is a sum over the ticks of a bar; of one tick it is price times volume.
    return kept if store.bars.kind == "none" else kept - {"dollar"}


def stored_blocks(store: FeatureStore, symbol: str) -> Iterator[pl.DataFrame]:
    """`BASE_COLUMNS` of a symbol's finished rows, a block of them at a time."""
    left = pl.DataFrame()
    for run in store.batches(symbol, BASE_COLUMNS, closed_only=True):
        times = pl.col("timestamp", "last_timestamp").cast(TIMESTAMP)
        left = pl.concat([left, pl.DataFrame(dict(run)).with_columns(times)], how="diagonal")
        whole = len(left) // BLOCK_ROWS * BLOCK_ROWS
        yield from (left[begin : begin + BLOCK_ROWS] for begin in range(0, whole, BLOCK_ROWS))
        left = left[whole:]
    if len(left):
        yield left


def replays(plan: FeaturePlan, store: FeatureStore, blocks: Iterable[pl.DataFrame]) -> Iterator[Replay]:
    """The three computations, block by block. Columns that the store does not keep have stand-in values.

    Args:
        blocks: of a symbol from its first row on, as `stored_blocks` gives them.
    """
    whole, pieces, moved = (plan.new_state() for _ in range(3))
    begin = 0
    for rows in blocks:
        bars = _bars(rows, store)
        ends = cuts(bars.close)
        parts = [plan.update(pieces, bars[slice(first, end)]) for first, end in zip([0, *ends[:-1]], ends, strict=True)]
        yield Replay(
            begin, plan.update(whole, bars), np.concatenate(parts), plan.update(moved, _a_calendar_cycle_later(bars))
        )
        begin += len(bars)


def cuts(close: Floats) -> list[int]:
    """Where pieces end: at places spread at random, before the largest moves of the price, after each row of a stretch
    in the middle, after the last row."""
    rows = len(close)
    spread = np.random.default_rng(rows).integers(1, rows + 1, CUTS)
    largest = 1 + np.argsort(-np.abs(np.diff(np.log(close))), kind="stable")[:LARGEST_MOVES]
    middle = np.arange(rows // 2, rows // 2 + SINGLE_ROWS) + 1
    ends: list[int] = np.unique([*spread, *largest, *middle[middle < rows], rows]).tolist()
    return ends


def differing(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where two arrays do not hold the same bits; NaN is NaN whatever its bits."""
    same = left.view(np.uint32) == right.view(np.uint32)
    return np.asarray(~(same | (np.isnan(left) & np.isnan(right))))


def _bars(rows: pl.DataFrame, store: FeatureStore) -> Bars:
    bars = Bars.from_candles(rows)
    if store.manifest["source_kind"] != "candles":
        bars.last_timestamp[:] = rows["last_timestamp"].to_physical().to_numpy()
        _stand_in(bars)
    return bars


def _a_calendar_cycle_later(bars: Bars) -> Bars:
    later = Bars(bars.columns.copy())
    for stamps in (later.timestamp, later.last_timestamp):
        stamps += CALENDAR_NS
    return later


def _stand_in(bars: Bars) -> None:
    """Fill what only ticks tell by plausible values: for what a definition does, not for what it gave."""
    rows = len(bars)
    rng = np.random.default_rng(rows)
    ticks, bought = rng.integers(2, 50, rows).astype(np.float64), rng.random(rows)
    columns: dict[str, Floats] = {
        "ticks": ticks,
        "buys": np.floor(ticks * bought),
        "sells": ticks - np.floor(ticks * bought),
        "unchanged": np.floor(ticks * rng.random(rows)),
        "buy_volume": bars.volume * bought,
        "sell_volume": bars.volume - bars.volume * bought,
        "path": bars.high - bars.low + bars.close * 1e-5 * rng.random(rows),
        "largest": bars.volume * rng.random(rows),
        "quote_flow": rng.normal(size=rows),
    }
    sizes = rng.integers(1, 9, (2, rows)).astype(np.float64)
    columns |= dict(zip(QUOTE_NAMES, (bars.close * 0.9999, bars.close * 1.0001, *sizes), strict=True))
    for name, values in columns.items():
        bars.columns[_COLUMN[name]] = values
