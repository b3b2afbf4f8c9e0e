"""Columns in files give back what was put there, as arrays do."""

import errno
import gc
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import columns
from pipelines.columns import ScratchColumn, blocks_of
from pipelines.errors import DataError


@given(
    lengths=st.lists(st.integers(0, 40), max_size=5),
    dtype=st.sampled_from([np.int64, np.float64, np.float32]),
    data=st.data(),
)
def test_a_column_is_read_as_an_array_is(lengths: list[int], dtype: Any, data: st.DataObject) -> None:
    array = np.random.default_rng(0).normal(0.0, 1e9, sum(lengths)).astype(dtype)
    column = ScratchColumn(dtype, np.split(array, np.cumsum(lengths)[:-1]))
    assert len(column) == len(array)
    np.testing.assert_array_equal(column[:], array)
    begin, end = (data.draw(st.integers(-50, 250)) for _ in range(2))
    np.testing.assert_array_equal(column[begin:end], array[begin:end])
    rows = np.sort(np.array(data.draw(st.lists(st.integers(0, max(len(array) - 1, 0)), max_size=9)), np.int64))
    rows = rows[: len(rows) if len(array) else 0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "BLOCK_ROWS", 4)
        np.testing.assert_array_equal(column[rows], array[rows])
    assert [column[int(row)] for row in rows] == array[rows].tolist()
    assert column[rows].dtype == column[:].dtype == dtype


def test_rows_that_are_not_there_or_do_not_ascend_are_refused() -> None:
    column = ScratchColumn(np.int64, [np.arange(10)])
    for rows in (10, -1, np.array([3, 10])):
        with pytest.raises(IndexError, match=r"rows .* of 10"):
            column[rows]
    with pytest.raises(ValueError, match="rows: expected numbers that ascend"):
        column[np.array([3, 2])]


def test_threads_read_beside_one_that_adds_rows() -> None:
    column = ScratchColumn(np.int64, [np.arange(1000)])

    def read(begin: int) -> bool:
        return bool((column[begin : begin + 100] == np.arange(begin, begin + 100)).all())

    with ThreadPoolExecutor(4) as threads:
        found = [threads.submit(read, begin % 900) for begin in range(500)]
        for begin in range(1000, 3000, 20):
            column.append(np.arange(begin, begin + 20))
        assert all(one.result() for one in found)
    np.testing.assert_array_equal(column[:], np.arange(3000))


def open_files() -> int:
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files by /proc")
def test_a_file_has_no_name_and_goes_with_its_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = open_files()
    column = ScratchColumn(np.float64, [np.zeros(1000)])
    assert open_files() == before + 1
    assert not list(tmp_path.iterdir())
    del column
    assert open_files() == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_a_full_disk_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    full = open("/dev/full", "r+b", buffering=0)  # noqa: SIM115  its column closes it
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda buffering: full)
    said = rf"{tempfile.gettempdir()}: cannot hold columns .*: {os.strerror(errno.ENOSPC)}; free some space, or name"
    with pytest.raises(DataError, match=said):
        ScratchColumn(np.int64, [np.arange(10)])


def test_a_folder_that_cannot_be_written_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(DataError, match=rf"gone: cannot hold columns .*: {os.strerror(errno.ENOENT)}; .* by TMPDIR$"):
        ScratchColumn(np.int64)


def test_blocks_are_all_rows_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "BLOCK_ROWS", 4)
    assert list(blocks_of(9)) == [slice(0, 4), slice(4, 8), slice(8, 9)]
    assert list(blocks_of(0)) == []
