"""The benchmark of loaders: every contender gives windows with their targets, and a store holds the rows beside it."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.train import contenders, memory, store, whole
from benchmarks.train.contenders import CONTENDERS, TORCH, Contender
from benchmarks.train.rows import FEATURES, LOOKBACK, Rows

BATCH = 8


@pytest.fixture(scope="module")
def rows() -> Rows:
    return Rows.made(500)


@pytest.mark.parametrize("contender", CONTENDERS, ids=lambda each: each.name)
def test_every_contender_gives_windows_with_their_targets(contender: Contender, rows: Rows) -> None:
    if contender.name == TORCH:
        pytest.importorskip("torch")
    stream = contender.make(rows, BATCH)()
    for _ in range(3):
        inputs, targets, *_ = (np.array(part) for part in next(stream) if part is not None)
        assert inputs.shape == (BATCH, LOOKBACK, FEATURES)
        starts = [int(np.flatnonzero(rows.matrix[:, 0] == window[0, 0])[0]) for window in inputs]
        np.testing.assert_array_equal(inputs, rows.matrix[np.array(starts)[:, None] + np.arange(LOOKBACK)])
        np.testing.assert_array_equal(targets.ravel(), rows.targets[np.array(starts) + LOOKBACK - 1, 0])
        assert starts != sorted(starts)


def test_the_store_holds_the_rows_beside_it_and_a_pass_all_windows(tmp_path: Path) -> None:
    loader = store.loader(tmp_path, 3000, "lz4", 64)
    matrix = np.fromfile(store.folder(tmp_path, 3000, "lz4") / "rows.f32", np.float32).reshape(-1, FEATURES)
    targets = np.fromfile(store.folder(tmp_path, 3000, "lz4") / "targets.f32", np.float32)
    for inputs, outputs, _ in loader.batches():
        starts = [int(np.flatnonzero(matrix[:, 0] == window[0, 0])[0]) for window in inputs]
        np.testing.assert_array_equal(inputs, matrix[np.array(starts)[:, None] + np.arange(LOOKBACK)])
        np.testing.assert_array_equal(outputs[:, 0], targets[np.array(starts) + LOOKBACK - 1])
    once = contenders.epochs_of(loader)
    assert once() == once() == len(loader.windows) == 3000 - LOOKBACK


def test_memory_is_measured_over_two_passes(tmp_path: Path) -> None:
    found = memory.measured(tmp_path, 3000, "none", 2, 0)
    assert found["windows"] == 2 * (3000 - LOOKBACK)
    assert found["seen"] == 2 * found["windows"]
    assert found["peak"] >= found["begin"] > 0


def test_memory_of_a_whole_training_is_measured_where_its_rows_are(tmp_path: Path) -> None:
    found = {placement: whole.measured(tmp_path, 20_000, placement) for placement in ("streamed", "memory")}
    assert [each["streamed"] for each in found.values()] == [1.0, 0.0]
    for each in found.values():
        assert each["rows"] == 20_000
        assert each["peak"] >= each["begin"] > 0
        assert each["matrix"] == pytest.approx(20_000 * 17 * 4 / 2**20)
