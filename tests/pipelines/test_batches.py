"""Batches hold the right windows, each once an epoch, in an order that seed, epoch and step alone decide."""

import random
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels import permutation
from pipelines.batches import Batch, Metered, WindowLoader
from pipelines.errors import DataError
from pipelines.panel import WindowSet
from pipelines.window_runs import WindowRuns
from tests.pipelines.window_sets import LOOKBACK, starts_of, window_set


def loader(windows: WindowSet | None = None, batch_size: int = 4, **settings: object) -> WindowLoader:
    return WindowLoader(window_set() if windows is None else windows, batch_size=batch_size, **{"seed": 1, **settings})  # type: ignore[arg-type]


def copied(batches: Iterator[Batch]) -> list[tuple[np.ndarray, ...]]:
    return [tuple(array.copy() for array in batch if array is not None) for batch in batches]


def assert_same(ours: list[tuple[np.ndarray, ...]], expected: list[tuple[np.ndarray, ...]]) -> None:
    assert len(ours) == len(expected)
    for one, other in zip(ours, expected, strict=True):
        for array, wanted in zip(one, other, strict=True):
            np.testing.assert_array_equal(array, wanted)


@given(count=st.integers(1, 70), batch_size=st.integers(1, 70), epochs=st.integers(1, 3), drop=st.booleans())
def test_each_epoch_holds_every_window_once(count: int, batch_size: int, epochs: int, drop: bool) -> None:
    batch_size = min(batch_size, count)
    windows = loader(window_set(count), batch_size, drop_remainder=drop)
    batches = copied(windows.batches(epochs=epochs))
    assert len(batches) == epochs * windows.steps_per_epoch
    kept = count - count % batch_size if drop else count
    for epoch in range(epochs):
        part = batches[epoch * windows.steps_per_epoch : (epoch + 1) * windows.steps_per_epoch]
        targets = np.concatenate([targets for _, targets in part])
        assert starts_of(targets) == permutation(count, seed=1, epoch=epoch)[:kept].tolist()
        assert {len(targets) for _, targets in part[:-1]} <= {batch_size}


def test_inputs_targets_and_weights_are_of_one_window() -> None:
    windows = window_set(50, features=17, dim=3, weighted=True)
    for inputs, targets, weights in loader(windows, 7).batches():
        starts = np.array(starts_of(targets))
        np.testing.assert_array_equal(inputs, windows.matrix[starts[:, None] + np.arange(LOOKBACK)])
        np.testing.assert_array_equal(targets, windows.targets[starts + LOOKBACK - 1])
        assert weights is not None
        np.testing.assert_array_equal(weights, (starts + LOOKBACK - 1) / 2)


@given(count=st.integers(1, 60), batch_size=st.integers(1, 12), drop=st.booleans(), data=st.data())
def test_a_run_goes_on_at_any_step_with_the_same_batches(
    count: int, batch_size: int, drop: bool, data: st.DataObject
) -> None:
    windows = loader(window_set(count, weighted=True), min(batch_size, count), drop_remainder=drop)
    everything = copied(windows.batches(epochs=3))
    epoch = data.draw(st.integers(0, 3))
    step = data.draw(st.integers(0, windows.steps_per_epoch))
    rest = copied(windows.batches(epochs=3, epoch=epoch, step=step))
    assert_same(rest, everything[epoch * windows.steps_per_epoch + step :])


def test_epochs_and_seeds_differ_and_loaders_of_one_seed_do_not() -> None:
    windows = window_set(40)
    orders = [
        [starts_of(targets) for _, targets in copied(loader(windows, seed=seed).batches(epochs=epoch + 1, epoch=epoch))]
        for seed in (1, 2)
        for epoch in (0, 1)
    ]
    assert all(one != other for number, one in enumerate(orders) for other in orders[:number])
    assert_same(copied(loader(windows).batches()), copied(loader(windows).batches()))


def test_without_a_seed_windows_come_in_order_each_time() -> None:
    batches = copied(loader(seed=None, batch_size=3).batches(epochs=2))
    assert [start for _, targets in batches for start in starts_of(targets)] == [*range(10), *range(10)]


def test_windows_come_by_the_runs_they_are_in() -> None:
    whole = window_set()
    chosen = WindowSet(whole.matrix, WindowRuns.of_starts(np.array([7, 0, 1])), whole.targets, LOOKBACK)
    ((_, targets),) = copied(loader(chosen, 3, seed=None).batches())
    assert starts_of(targets) == [7, 0, 1]


def test_memory_is_used_again_as_soon_as_a_batch_is_let_go() -> None:
    windows = loader(window_set(1000), 10)
    places = {batch.inputs.ctypes.data for batch in windows.batches(epochs=3)}
    assert len(places) == windows.buffers == 2  # the one held and the one being made


def test_a_batch_stays_what_it_was_for_as_long_as_any_part_of_it_is_held() -> None:
    """Whatever is kept, for however long: views of views, rows of them, targets without inputs."""
    windows = loader(window_set(400, features=5, weighted=True), 8)
    expected = copied(windows.batches(epochs=20))
    chance = random.Random(3)
    held: list[tuple[int, int, slice, np.ndarray]] = []
    for number, batch in enumerate(windows.batches(epochs=20)):
        for part, array in enumerate(batch):
            if array is not None and chance.random() < 0.4:
                rows = slice(chance.randrange(4), 8)
                held.append((number, part, rows, array[rows].view()[:]))
        del batch, array
        chance.shuffle(held)
        while len(held) > 30 or (held and chance.random() < 0.3):
            number, part, rows, view = held.pop()
            np.testing.assert_array_equal(view, expected[number][part][rows])
            del view
    for number, part, rows, view in held:
        np.testing.assert_array_equal(view, expected[number][part][rows])
    assert 2 < windows.buffers < 40


