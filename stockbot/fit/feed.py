"""What each device of this process gets of each batch."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import tensorflow as tf

from pipelines.batches import WindowLoader
from pipelines.dataset import DeviceBatches, tensors
from stockbot.fit.devices import Devices

Share = "tuple[tf.Tensor, tf.Tensor, tf.Tensor]"


class Feed:
    """Batches as shares: inputs, targets and weights of each device's windows, as even as can be.

    On GPUs the rows lie on the devices, and of a window only its first row is sent: the same shares to the bit.

    Attributes:
        loader: of all windows, whatever number of devices shares them.
    """

    def __init__(self, loader: WindowLoader, devices: Devices, *, resident: bool | None = None) -> None:
        """
        Args:
            resident: whether rows lie on the devices; None where that pays.
        """
        self.loader, self._devices = loader, devices
        if resident is None:
            resident = devices.kind == "GPU" and devices.workers == 1
        self._resident = DeviceBatches(loader, devices.names) if resident else None
        self._ones: dict[int, tf.Tensor] = {}  # by size: to cut them anew takes 2 % of a step

    @property
    def bytes_per_window(self) -> float:
        """Sent to the devices for each window."""
        return self.loader.bytes_per_window if self._resident is None else self._resident.bytes_per_window

    def shares(self, *, epochs: int = 1, epoch: int = 0, step: int = 0) -> "Iterator[list[Any]]":
        """A list of each step from this position on, with an entry for each device of this process."""
        position = {"epochs": epochs, "epoch": epoch, "step": step}
        if self._resident is not None:
            for shares in self._resident.batches(**position):
                yield [self._weighted(share) for share in shares]
            return
        for batch in tensors(self.loader.batches(**position)):
            whole = self._weighted(batch)
            del batch
            yield [whole] if self._devices.replicas == 1 else self._cut(whole)
            del whole

    def _weighted(self, share: Any) -> Any:
        if len(share) == 3:
            return share
        size = int(share[0].shape[0])
        if size not in self._ones:
            self._ones[size] = tf.ones((size,))
        return (*share, self._ones[size])

    def _cut(self, whole: Any) -> "list[Any]":
        size, replicas = whole[0].shape[0], self._devices.replicas
        first = self._devices.worker * len(self._devices.names)
        edges = [size * number // replicas for number in range(first, first + len(self._devices.names) + 1)]
        return [tuple(part[a:b] for part in whole) for a, b in pairwise(edges)]
