"""Loaders of shuffled windows: each begins an endless iterator of (inputs, targets) as often as it is asked."""

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks.train.rows import FEATURES, HORIZON, LOOKBACK, Rows
from kernels.memory import aligned_empty
from kernels.windows import copy_windows
from pipelines.batches import WindowLoader
from pipelines.dataset import tensors, window_dataset

EPOCHS = 1000
Batches = Iterator[Any]
Begin = Callable[[], Batches]


@dataclass(frozen=True)
class Contender:
    """A loader; `make` prepares it for rows and batches of so many windows."""

    name: str
    make: Callable[[Rows, int], Begin]
    is_peer: bool = False


def gathered(matrix: np.ndarray, targets: np.ndarray, batch: int) -> Batches:
    """The bare gather, in an order drawn beforehand and into one buffer: what a loader can reach at best."""
    order = np.random.default_rng(1).permutation(len(matrix) - LOOKBACK - HORIZON + 1)
    inputs = aligned_empty((batch, LOOKBACK, FEATURES), np.float32)
    outputs = aligned_empty((batch, 1, 1), np.float32)
    for number in count():
        begin = number % (len(order) // batch) * batch
        starts = order[begin : begin + batch]
        copy_windows(matrix, starts, inputs)
        copy_windows(targets, starts + LOOKBACK - 1, outputs)
        yield inputs, outputs


def _bare(rows: Rows, batch: int) -> Begin:
    return lambda: gathered(rows.matrix, rows.targets, batch)


def _loader(rows: Rows, batch: int) -> WindowLoader:
    return WindowLoader(rows.windows, batch_size=batch, seed=1)


def _arrays(rows: Rows, batch: int) -> Begin:
    loader = _loader(rows, batch)
    return lambda: loader.batches(epochs=EPOCHS)


def _tensors(rows: Rows, batch: int) -> Begin:
    loader = _loader(rows, batch)
    return lambda: tensors(loader.batches(epochs=EPOCHS))


def _dataset(rows: Rows, batch: int) -> Begin:
    dataset = window_dataset(_loader(rows, batch), epochs=EPOCHS)
    return lambda: iter(dataset)


def _keras(rows: Rows, batch: int) -> Begin:
    windows = len(rows.starts)
    targets = rows.targets[LOOKBACK - 1 :][:windows]
    made = keras.utils.timeseries_dataset_from_array(
        rows.matrix[: windows + LOOKBACK - 1], targets, LOOKBACK, batch_size=batch, shuffle=True, seed=1
    )
    return lambda: iter(made.repeat())


def _window(rows: Rows, batch: int) -> Begin:
    """As the guides of TensorFlow do it; only windows that are near each other are shuffled."""
    slices = tf.data.Dataset.from_tensor_slices((rows.matrix, rows.targets))
    windows = slices.window(LOOKBACK, shift=1, drop_remainder=True)
    whole = windows.flat_map(lambda x, y: tf.data.Dataset.zip((x.batch(LOOKBACK), y.skip(LOOKBACK - 1).batch(1))))
    return lambda: iter(whole.shuffle(4096, seed=1).batch(batch).prefetch(2).repeat())


def _torch(rows: Rows, batch: int) -> Begin:
    """torch's best: rows picked of a view whose rows are the windows."""
    import torch

    torch.set_num_threads(1)
    windows = len(rows.starts)
    view = torch.from_numpy(rows.matrix).as_strided((windows, LOOKBACK * FEATURES), (FEATURES, 1))
    targets = torch.from_numpy(rows.targets)[LOOKBACK - 1 :]
    generator = torch.Generator().manual_seed(1)

    def batches() -> Batches:
        while True:
            order = torch.randperm(windows, generator=generator)
            for chosen in order[: windows // batch * batch].split(batch):
                yield view.index_select(0, chosen).view(batch, LOOKBACK, FEATURES), targets.index_select(0, chosen)

    return batches


BARE, ARRAYS, TENSORS, DATASET = "bare Numba gather", "ours, arrays", "ours, tensors", "ours, tf.data"
KERAS, TORCH = "timeseries_dataset_from_array", "torch index_select"
CONTENDERS = [
    Contender(BARE, _bare),
    Contender(ARRAYS, _arrays),
    Contender(TENSORS, _tensors),
    Contender(DATASET, _dataset),
    Contender(KERAS, _keras, is_peer=True),
    Contender("Dataset.window", _window, is_peer=True),
    Contender(TORCH, _torch, is_peer=True),
]


def installed() -> list[Contender]:
    """Those whose libraries are there; the others are named."""
    if importlib.util.find_spec("torch") is not None:
        return CONTENDERS
    print("torch: not installed (pip install torch); its index_select is left out")
    return [each for each in CONTENDERS if each.name != TORCH]


def epochs_of(loader: WindowLoader) -> Callable[[], int]:
    """Goes through an epoch after the other, one a call; returns its windows."""
    epochs = count()

    def once() -> int:
        epoch = next(epochs)
        return sum(len(batch.inputs) for batch in loader.batches(epochs=epoch + 1, epoch=epoch))

    return once


def mapped(folder: Path, rows: int, batch: int = 1024) -> Callable[[], int]:
    """Goes through a quarter of the windows of mapped rows, which are all in memory, in an order drawn beforehand."""
    matrix = np.memmap(folder / "rows.f32", np.float32, "r", shape=(rows, FEATURES))
    targets = np.memmap(folder / "targets.f32", np.float32, "r", shape=(rows, 1))
    for begin in range(0, rows, 1 << 16):
        matrix[begin : begin + (1 << 16)].max()  # reads it
    batches = gathered(np.asarray(matrix), np.asarray(targets), batch)
    return lambda: sum(len(next(batches)[0]) for _ in range(rows // 4 // batch))
