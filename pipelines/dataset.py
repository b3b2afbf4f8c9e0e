"""Batches of windows as a `tf.data.Dataset`. The one file of the data layer that needs TensorFlow."""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from kernels.windows import gather_windows
from pipelines.panel import WindowSet

PREFETCHED_BATCHES = 2


def epoch_order(windows: int, seed: int, epoch: int) -> np.ndarray:
    """The permutation of an epoch, (windows,) int64; a function of its arguments, so that a run can resume."""
    return np.random.default_rng([seed, epoch]).permutation(windows)


def steps_per_epoch(windows: int, batch_size: int) -> int:
    """Batches that hold every window once; the last one may be short."""
    return -(-windows // batch_size)


def window_dataset(windows: WindowSet, *, batch_size: int, seed: int | None, epochs: int = 1) -> "tf.data.Dataset":
    """`epochs` passes over all windows, each shuffled by (seed, epoch), or in order when `seed` is None.

    Args:
        windows: at least one.
        batch_size: windows of a batch; of all devices together when training is distributed.

    Returns:
        Elements ((batch, lookback, features) float32, (batch, 1) float32); its cardinality is known,
        because Keras trains an empty step at the end of a distributed epoch of unknown length.
    """
    signature = (
        tf.TensorSpec((None, windows.lookback, windows.matrix.shape[1]), tf.float32),
        tf.TensorSpec((None, 1), tf.float32),
    )
    # A generator, not a map over indices: a map that captures the matrix copies it into the graph definition.
    dataset = tf.data.Dataset.from_generator(
        lambda: _batches(windows, batch_size, seed, epochs), output_signature=signature
    )
    batches = epochs * steps_per_epoch(len(windows.starts), batch_size)
    # One worker feeds all devices: the rewrite that shards over workers would drop the stated cardinality.
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    dataset = dataset.with_options(options)
    return dataset.apply(tf.data.experimental.assert_cardinality(batches)).prefetch(PREFETCHED_BATCHES)


def _batches(
    windows: WindowSet, batch_size: int, seed: int | None, epochs: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    count = len(windows.starts)
    for epoch in range(epochs):
        order = np.arange(count) if seed is None else epoch_order(count, seed, epoch)
        for begin in range(0, count, batch_size):
            chosen = order[begin : begin + batch_size]
            inputs = gather_windows(windows.matrix, windows.starts[chosen], windows.lookback)
            yield inputs, windows.targets[chosen, None]
