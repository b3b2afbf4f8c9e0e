"""Outlier prints are the same for every cut of the rows."""

from itertools import pairwise

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from kernels import outlier_prints
from pipelines.prints import PrintJudge
from tests.kernels.test_prints import walk


@given(rows=st.integers(1, 1500), seed=st.integers(0, 1000), data=st.data())
def test_the_verdict_is_the_same_for_every_cut(rows: int, seed: int, data: st.DataObject) -> None:
    prices = walk(rows, seed, tick=0.0001, spread=0.0005)
    edges = [0, *sorted(data.draw(st.lists(st.integers(0, rows), max_size=8))), rows]
    judge = PrintJudge()
    given = [judge.take(pl.DataFrame({"price": prices[first:stop]})) for first, stop in pairwise(edges)]
    pieces = [piece for judged in (*given, judge.rest()) for piece in judged]
    assert np.concatenate([part["price"].to_numpy() for part, _ in pieces]).tolist() == prices.tolist()
    assert np.concatenate([found for _, found in pieces]).tolist() == outlier_prints(prices).tolist()
    assert judge.rest() == []