def test_threads_that_share_a_loader_do_not_share_memory() -> None:
    windows = loader(window_set(500, features=7), 5)
    expected = [copied(windows.batches(epochs=epoch + 1, epoch=epoch)) for epoch in range(8)]

    def is_right(epoch: int) -> bool:
        kept: deque[tuple[Batch, tuple[np.ndarray, ...]]] = deque()
        right = True
        for pair in zip(windows.batches(epochs=epoch + 1, epoch=epoch), expected[epoch], strict=True):
            kept.append(pair)
            if len(kept) == 3:
                batch, wanted = kept.popleft()
                right &= np.array_equal(batch.inputs, wanted[0])
        return right

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(is_right, [*range(8)] * 4))


@pytest.mark.parametrize(
    ("windows", "settings", "message"),
    [
        (0, {}, "loader: no window, expected at least one: use more data or a shorter windows.lookback"),
        (10, {"batch_size": 0}, "loader: a batch of 0 windows, expected at least 1"),
        (10, {"batch_size": 11}, "a batch of 11 windows, expected at most the 10 there are to train on: lower train"),
        (10, {"batch_size": 11, "seed": None, "drop_remainder": True}, "a batch of 11 windows, expected at most"),
    ],
)
def test_bad_settings_are_named(windows: int, settings: dict[str, object], message: str) -> None:
    chosen = window_set()
    chosen = WindowSet(chosen.matrix, WindowRuns.of_starts(np.arange(windows)), chosen.targets, LOOKBACK)
    with pytest.raises(DataError, match=message):
        loader(chosen, **settings)  # type: ignore[arg-type]


def test_a_validation_part_may_be_smaller_than_a_batch() -> None:
    assert len(copied(loader(batch_size=64, seed=None).batches())[0][0]) == 10


@pytest.mark.parametrize("position", [{"step": 4}, {"step": -1}, {"epoch": 3}, {"epoch": -1}])
def test_a_position_of_another_run_is_refused(position: dict[str, int]) -> None:
    with pytest.raises(DataError, match=r"expected steps 0 to 3 of epochs 0 to 2: the position is of another run"):
        loader().batches(epochs=2, **position)


def test_what_is_handed_over_for_a_window_is_stated() -> None:
    assert loader(window_set(features=16)).bytes_per_window == 4 * (LOOKBACK * 16 + 1)
    assert loader(window_set(dim=2, weighted=True)).bytes_per_window == 4 * (LOOKBACK * 2 + 2 + 1)


def test_the_share_of_time_that_is_spent_waiting_is_metered() -> None:
    now = 0.0

    def slow(batches: Iterator[Batch]) -> Iterator[Batch]:
        nonlocal now
        for batch in batches:
            now += 1.0
            yield batch

    metered = Metered(slow(loader().batches()), lambda: now)
    assert metered.wait_share == 0.0
    for _ in metered:
        now += 3.0
    assert (metered.waited, metered.worked) == (3.0, 9.0)
    assert metered.wait_share == 0.25


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"matrix": np.zeros((12, 2))}, r"matrix: expected C-contiguous \(12, 2\) float32, received \(12, 2\) float64"),
        ({"targets": np.zeros((11, 1), np.float32)}, r"targets: expected C-contiguous \(12, 1\) float32"),
        ({"weights": np.zeros((12, 1), np.float32)}, r"weights: expected C-contiguous \(12,\) float32"),
        ({"lookback": 4}, "runs: expected windows of 4 rows, at least 1, within the 12 rows"),
        ({"lookback": 0}, "runs: expected windows of 0 rows, at least 1"),
        ({"runs": WindowRuns.of_starts(np.array([-1]))}, "runs: expected windows of 3 rows"),
    ],
)
def test_sets_that_do_not_fit_are_refused(changed: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WindowSet(**{**vars(window_set()), **changed})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("array", "row", "column", "value", "message"),
    [
        ("matrix", 4, 1, np.nan, r"windows: rsi of row four is nan, expected a finite number: drop the feature"),
        ("matrix", 11, 0, -np.inf, r"windows: ret of row 11 is -inf, expected"),
        ("targets", 4, 0, np.inf, r"windows: target 0 of row four is inf, expected"),
    ],
)
def test_values_that_are_not_finite_are_named(array: str, row: int, column: int, value: float, message: str) -> None:
    windows = window_set()
    getattr(windows, array)[row, column] = value
    with pytest.raises(DataError, match=message):
        windows.require_finite(["ret", "rsi"], lambda row: "row four" if row == 4 else f"row {row}")


def test_what_no_window_holds_may_be_missing() -> None:
    whole = window_set()
    whole.matrix[[0, 6, 11]] = np.nan
    whole.targets[:3] = np.nan
    kept = WindowSet(whole.matrix, WindowRuns.of_starts(np.array([1, 2, 3, 7, 8])), whole.targets, LOOKBACK)
    kept.require_finite(["ret", "rsi"], str)
