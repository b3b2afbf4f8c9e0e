"""The optimisation itself: seeds, devices, Keras callbacks. Everything around it is in `train.py`."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stockbot.model import build_model  # first: it sets what TensorFlow reads at import

# isort: split
import keras
import numpy as np
import tensorflow as tf

from pipelines.batches import WindowLoader
from pipelines.dataset import window_dataset
from stockbot.errors import StockbotError, UsageError
from stockbot.training_set import TrainingSet

BEST, FINAL, LEGACY = "best_model.keras", "final_model.keras", "best_model.h5"

# TensorFlow's advice on retracing and sharding is for authors of training loops; failures are exceptions.
tf.get_logger().setLevel(logging.ERROR)


@dataclass(frozen=True)
class Fitted:
    """A trained network with the weights of its best epoch.

    Attributes:
        history: one entry an epoch, as Keras reports it: loss, val_loss and the metrics.
        best_epoch: counted from 1.
    """

    model: keras.Sequential
    history: list[dict[str, float]]
    best_epoch: int


def fit_model(
    data: TrainingSet,
    folder: Path,
    *,
    device: str = "auto",
    progress: Callable[[int, int], None] | None = None,
    report: Callable[[str], None] | None = None,
) -> Fitted:
    """Train, and leave `best_model.keras`, `final_model.keras` and `best_model.h5` in `folder`.

    The same data, configuration and seed give the same weights to the bit on the same machine.

    Args:
        device: `auto` (all GPUs, else all logical CPUs), `cpu`, `gpu` or one such as `gpu:1`.
        progress: called with (windows seen, windows of all epochs).
        report: called with a line on the devices and one an epoch.

    Raises:
        UsageError: no such device. StockbotError: the loss is no longer a number.
    """
    devices = choose_devices(device)
    if report is not None:
        report(f"devices {' '.join(devices)}")
    training = data.config.training
    keras.utils.clear_session()
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(training.seed)
    parts = [data.windows(starts) for starts in (data.split.train, data.split.validation)]
    for windows in parts:
        windows.require_finite(data.panel.features, data.panel.row_name)
    train = WindowLoader(parts[0], batch_size=training.batch_size, seed=training.seed)
    validation = WindowLoader(parts[1], batch_size=training.batch_size, seed=None)
    with _strategy(devices).scope():
        model = build_model(data.config, len(data.panel.features))
    history = model.fit(
        window_dataset(train, epochs=training.epochs),
        steps_per_epoch=train.steps_per_epoch,
        validation_data=window_dataset(validation),
        epochs=training.epochs,
        shuffle=False,  # the order is the dataset's: a function of seed and epoch
        verbose=0,
        callbacks=[
            keras.callbacks.EarlyStopping("val_loss", patience=training.patience),
            keras.callbacks.ModelCheckpoint(folder / BEST, "val_loss", save_best_only=True),
            _Reporter(len(train.windows), training.epochs, progress, report),
        ],
    ).history
    epochs = [{name: float(values[epoch]) for name, values in history.items()} for epoch in range(len(history["loss"]))]
    best = _best_epoch(epochs, training.learning_rate)
    model.save(folder / FINAL)
    model.load_weights(folder / BEST)
    _save_legacy(model, folder / LEGACY)
    return Fitted(model, epochs, best)


def choose_devices(device: str) -> list[str]:
    """Names of the devices to train on.

    Args:
        device: `auto` (all GPUs, else all logical CPUs), `cpu`, `gpu` or one such as `gpu:1`.

    Raises:
        UsageError: no such device; names those that are visible.
    """
    gpus, cpus = (tf.config.list_logical_devices(kind) for kind in ("GPU", "CPU"))
    single = {entry.name.removeprefix("/device:").lower(): [entry] for entry in (*gpus, *cpus)}
    groups = {"auto": gpus or cpus, "cpu": cpus[:1], "gpu": gpus, **single}
    if not groups.get(device):
        raise UsageError(f"--device: {device!r} is not visible; choose auto, {', '.join(single)}")
    return [entry.name for entry in groups[device]]


def _strategy(devices: list[str]) -> "tf.distribute.Strategy":
    if devices == choose_devices("auto")[:1]:
        # Where TensorFlow goes by itself. A strategy would build its iterators anew each epoch: 0.2 s on one core.
        return tf.distribute.get_strategy()
    if len(devices) == 1:
        return tf.distribute.OneDeviceStrategy(devices[0])
    # NCCL has no CPU kernels; on GPUs it is the default and the fastest.
    on_cpu = "CPU" in devices[0]
    return tf.distribute.MirroredStrategy(
        devices, cross_device_ops=tf.distribute.ReductionToOneDevice() if on_cpu else None
    )


class _Reporter(keras.callbacks.Callback):  # type: ignore[misc]
    """Passes progress on as plain calls, so that only the command line knows about bars."""

    def __init__(
        self,
        windows: int,
        epochs: int,
        progress: Callable[[int, int], None] | None,
        report: Callable[[str], None] | None,
    ) -> None:
        super().__init__()
        self._windows, self._epochs = windows, epochs
        self._progress, self._report = progress, report
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._progress is not None:
            seen = (batch + 1) / self.params["steps"] * self._windows
            self._progress(round(self._epoch * self._windows + seen), self._epochs * self._windows)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self._report is not None:
            figures = "  ".join(f"{name} {value:.6g}" for name, value in (logs or {}).items())
            self._report(f"epoch {epoch + 1}/{self._epochs}  {figures}")


def _best_epoch(epochs: list[dict[str, float]], learning_rate: float) -> int:
    for number, entry in enumerate(epochs, start=1):
        if not (math.isfinite(entry["loss"]) and math.isfinite(entry["val_loss"])):
            raise StockbotError(
                f"training diverged: loss {entry['loss']}, val_loss {entry['val_loss']} in epoch {number}, "
                f"expected numbers; lower training.learning_rate ({learning_rate})"
            )
    return 1 + int(np.argmin([entry["val_loss"] for entry in epochs]))


def _save_legacy(model: keras.Sequential, path: Path) -> None:
    # Without the optimizer: Keras 3 cannot read back the losses that it writes into an .h5 file by name.
    # Is there room? When a disk fills up under HDF5 the process crashes. With its optimizer the other file is larger.
    path.write_bytes(bytes(path.with_name(FINAL).stat().st_size))
    absl = logging.getLogger("absl")
    level = absl.level
    absl.setLevel(logging.ERROR)  # it warns that .h5 is legacy, which is why this file is an export only
    try:
        model.save(path, include_optimizer=False)
    finally:
        absl.setLevel(level)
