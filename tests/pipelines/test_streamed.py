"""Windows that are streamed from a store are those in memory, to the bit; each once an epoch, from any step on."""

import threading
from pathlib import Path

import numpy as np
import pytest

from pipelines.batches import WindowLoader
from pipelines.errors import DataError
from pipelines.labels import label_rows
from pipelines.panel import WindowSet, load_panel, panel_windows
from pipelines.row_groups import StoredRows
from pipelines.scaling import Scaler
from pipelines.scan import scan
from pipelines.splits import covered_rows
from pipelines.streamed import StreamedWindows, is_streamed, memory_needed
from pipelines.window_runs import WindowRuns
from tests.pipelines.row_stores import FEATURES, gapped_store

LOOKBACK, HORIZON = 5, 3
SCALER = Scaler("standard", tuple(FEATURES), np.array([0.1, 47.3]), np.array([0.7, 13.1]), None, 1)


def targets(close: np.ndarray) -> np.ndarray:
    """Of two horizons."""
    ahead = [label_rows(close, "regression", horizon=horizon) for horizon in (1, HORIZON)]
    return np.column_stack(ahead).astype(np.float32)


class World:
    """A store, and the same windows streamed and in memory."""

    def __init__(self, folder: Path, group: int = 7, run_rows: int = 20, weighted: bool = False) -> None:
        self.store = gapped_store(folder, group=group)
        panel = load_panel(self.store, FEATURES)
        starts, _ = panel_windows(panel, lookback=LOOKBACK, horizon=HORIZON, max_gap_ns=None)
        weights = np.arange(len(panel.matrix), dtype=np.float32) if weighted else None
        matrix = SCALER.transform(panel.matrix)
        self.memory = WindowSet(matrix, WindowRuns.of_starts(starts), targets(panel.close), LOOKBACK, weights)
        self.rows = StoredRows(self.store, FEATURES)
        self.streamed = StreamedWindows(
            self.rows,
            scan(self.rows, max_gap_ns=None).windows(LOOKBACK, HORIZON),
            lookback=LOOKBACK,
            horizon=HORIZON,
            scaler=SCALER,
            targets=targets,
            weights=weights,
            run_rows=run_rows,
        )


Batches = list[tuple[np.ndarray, ...]]


def copied(loader: WindowLoader, **position: int) -> Batches:
    return [tuple(part.copy() for part in batch if part is not None) for batch in loader.batches(**position)]


def sorted_windows(batches: Batches) -> list[bytes]:
    parts = [np.concatenate([batch[part] for batch in batches]) for part in range(len(batches[0]))]
    return sorted(b"".join(part[row].tobytes() for part in parts) for row in range(len(parts[0])))


def assert_same(ours: Batches, expected: Batches) -> None:
    assert len(ours) == len(expected)
    for one, other in zip(ours, expected, strict=True):
        for array, wanted in zip(one, other, strict=True):
            np.testing.assert_array_equal(array, wanted)


@pytest.mark.parametrize("group", [1, 2, 7, 50, 1000])
@pytest.mark.parametrize(("run_rows", "weighted"), [(1, False), (20, True), (10**6, False)])
def test_each_epoch_holds_every_window_once_with_the_bits_of_memory(
    tmp_path_factory: pytest.TempPathFactory, group: int, run_rows: int, weighted: bool
) -> None:
    world = World(tmp_path_factory.getbasetemp() / f"groups of {group}", group, run_rows, weighted)
    in_order = copied(WindowLoader(world.memory, batch_size=16, seed=None))
    assert_same(copied(WindowLoader(world.streamed, batch_size=16, seed=None)), in_order)
    loader = WindowLoader(world.streamed, batch_size=16, seed=3)
    batches = copied(loader, epochs=2)
    first, second = batches[: loader.steps_per_epoch], batches[loader.steps_per_epoch :]
    assert [len(inputs) for inputs, *_ in first[:-1]] == [16] * (loader.steps_per_epoch - 1)  # tails are carried over
    assert sorted_windows(first) == sorted_windows(second) == sorted_windows(in_order)
    assert first[0][0].tobytes() != second[0][0].tobytes()


@pytest.mark.parametrize("drop", [False, True])
def test_a_run_goes_on_at_any_step_with_the_same_batches(tmp_path: Path, drop: bool) -> None:
    streamed = World(tmp_path).streamed
    loader = WindowLoader(streamed, batch_size=10, seed=3, drop_remainder=drop)
    everything = copied(loader, epochs=2)
    for epoch in range(2):
        for step in range(loader.steps_per_epoch + 1):
            rest = copied(loader, epochs=2, epoch=epoch, step=step)
            assert_same(rest, everything[epoch * loader.steps_per_epoch + step :])


