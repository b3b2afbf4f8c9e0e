"""Outlier prints: the rule as it is written, however the rows are cut."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.prints import AROUND, DEVIATIONS, GRANULARITY, SIDE, PrintJudge, outlier_prints


def by_definition(prices: np.ndarray) -> np.ndarray:
    """The rule, row by row."""
    found = np.zeros(len(prices), dtype=bool)
    for row, price in enumerate(prices if len(prices) > AROUND else ()):
        start = min(max(row - SIDE, 0), len(prices) - AROUND - 1)
        others = np.delete(prices[start : start + AROUND + 1], row - start)
        median = np.median(others)
        deviation = np.abs(others - median).mean()
        found[row] = abs(price - median) > DEVIATIONS * deviation + GRANULARITY * median
    return found


def walk(rows: int, seed: int, *, tick: float = 0.01, spread: float = 0.0005) -> np.ndarray:
    """A price on a grid with prints away from it, some of them a few in a row."""
    rng = np.random.default_rng(seed)
    prices = np.maximum(np.round(np.exp(np.cumsum(rng.normal(0, spread, rows))) / tick) * tick, tick)
    for at in rng.integers(0, rows, rows // 60):
        prices[at : at + rng.integers(1, 9)] *= rng.choice([0.5, 0.99, 0.997, 1.004, 1.02, 3.0])
    return prices


def judged(prices: np.ndarray, cuts: list[int]) -> np.ndarray:
    judge = PrintJudge()
    edges = [0, *sorted(cuts), len(prices)]
    given = [judge.take(pl.DataFrame({"price": prices[a:b]})) for a, b in pairwise(edges)]
    rows = [piece for piece in (*given, judge.rest()) if piece is not None]
    assert np.concatenate([part["price"].to_numpy() for part, _ in rows]).tolist() == prices.tolist()
    return np.concatenate([mask.to_numpy() for _, mask in rows])


@given(
    rows=st.integers(1, 400),
    seed=st.integers(0, 1000),
    tick=st.sampled_from([0.01, 0.0001, 1e-6]),
    data=st.data(),
)
def test_the_verdict_is_that_of_the_rule_for_every_cut(rows: int, seed: int, tick: float, data: st.DataObject) -> None:
    prices = walk(rows, seed, tick=tick)
    cuts = data.draw(st.lists(st.integers(0, rows), max_size=8))
    assert judged(prices, cuts).tolist() == by_definition(prices).tolist()


@pytest.mark.parametrize("prints", [1, 2, 5])
def test_few_prints_away_from_the_level_are_found(prints: int) -> None:
    prices = 100 + np.random.default_rng(3).normal(0, 0.01, 300).round(2)
    prices[150 : 150 + prints] = 130.0
    assert np.flatnonzero(outlier_prints(prices, 0, 300)).tolist() == list(range(150, 150 + prints))


def test_a_new_level_is_none_and_neither_is_a_tick_from_a_price_that_stood_still() -> None:
    prices = 100 + np.random.default_rng(3).normal(0, 0.01, 300).round(2)
    prices[150:] += 30.0
    assert not outlier_prints(prices, 0, 300).any()
    still = np.full(300, 100.0)
    still[100] = 100.1
    assert not outlier_prints(still, 0, 300).any()
    still[100] = 100.3
    assert np.flatnonzero(outlier_prints(still, 0, 300)).tolist() == [100]


def test_the_known_bad_prints_of_a_thin_market_are_found(market_data: Path) -> None:
    trades = pl.read_csv(market_data / "pyalgotrade" / "bitstampUSD.csv", has_header=False, new_columns=["t", "p", "q"])
    month = trades.filter(pl.from_epoch("t").dt.strftime("%Y-%m") == "2011-11")
    found = month.filter(pl.Series(outlier_prints(month["p"].to_numpy(), 0, len(month))))
    assert found["p"].to_list() == [15.0, 15.0]
