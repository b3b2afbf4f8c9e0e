"""Row groups under way: rows in any cut come out as they went in, in memory that is used again."""

import numpy as np
import pytest

from pipelines import gathering
from pipelines.gathering import Gathering, Gatherings

DTYPES = {"timestamp": np.dtype(np.int64), "close": np.dtype(np.float64)}


def gather(group: Gathering, rows: range, cut: int) -> None:
    for start in range(rows.start, rows.stop, cut):
        part = np.arange(start, min(start + cut, rows.stop))
        out = group.add({"timestamp": part, "close": part / 2}, len(part))
        out[0], out[1] = part, -part


@pytest.mark.parametrize("cut", [1, 3, 10])
def test_rows_come_out_as_they_went_in_however_much_room_there_was(monkeypatch: pytest.MonkeyPatch, cut: int) -> None:
    monkeypatch.setattr(gathering, "_FIRST_ROWS", 4)
    group = Gathering(DTYPES, ["up", "down"], 10)
    gather(group, range(10), cut)
    assert group.is_full
    filled = group.filled
    assert {name: column.dtype for name, column in filled.items()} == DTYPES | dict.fromkeys(["up", "down"], np.float32)
    expected = np.arange(10)
    for name, column in {"timestamp": expected, "close": expected / 2, "up": expected, "down": -expected}.items():
        np.testing.assert_array_equal(filled[name], column)


def test_no_more_rows_fit_than_a_row_group_has() -> None:
    group = Gathering(DTYPES, ["up", "down"], 10)
    gather(group, range(7), 7)
    assert (group.room(2), group.room(20), group.is_full) == (2, 3, False)


def test_what_was_given_back_is_used_again_and_is_empty() -> None:
    groups = Gatherings(DTYPES, ["up", "down"], 5)
    first, other = groups.take(), groups.take()
    gather(first, range(5), 5)
    memory = first.filled["up"]
    groups.give_back(first)
    again = groups.take()
    assert again.rows == 0
    gather(again, range(3), 2)
    assert np.shares_memory(again.filled["up"], memory)
    assert not np.shares_memory(other.filled["up"], memory)
    assert len(again.filled["up"]) == 3
