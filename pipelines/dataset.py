"""Batches of windows as tensors and as a `tf.data.Dataset`. The one file of the data layer that needs TensorFlow."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from kernels.memory import is_aligned
from pipelines.batches import Batch, WindowLoader

PREFETCHED_BATCHES = 2
_OPEN = 4  # iterators of one dataset that go on without a new beginning: of training, and of what looks on

Tensors = tuple["tf.Tensor", ...]  # inputs, targets and, where there are weights, these


def shared_tensor(array: np.ndarray) -> "tf.Tensor":
    """A tensor of the same memory, on the CPU, that holds the array until it is gone itself.

    Raises:
        ValueError: it does not begin at a multiple of 64 bytes, or is not C-contiguous and writable. TensorFlow would
            end the process at the first operation on it, without an exception.
    """
    if not (is_aligned(array) and array.flags.c_contiguous and array.flags.writeable):
        raise ValueError(
            f"tensor: expected a C-contiguous, writable array at a multiple of 64 bytes, received one at address "
            f"{array.ctypes.data} with strides {array.strides}: allocate it by kernels.memory.aligned_empty"
        )
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())


def tensors(batches: Iterator[Batch]) -> Iterator[Tensors]:
    """The batches without a copy, for a training step of our own."""
    for batch in batches:
        made = _tensors(batch)
        del batch  # the tensors hold its memory now, and nobody else
        yield made
        del made


def _tensors(batch: Batch) -> Tensors:
    return tuple(shared_tensor(array) for array in batch if array is not None)


def element_spec(loader: WindowLoader) -> "tuple[tf.TensorSpec, ...]":
    """(batch, lookback, features), (batch, target_dim) and, where there are weights, (batch,): all float32.

    The batch is stated where every one has the same size.
    """
    windows = loader.windows
    is_short = not loader.drop_remainder and len(windows) % loader.batch_size
    size = None if is_short else loader.batch_size
    shapes: list[tuple[int | None, ...]] = [(size, windows.lookback, windows.features), (size, windows.target_dim)]
    return tuple(tf.TensorSpec(shape, tf.float32) for shape in [*shapes, *([(size,)] if windows.weighted else [])])


def window_dataset(loader: WindowLoader, *, epochs: int = 1, epoch: int = 0, step: int = 0) -> "tf.data.Dataset":
    """The batches that `loader.batches` gives for the same arguments, two of them made ahead.

    Returns:
        Elements as `element_spec` says; its cardinality is known, because Keras trains an empty step at the end of a
        distributed epoch of unknown length.

    Raises:
        DataError: there is no such step.
    """
    loader.check_position(epochs, epoch, step)
    spec = element_spec(loader)
    cursors = _Cursors(loader, epochs)

    def at(position: "tf.Tensor") -> Tensors:
        # An eager call that shares memory: a generator of arrays copies each and takes 1.2 times as long at batches of
        # 1024, `tf.gather` on the matrix 1.9 times; a map that captures the matrix copies it into the graph.
        made = tf.py_function(cursors.at, [position], [part.dtype for part in spec])
        for tensor, part in zip(made, spec, strict=True):
            tensor.set_shape(part.shape)
        return tuple(made)

    first = epoch * loader.steps_per_epoch + step
    dataset = tf.data.Dataset.range(first, epochs * loader.steps_per_epoch).map(at)
    # One worker feeds all devices: the rewrite that shards over workers would drop the stated cardinality.
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return dataset.with_options(options).prefetch(PREFETCHED_BATCHES)


class _Cursors:
    """Iterators of a loader by the step they give next: whoever asks for the steps in turn is served by one of them."""

    def __init__(self, loader: WindowLoader, epochs: int) -> None:
        self._loader, self._epochs = loader, epochs
        self._waiting: OrderedDict[int, Iterator[Batch]] = OrderedDict()

    def at(self, position: Any) -> Tensors:
        """The batch of a step, counted from the first of epoch 0."""
        number = int(position)
        batches = self._waiting.pop(number, None)
        if batches is None:
            epoch, step = divmod(number, self._loader.steps_per_epoch)
            batches = self._loader.batches(epochs=self._epochs, epoch=epoch, step=step)
        made = _tensors(next(batches))
        self._waiting[number + 1] = batches
        if len(self._waiting) > _OPEN:
            self._waiting.popitem(last=False)
        return made
