"""Batches hold the right windows in an order that seed and epoch alone decide."""

import numpy as np
import tensorflow as tf

from pipelines.dataset import epoch_order, steps_per_epoch, window_dataset
from pipelines.panel import WindowSet

LOOKBACK = 3


def window_set(windows: int = 10) -> WindowSet:
    rows = windows + LOOKBACK - 1
    matrix = np.arange(rows * 2, dtype=np.float32).reshape(rows, 2)
    starts = np.arange(windows, dtype=np.int64)
    return WindowSet(matrix, starts, starts.astype(np.float32), LOOKBACK)


def collect(dataset: tf.data.Dataset) -> tuple[np.ndarray, np.ndarray]:
    batches = list(dataset.as_numpy_iterator())
    return np.concatenate([inputs for inputs, _ in batches]), np.concatenate([targets for _, targets in batches])[:, 0]


def test_element_spec_and_cardinality_are_stated() -> None:
    dataset = window_dataset(window_set(), batch_size=4, seed=1, epochs=3)
    assert dataset.element_spec == (
        tf.TensorSpec((None, LOOKBACK, 2), tf.float32),
        tf.TensorSpec((None, 1), tf.float32),
    )
    assert dataset.cardinality().numpy() == 3 * steps_per_epoch(10, 4) == 9


def test_each_epoch_holds_every_window_once_with_its_target() -> None:
    windows = window_set()
    inputs, targets = collect(window_dataset(windows, batch_size=4, seed=1, epochs=2))
    for epoch in range(2):
        order = epoch_order(10, 1, epoch)
        assert sorted(order) == list(range(10))
        assert targets[epoch * 10 : epoch * 10 + 10].tolist() == order.tolist()
    expected = windows.matrix[targets.astype(int)[:, None] + np.arange(LOOKBACK)]
    np.testing.assert_array_equal(inputs, expected)


def test_order_depends_on_seed_and_epoch_alone() -> None:
    assert epoch_order(50, 7, 2).tolist() == epoch_order(50, 7, 2).tolist()
    assert epoch_order(50, 7, 2).tolist() != epoch_order(50, 7, 3).tolist()
    assert epoch_order(50, 7, 2).tolist() != epoch_order(50, 8, 2).tolist()


def test_without_a_seed_windows_come_in_order_each_time() -> None:
    dataset = window_dataset(window_set(), batch_size=3, seed=None)
    assert collect(dataset)[1].tolist() == collect(dataset)[1].tolist() == list(range(10))


def test_gathered_windows_follow_their_starts() -> None:
    windows = window_set()
    chosen = WindowSet(windows.matrix, np.array([7, 0]), np.array([70.0, 0.0], np.float32), LOOKBACK)
    inputs, targets = collect(window_dataset(chosen, batch_size=8, seed=None))
    assert inputs[:, 0, 0].tolist() == [14.0, 0.0]
    assert targets.tolist() == [70.0, 0.0]
