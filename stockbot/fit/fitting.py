"""A training from its data to the files of Keras: puts together devices, loader, step and loop."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from pipelines.batches import WindowLoader
from stockbot.config import Config
from stockbot.errors import ArtifactError, StockbotError
from stockbot.fit.checkpoints import FOLDER as CHECKPOINTS
from stockbot.fit.checkpoints import Arrays, Checkpoints, Position
from stockbot.fit.compiling import choose_xla, may_compile
from stockbot.fit.devices import Devices, open_devices
from stockbot.fit.events import FOLDER as EVENTS
from stockbot.fit.events import Events
from stockbot.fit.exports import BEST, FINAL, LEGACY, save_legacy
from stockbot.fit.feed import Feed
from stockbot.fit.loop import Loop, OnEpoch, Progress, Report
from stockbot.fit.step import Steps, restore
from stockbot.model import build_model, objective
from stockbot.training_set import TrainingSet

# TensorFlow's advice on retracing and sharding is for authors of training loops; failures are exceptions.
tf.get_logger().setLevel(logging.ERROR)


@dataclass(frozen=True)
class Fitted:
    """A trained network with the weights of its best epoch.

    Attributes:
        history: one entry an epoch: loss, val_loss and the metrics.
        best_epoch: counted from 1.
        about: how it was computed, for the manifest: devices, XLA, the share of time that steps waited for batches.
    """

    model: keras.Sequential
    history: list[dict[str, float]]
    best_epoch: int
    about: dict[str, Any] = field(default_factory=dict)


def fit_model(
    data: TrainingSet,
    folder: Path,
    *,
    device: str = "auto",
    run: Path | None = None,
    progress: Progress | None = None,
    report: Report | None = None,
    on_epoch: OnEpoch | None = None,
) -> Fitted:
    """Train, and leave `best_model.keras`, `final_model.keras` and `best_model.h5` in `folder`.

    `training.determinism` says what repeats. `bitwise`: the same data, configuration and devices give the same weights
    to the bit on the same machine. `seeded`: the same order of windows, first weights and masks of dropout; sums may
    be taken in another order. `fast`: the same order of windows and first weights; it is tried whether XLA compiles
    faster steps, and GPUs from Ampere on multiply with ten bits of mantissa.

    Args:
        device: as `devices.open_devices` takes it.
        run: where checkpoints and events are kept; a run that left a checkpoint there goes on from it.
        progress: called with (windows seen, windows of all epochs).
        report: called with a line on the devices and one an epoch.
        on_epoch: called with the number of an epoch, from 1, and its figures; what it raises ends the training.

    Raises:
        UsageError: no such device. StockbotError: the loss is no longer a number, or memory is short.
        ArtifactError: a checkpoint of other devices.
    """
    devices = open_devices(device)
    _say(report, str(devices))
    with memory_advice(data.config), _others_may_be_lost(devices, run):
        loop = prepared(data, devices, run)
        loop.progress, loop.report, loop.on_epoch = progress, report, on_epoch
        if loop.position.epoch or loop.position.step:
            _say(report, f"resumed at epoch {loop.position.epoch + 1} step {loop.position.step}")
        loop.run()
    _say(report, f"input wait {loop.wait_share:.1%} of the time of steps")
    return _exported(loop, folder, {"devices": list(devices.names), "workers": devices.workers, **loop.about})


def prepared(data: TrainingSet, devices: Devices, run: Path | None = None) -> Loop:
    """A training that is about to begin, or to go on from the checkpoint that a run left.

    Raises:
        ArtifactError, UsageError, ConfigError, DataError: as `fit_model`.
    """
    _seed(data.config)
    loop = _loop(data, devices, run)
    found = loop.checkpoints.load() if loop.checkpoints is not None else None
    if found is None:
        _choose_xla(loop, data.config, devices)
    else:
        _go_to(loop, *found)
    return loop


def _say(report: Report | None, line: str) -> None:
    if report is not None:
        report(line)


def _seed(config: Config) -> None:
    keras.utils.clear_session()
    if config.training.determinism == "bitwise":
        tf.config.experimental.enable_op_determinism()
    tf.config.experimental.enable_tensor_float_32_execution(config.training.determinism == "fast")
    keras.utils.set_random_seed(config.training.seed)


def _loop(data: TrainingSet, devices: Devices, run: Path | None) -> Loop:
    training = data.config.training
    parts = [data.train_windows(), data.windows(data.split.validation)]
    for windows in parts:
        windows.require_finite(data.panel.features, data.panel.row_name)
    train, validation = (
        Feed(WindowLoader(windows, batch_size=training.batch_size, seed=seed), devices)
        for windows, seed in zip(parts, (training.seed, None), strict=True)
    )
    with devices.strategy.scope():
        model = build_model(data.config, len(data.panel.features))
    total = training.epochs * train.loader.steps_per_epoch
    steps = Steps(model, training, devices, metrics=objective(data.config)[1], steps=total)
    identity = {"kind": devices.kind, "replicas": devices.replicas, "windows": [len(windows) for windows in parts]}
    checkpoints = None if run is None else Checkpoints(run / CHECKPOINTS, writes=devices.is_chief)
    events = Events(run / EVENTS if run is not None and devices.is_chief else None)
    return Loop(steps, train, validation, training, Position(), checkpoints, events, identity)


def _choose_xla(loop: Loop, config: Config, devices: Devices) -> None:
    loader = loop.train.loader
    if may_compile(config, devices, config.training.epochs * loader.steps_per_epoch):
        loop.steps.xla = choose_xla(loop.steps, config, next(loop.train.shares()), loader.batch_size)
    loop.identity["xla"] = loop.steps.xla


def _go_to(loop: Loop, position: Position, arrays: Arrays, identity: dict[str, Any]) -> None:
    loop.identity["xla"] = loop.steps.xla = identity["xla"]
    if identity != loop.identity:
        raise ArtifactError(
            f"--resume: the run trained as {identity}, this process would as {loop.identity}: use the same devices"
        )
    restore(loop.steps.variables, arrays)
    loop.position = position
    if position.best is not None and loop.checkpoints is not None:
        loop.best = loop.checkpoints.load_best(position.best)


def _exported(loop: Loop, folder: Path, about: dict[str, Any]) -> Fitted:
    model, best = loop.steps.model, loop.position.best
    if best is None:
        raise StockbotError("training: no epoch was trained")
    model.save(folder / FINAL)
    loop.restore_best()
    model.save(folder / BEST)
    save_legacy(model, folder / LEGACY)
    return Fitted(model, loop.position.history, best + 1, about)


@contextmanager
def memory_advice(config: Config) -> Iterator[None]:
    """Say which settings need less memory where there was not enough.

    Raises:
        StockbotError: in place of what TensorFlow and NumPy raise.
    """
    try:
        yield
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        raise StockbotError(_advice(config, error)) from error


def _advice(config: Config, error: Exception) -> str:
    training = config.training
    return (
        f"training: a device has no memory left for batches of {training.batch_size} windows in {training.accumulate} "
        f"parts ({_line_with('memory|OOM', error)}); raise training.accumulate for the same model in less memory, use "
        f"training.precision mixed_bfloat16 or mixed_float16 on a GPU, or lower training.batch_size or model.lstm_units"
    )


@contextmanager
def _others_may_be_lost(devices: Devices, run: Path | None) -> Iterator[None]:
    try:
        yield
    except tf.errors.ResourceExhaustedError:
        raise
    except tf.errors.OpError as error:
        if devices.workers == 1:
            raise
        name = "RUN" if run is None else run.name
        peer = re.search(r"remote target \S*/task:(\d+)", str(error))
        lost = f"worker {peer[1]}" if peer else "another one"
        raise StockbotError(
            f"training: worker {devices.worker} of {devices.workers}, from 0, has lost {lost} "
            f"({_line_with('aborted by', error)}); start all of them again with --resume {name}"
        ) from error


def _line_with(words: str, error: Exception) -> str:
    """The line of a message that says what happened; many begin with "Graph execution error:"."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return next((line for line in lines if re.search(words, line, re.IGNORECASE)), lines[0]).strip()
