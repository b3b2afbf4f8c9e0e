"""The encoding's table: the writers' files hold the same rows, and every cell is measured."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks import encoding
from benchmarks.engine_speed import market


@pytest.fixture(scope="module")
def rows() -> encoding.Rows:
    return encoding.Rows(market(3000))


@pytest.mark.parametrize("codec", encoding.CODECS)
def test_the_writers_write_the_same_rows(rows: encoding.Rows, codec: str, tmp_path: Path) -> None:
    with open(tmp_path / "ours", "wb") as file:
        rows.ours(file, codec, 1000)
    rows.by_pyarrow(tmp_path / "pyarrow", codec, 1000)
    rows.by_polars(tmp_path / "Polars", codec, 1000)
    expected = np.stack([column for name, column in rows.columns.items() if name != "timestamp"], axis=1)
    for path in tmp_path.iterdir():
        matrix = np.zeros_like(expected)
        encoding.read_matrix(path, matrix)
        np.testing.assert_array_equal(matrix, expected)
        stamps = pq.read_table(path)["timestamp"].cast("int64").to_numpy()
        np.testing.assert_array_equal(stamps, rows.columns["timestamp"])
    chunks = [pq.ParquetFile(tmp_path / name).metadata.row_group(0).column(2) for name in ("ours", "pyarrow")]
    assert chunks[0].compression == chunks[1].compression
    assert chunks[0].encodings[0] in chunks[1].encodings


def test_every_cell_is_measured(rows: encoding.Rows) -> None:
    figures = encoding.measured(rows, (1024,), rounds=2)
    assert len(figures) == 3 * len(encoding.CODECS) + 6
    for name, values in figures.items():
        assert tuple(values) == encoding.COLUMNS, name
        assert min(values.values()) > 0, name


def test_recorded_ticks_become_rows(market_data: Path) -> None:
    found = encoding.recorded(market_data)
    assert set(found) == set(encoding.RECORDED)
    assert all(len(rows) > 10_000 for rows in found.values())
