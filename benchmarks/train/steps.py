"""Training steps of one model: ours, Keras's own way, and torch's. Each takes so many steps and says what one took."""

import importlib.util
from collections.abc import Callable, Iterator
from itertools import count, pairwise
from time import process_time
from typing import Any

import keras

from benchmarks.train.contenders import CONTENDERS, EPOCHS, TORCH
from benchmarks.train.rows import FEATURES, LOOKBACK, Rows
from pipelines.batches import WindowLoader
from stockbot.config import Config
from stockbot.fit.compiling import choose_xla
from stockbot.fit.devices import open_devices
from stockbot.fit.feed import Feed
from stockbot.fit.step import Steps
from stockbot.model import build_model

Run = Callable[[int], float]
WARM = 4  # steps that compile, and fill what is prefetched

FIXED, LOADED = "ours, one fixed batch", "ours, with the loader"
FIT, MODULE = "Keras fit, its own loader", "torch nn.LSTM, index_select"


def made(rows: Rows, units: list[int], batch: int) -> dict[str, Run]:
    """Every way of training the default model with such layers; torch where it is installed."""
    config = Config.model_validate({"model": {"lstm_units": units}, "training": {"batch_size": batch}})
    runs = {FIXED: _fixed(rows, config), LOADED: _loaded(rows, config), FIT: _keras(rows, config)}
    if importlib.util.find_spec("torch") is None:
        print("torch: not installed (pip install torch); it is left out")
        return runs
    return runs | {MODULE: _torch(rows, config)}


def _timed(step: Callable[[], Any], steps: int) -> float:
    for _ in range(WARM):
        step()
    start = process_time()
    for _ in range(steps):
        step()
    return (process_time() - start) / steps


def _ours(rows: Rows, config: Config) -> tuple[Steps, Feed]:
    devices = open_devices("cpu:0")
    feed = Feed(WindowLoader(rows.windows, batch_size=config.training.batch_size, seed=1), devices)
    model = build_model(config, FEATURES)
    steps = Steps(model, config.training, devices, metrics=["mean_absolute_error"], steps=1)
    steps.xla = choose_xla(steps, config, next(feed.shares()), config.training.batch_size)
    return steps, feed


def _fixed(rows: Rows, config: Config) -> Run:
    steps, feed = _ours(rows, config)
    shares = next(feed.shares())
    numbers = count()
    return lambda turns: _timed(lambda: steps.train(shares, config.training.batch_size, next(numbers)), turns)


def _loaded(rows: Rows, config: Config) -> Run:
    steps, feed = _ours(rows, config)
    batches = feed.shares(epochs=EPOCHS)
    numbers = count()
    return lambda turns: _timed(lambda: steps.train(next(batches), config.training.batch_size, next(numbers)), turns)


class _Clock(keras.callbacks.Callback):  # type: ignore[misc]
    """Processor time between the end of the warm steps and the end of the last one: a call of `fit` has its price."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.times.append(process_time())


def _keras(rows: Rows, config: Config) -> Run:
    """The guide of Keras: `timeseries_dataset_from_array` and `fit`, all else as they come."""
    model = build_model(config, FEATURES)
    windows = len(rows.starts)
    dataset = keras.utils.timeseries_dataset_from_array(
        rows.matrix[: windows + LOOKBACK - 1],
        rows.targets[LOOKBACK - 1 :][:windows],
        LOOKBACK,
        batch_size=config.training.batch_size,
        shuffle=True,
        seed=1,
    ).repeat()

    def run(turns: int) -> float:
        clock = _Clock()
        model.fit(dataset, epochs=1, steps_per_epoch=WARM + turns, verbose=0, callbacks=[clock])
        return (clock.times[-1] - clock.times[WARM - 1]) / turns

    return run


def _torch(rows: Rows, config: Config) -> Run:
    """The same layers in float32, fed by torch's fastest loader."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(1)
    widths = [FEATURES, *config.model.lstm_units]
    layers = [torch.nn.LSTM(before, after, batch_first=True) for before, after in pairwise(widths)]
    head, dropout = torch.nn.Linear(widths[-1], 1), torch.nn.Dropout(config.model.dropout)
    parameters = [parameter for layer in (*layers, head) for parameter in layer.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=config.training.learning_rate)
    loader = next(each for each in CONTENDERS if each.name == TORCH)
    batches: Iterator[Any] = loader.make(rows, config.training.batch_size)()

    def step() -> None:
        values, targets = next(batches)
        for layer in layers:
            values = dropout(layer(values)[0])
        loss = torch.nn.functional.mse_loss(head(values[:, -1]), targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return lambda turns: _timed(step, turns)
