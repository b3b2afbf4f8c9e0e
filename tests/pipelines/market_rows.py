"""Rows of a random market with every column of bars filled, and the ways in which such rows go wrong."""

import numpy as np

from kernels.bars import COLUMN_NAMES, QUOTE_NAMES
from pipelines.bars import BarBuilder, Bars, BarSpec

TICKS_A_ROW = 4
SECOND = 10**9
PRICES = ("open", "high", "low", "close")


def market_rows(count: int, seed: int = 0) -> Bars:
    """Bars of four ticks: uneven times with pauses of hours, prices on a grid, quotes, some ticks without volume."""
    rng = np.random.default_rng(seed)
    ticks = count * TICKS_A_ROW
    pauses = np.where(rng.random(ticks) < 0.01, rng.uniform(0.0, 6 * 3600.0, ticks), rng.exponential(5.0, ticks))
    stamps = 1_700_000_000 * SECOND + np.cumsum((pauses * SECOND).astype(np.int64))
    price = 100.0 + 0.01 * np.cumsum(rng.integers(-3, 4, ticks))
    volume = np.where(rng.random(ticks) < 0.3, 0.0, rng.exponential(10.0, ticks))
    offsets = 0.01 * rng.integers(0, 4, (2, ticks))
    sizes = rng.integers(1, 100, (2, ticks)).astype(float)
    quotes = np.stack([price - offsets[0], price + offsets[1], *sizes])
    rows = BarBuilder(BarSpec("tick", TICKS_A_ROW)).update(
        stamps, price, volume, rng.choice([-1.0, 1.0], ticks), quotes
    )
    assert len(rows) == count
    return rows


def flat_rows(count: int) -> Bars:
    """A market in which nothing moves and nothing is traded, a row a second."""
    rows = Bars(np.zeros((len(COLUMN_NAMES), count)))
    rows.timestamp[:] = rows.last_timestamp[:] = 1_700_000_000 * SECOND + SECOND * np.arange(count)
    for name in (*PRICES, *QUOTE_NAMES):
        getattr(rows, name)[:] = 5.0
    rows.ticks[:] = 1.0
    return rows


def broken_rows(kind: str, count: int, seed: int = 0) -> Bars:
    """Market rows of which some in the middle are `missing`, `huge` or `tiny`."""
    value = {"missing": np.nan, "huge": 1e12, "tiny": 5e-324}[kind]
    rows = market_rows(count, seed)
    first = count // 3
    for run in (slice(first, first + 3), slice(2 * first, 2 * first + 1)):
        rows.columns[2:, run] = value
    return rows
