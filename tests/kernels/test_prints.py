"""Outlier prints: the rule as it is written, and what it finds."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels import outlier_prints, reference


def walk(rows: int, seed: int, *, tick: float, spread: float) -> np.ndarray:
    """A price on a grid with prints away from it, some of them a few in a row."""
    rng = np.random.default_rng(seed)
    prices = np.maximum(np.round(np.exp(np.cumsum(rng.normal(0, spread, rows))) / tick) * tick, tick)
    for at in rng.integers(0, rows, rows // 60):
        prices[at : at + rng.integers(1, 9)] *= rng.choice([0.5, 0.99, 0.997, 1.004, 1.02, 3.0])
    return prices


@given(
    rows=st.integers(1, 900),
    seed=st.integers(0, 1000),
    tick=st.sampled_from([0.01, 0.0001, 1e-6]),
    spread=st.sampled_from([1e-5, 0.0005, 0.01]),
    cut=st.tuples(st.integers(0, 900), st.integers(0, 900)),
)
def test_the_verdict_is_that_of_the_rule(
    rows: int, seed: int, tick: float, spread: float, cut: tuple[int, int]
) -> None:
    prices = walk(rows, seed, tick=tick, spread=spread)
    whole = reference.outlier_prints(prices)
    assert outlier_prints(prices).tolist() == whole.tolist()
    first, stop = sorted(min(edge, rows) for edge in cut)
    assert outlier_prints(prices, first, stop).tolist() == whole[first:stop].tolist()


@pytest.mark.parametrize("prints", [1, 2, 5])
def test_few_prints_away_from_the_level_are_found(prints: int) -> None:
    prices = 100 + np.random.default_rng(3).normal(0, 0.01, 300).round(2)
    prices[150 : 150 + prints] = 130.0
    assert np.flatnonzero(outlier_prints(prices)).tolist() == list(range(150, 150 + prints))


def test_a_new_level_is_none_and_neither_is_a_tick_from_a_price_that_stood_still() -> None:
    prices = 100 + np.random.default_rng(3).normal(0, 0.01, 300).round(2)
    prices[150:] += 30.0
    assert not outlier_prints(prices).any()
    still = np.full(300, 100.0)
    still[100] = 100.1
    assert not outlier_prints(still).any()
    still[100] = 100.3
    assert np.flatnonzero(outlier_prints(still)).tolist() == [100]


def test_fifty_prices_tell_nothing() -> None:
    prices = np.full(51, 100.0)
    prices[20] = 300.0
    assert outlier_prints(prices).sum() == 1
    assert not outlier_prints(prices[:50]).any()


@pytest.mark.parametrize(("first", "stop"), [(-1, 5), (6, 5), (0, 11)])
def test_rows_that_are_not_there_are_refused(first: int, stop: int) -> None:
    with pytest.raises(ValueError, match=f"expected 0 <= first <= stop <= 10, received {first} and {stop}"):
        outlier_prints(np.ones(10), first, stop)


def test_the_known_bad_prints_of_a_thin_market_are_found(market_data: Path) -> None:
    trades = pl.read_csv(market_data / "pyalgotrade" / "bitstampUSD.csv", has_header=False, new_columns=["t", "p", "q"])
    month = trades.filter(pl.from_epoch("t").dt.strftime("%Y-%m") == "2011-11")
    assert month.filter(pl.Series(outlier_prints(month["p"].to_numpy())))["p"].to_list() == [15.0, 15.0]
