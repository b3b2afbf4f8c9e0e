"""How fast a configuration trains on one device, two, and so on to all that are visible."""

import time
from dataclasses import dataclass

import tensorflow as tf

from stockbot.fit.devices import choose_devices, open_devices
from stockbot.fit.fitting import memory_advice, prepared
from stockbot.training_set import TrainingSet

WARM, TIMED = 3, 20  # steps


@dataclass(frozen=True)
class Speed:
    """Windows that so many devices learn from in a second, with their batches."""

    devices: int
    windows_per_second: float


def measure_speeds(data: TrainingSet, wanted: str = "auto") -> list[Speed]:
    """Train a few steps on each number of devices; batches stay as they are set, so that shares become smaller.

    Args:
        wanted: the devices to take one of, two, and so on, as `open_devices` takes them.

    Raises:
        What `fit_model` raises.
    """
    names = [name.removeprefix("/device:").lower() for name in choose_devices(wanted)]
    with memory_advice(data.config):
        return [Speed(count, _windows_per_second(data, ",".join(names[:count]))) for count in range(1, len(names) + 1)]


def fastest(speeds: list[Speed]) -> Speed:
    """The one to take."""
    return max(speeds, key=lambda speed: speed.windows_per_second)


def losing(speeds: list[Speed]) -> list[int]:
    """Numbers of devices that are slower than fewer of them."""
    return [speed.devices for speed in speeds if speed.devices > fastest(speeds).devices]


def advice(speeds: list[Speed], batch_size: int) -> str:
    """The number of devices to take, and a warning where more of them are slower."""
    best = fastest(speeds).devices
    if len(speeds) == 1:
        return "one device is visible: nothing to compare"
    if not losing(speeds):
        gain = speeds[-1].windows_per_second / speeds[0].windows_per_second
        return f"all {best} devices are {gain:.2f} times as fast as one: --devices {best}"
    return (
        f"WARNING: {' and '.join(map(str, losing(speeds)))} devices are slower than {best}: each step waits for the "
        f"sum of the gradients; take --devices {best}, or raise training.batch_size ({batch_size})"
    )


def _windows_per_second(data: TrainingSet, wanted: str) -> float:
    loop = prepared(data, open_devices(wanted))
    batch = data.config.training.batch_size
    whole = len(loop.train.loader.windows) // batch
    shares = loop.train.shares(epochs=-(-(WARM + TIMED) // whole))
    done = 0.0
    for number in range(WARM + TIMED):
        if number == WARM:
            start = _now(loop.steps.figures.variables[0])
        current = next(shares)
        size = min(batch, len(loop.train.loader.windows) - number % loop.train.loader.steps_per_epoch * batch)
        loop.steps.train(current, size, number)
        done += size if number >= WARM else 0
    return done / (_now(loop.steps.figures.variables[0]) - start)


def _now(variable: "tf.Variable") -> float:
    """Seconds, when everything before has been computed: a GPU is handed steps ahead."""
    variable.numpy()
    return time.perf_counter()
