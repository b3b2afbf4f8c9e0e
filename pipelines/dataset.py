"""Batches of windows as tensors and as a `tf.data.Dataset`. The one file of the data layer that needs TensorFlow."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from kernels.memory import aligned, is_aligned
from pipelines.batches import Batch, Part, Piece, WindowLoader

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


class DeviceBatches:
    """The batches of a loader gathered on the devices that train: rows are sent once and stay, or a piece of them at a
    time; of a window only the number of its first row is sent with its batch.

    Attributes:
        loader: whose batches they are, to the bit. Where the rows are too many for a device its windows come in pieces
            (`slabs.SlabWindows`, `streamed.StreamedWindows`), two of which are on each device at most.
        devices: TensorFlow's names. windows: delivered so far. shipped: bytes sent for them, to all devices.
    """

    def __init__(self, loader: WindowLoader, devices: Sequence[str]) -> None:
        self.loader, self.devices = loader, list(devices)
        self.windows = self.shipped = 0
        self._resident: list[tuple[np.ndarray, list[Tensors]]] = []

    @property
    def bytes_per_window(self) -> float:
        """Sent so far for each window; compare `WindowLoader.bytes_per_window`."""
        return self.shipped / self.windows if self.windows else 0.0

    def batches(self, *, epochs: int = 1, epoch: int = 0, step: int = 0) -> Iterator[list[Tensors]]:
        """Each batch as one share for each device, in order and as even as can be; positions as `WindowLoader.batches`.

        Raises:
            DataError: there is no such step.
        """
        self.loader.check_position(epochs, epoch, step)
        return self._shares(self.loader.parts(epochs=epochs, epoch=epoch, step=step))

    def _shares(self, parts: Iterator[Part]) -> Iterator[list[Tensors]]:
        gathered: list[tuple[list[Tensors], np.ndarray]] = []
        for part in parts:
            gathered.append((self._placed(part.piece), part.piece.starts(part.begin, part.end)))
            size, is_last = part.size, part.is_last
            del part
            if is_last:
                self.windows += size
                yield [self._share(gathered, number, size) for number in range(len(self.devices))]
                gathered = []

    def _placed(self, piece: Piece) -> list[Tensors]:
        """The rows of a piece on each device."""
        for matrix, placed in self._resident:
            if matrix is piece.matrix:
                return placed
        arrays = [array for array in (piece.matrix, piece.targets, piece.weights) if array is not None]
        shared = [shared_tensor(aligned(array)) for array in arrays]
        placed = [tuple(_on(device, tensor) for tensor in shared) for device in self.devices]
        self.shipped += len(self.devices) * sum(array.nbytes for array in arrays)
        self._resident = [*self._resident[-1:], (piece.matrix, placed)]
        return placed

    def _share(self, gathered: list[tuple[list[Tensors], np.ndarray]], number: int, size: int) -> Tensors:
        """What one device gets of a batch: it gathers from every piece that the batch was taken from."""
        begin, end = (size * edge // len(self.devices) for edge in (number, number + 1))
        made: list[Tensors] = []
        at = 0
        for place, (placed, starts) in enumerate(gathered, start=1):
            chosen = starts[max(begin - at, 0) : max(end - at, 0)]
            at += len(starts)
            if len(chosen) or (not made and place == len(gathered)):  # a short batch may leave nothing for a device
                made.append(self._windows_at(placed, number, chosen))
        return made[0] if len(made) == 1 else tuple(tf.concat(tensors, axis=0) for tensors in zip(*made, strict=True))

    def _windows_at(self, placed: list[Tensors], number: int, starts: np.ndarray) -> Tensors:
        self.shipped += starts.nbytes
        with tf.device(self.devices[number]):
            # int64: TensorFlow adds int32 on the host even where they lie on a GPU
            return tuple(_gather(placed[number], tf.constant(starts, tf.int64), self.loader.windows.lookback))


def _on(device: str, tensor: "tf.Tensor") -> "tf.Tensor":
    with tf.device(device):
        return tf.identity(tensor)


@tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
def _gather(rows: Tensors, starts: "tf.Tensor", lookback: int) -> "list[tf.Tensor]":
    """The windows that begin at these rows; targets and weights are of their last rows."""
    matrix, *of_decisions = rows
    windows = tf.gather(matrix, starts[:, None] + tf.range(lookback, dtype=tf.int64))
    return [windows, *(tf.gather(values, starts + (lookback - 1)) for values in of_decisions)]
