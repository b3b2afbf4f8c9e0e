"""Sums of input: the same in whatever pieces the rows come, another one when a row is."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines import sums
from pipelines.sums import InputSums


def columns(rows: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(rows)
    return {"timestamp": np.arange(rows) * 10**9, "price": rng.normal(size=rows), "volume": np.ones(rows)}


def summed(rows: dict[str, np.ndarray], cuts: list[int]) -> list[str]:
    found, of = [], InputSums()
    for start, stop in zip([0, *cuts], [*cuts, len(rows["timestamp"])], strict=True):
        found += of.take({name: column[start:stop] for name, column in rows.items()})
    return found + of.rest()


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums, "SUMMED_ROWS", 16)


@pytest.mark.usefixtures("few")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.integers(0, 100), data=st.data())
def test_pieces_do_not_matter(rows: int, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, rows), max_size=9)))
    found = summed(columns(rows), cuts)
    assert found == summed(columns(rows), [])
    assert len(found) == -(-rows // 16)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("row", [0, 15, 16, 49])
@pytest.mark.parametrize("name", ["timestamp", "price", "volume"])
def test_one_bit_changes_the_sum_of_its_rows_alone(row: int, name: str) -> None:
    rows = columns(50)
    before = summed(rows, [])
    rows[name].view(np.uint64)[row] ^= np.uint64(1)
    differs = [one != other for one, other in zip(before, summed(rows, []), strict=True)]
    assert differs == [part == row // 16 for part in range(4)]


def test_columns_that_change_places_are_another_sum() -> None:
    rows = columns(50)
    other = {**rows, "price": rows["volume"], "volume": rows["price"]}
    assert summed(rows, []) != summed(other, [])