def test_what_lies_before_a_step_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path, run_rows=7)
    loader = WindowLoader(world.streamed, batch_size=8, seed=3)
    read: list[int] = []
    blocks = StoredRows.blocks

    def noted(self: StoredRows, begin: int, end: int, columns: list[str]) -> object:
        read.append(begin)
        return blocks(self, begin, end, columns)

    monkeypatch.setattr(StoredRows, "blocks", noted)
    copied(loader)
    everything = len(read)
    read.clear()
    copied(loader, step=loader.steps_per_epoch - 1)
    assert len(read) <= 3 < everything / 4


def test_rows_that_follow_a_run_are_decoded_for_it_once_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    loader = WindowLoader(world.streamed, batch_size=8, seed=3)
    decoded: list[int] = []
    read = StoredRows._read

    def noted(self: StoredRows, group: object, columns: list[str]) -> object:
        decoded.append(group.first)  # type: ignore[attr-defined]
        return read(self, group, columns)  # type: ignore[arg-type]

    monkeypatch.setattr(StoredRows, "_read", noted)
    copied(loader)
    decoded.clear()
    copied(loader, epochs=2, epoch=1)
    assert sorted(decoded) == sorted(set(decoded))


def test_few_runs_are_in_memory_and_a_held_batch_stays_what_it_was(tmp_path: Path) -> None:
    world = World(tmp_path, run_rows=50)  # of which each has more windows than a batch
    loader = WindowLoader(world.streamed, batch_size=4, seed=3)
    expected = copied(loader, epochs=6)
    held = list(loader.batches(epochs=6))
    assert_same([tuple(part for part in batch if part is not None) for batch in held], expected)
    assert len(world.streamed._pool) <= 2


def test_a_reader_that_stops_early_leaves_no_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    batches = WindowLoader(World(tmp_path).streamed, batch_size=8, seed=3).batches(epochs=3)
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_a_value_that_is_not_finite_once_scaled_is_named(tmp_path: Path) -> None:
    world = World(tmp_path)
    tiny = Scaler("standard", tuple(FEATURES), np.zeros(2), np.array([1.0, 1e-38]), None, 1)
    streamed = StreamedWindows(
        world.rows, world.memory.runs, lookback=LOOKBACK, horizon=HORIZON, scaler=tiny, targets=targets
    )
    streamed.require_finite(FEATURES, str)
    with pytest.raises(DataError, match=r"rsi_wilder_5 of AAA at 2024-01-01T00:00:05Z is inf, expected a finite num"):
        copied(WindowLoader(streamed, batch_size=8, seed=None))


def test_a_file_that_vanishes_while_it_is_streamed_is_named(tmp_path: Path) -> None:
    world = World(tmp_path)
    next((tmp_path / "store" / "symbol=DDD").rglob("*.parquet")).unlink()
    with pytest.raises(DataError, match="missing; rebuild the store"):
        copied(WindowLoader(world.streamed, batch_size=8, seed=1))


def test_windows_are_streamed_where_their_rows_exceed_the_budget(tmp_path: Path) -> None:
    store = gapped_store(tmp_path)
    needed = memory_needed(store, 2)
    assert needed == len(StoredRows(store, FEATURES)) * (2 * 24 + 64)
    assert not is_streamed(store, FEATURES, budget=needed)
    assert is_streamed(store, FEATURES, budget=needed - 1)
    assert is_streamed(store, FEATURES, budget=needed, placement="streamed")
    assert not is_streamed(store, FEATURES, budget=0, placement="memory")


@pytest.mark.parametrize("group", [1, 7, 1000])
def test_a_scaler_sees_the_rows_of_windows_once(tmp_path: Path, group: int) -> None:
    world = World(tmp_path, group)
    starts = world.memory.runs.starts()[10:-40]
    rows = covered_rows(starts, LOOKBACK, len(world.rows))
    panel = load_panel(world.store, FEATURES)
    blocks = list(world.rows.held_by(WindowRuns.of_starts(starts), LOOKBACK, FEATURES))
    np.testing.assert_array_equal(np.concatenate(blocks), panel.matrix[rows])
    fitted = Scaler.fit_blocks(blocks, FEATURES)
    expected = Scaler.fit(panel.matrix[rows], FEATURES)
    assert fitted.samples == expected.samples
    for name in ("center", "scale", "variance"):
        np.testing.assert_allclose(getattr(fitted, name), getattr(expected, name), rtol=1e-12)


def test_a_scaler_of_no_rows_is_refused() -> None:
    with pytest.raises(DataError, match="scaler: no training rows"):
        Scaler.fit_blocks([], FEATURES)
