"""How fast a configuration trains on one device, two, and so on to all that are visible."""

import time
from dataclasses import dataclass

import tensorflow as tf

from stockbot.fit.devices import choose_devices, open_devices
from stockbot.fit.fitting import prepared
from stockbot.training_set import TrainingSet

WARM, TIMED = 3, 20  # steps


@dataclass(frozen=True)
class Speed:
    """Windows that so many devices learn from in a second, with their batches."""

    devices: int
    windows_per_second: float


def measure_speeds(data: TrainingSet) -> list[Speed]:
    """Train a few steps on each number of devices; batches stay as they are set, so that shares become smaller.

    Raises:
        What `fit_model` raises.
    """
    counts = range(1, len(choose_devices("auto")) + 1)
    return [Speed(count, _windows_per_second(data, str(count))) for count in counts]


def advice(speeds: list[Speed], batch_size: int) -> str:
    """The number of devices to take, and a warning where more of them are slower."""
    best = max(speeds, key=lambda speed: speed.windows_per_second)
    if len(speeds) == 1:
        return "one device is visible: nothing to compare"
    losing = [str(speed.devices) for speed in speeds if speed.devices > best.devices]
    if not losing:
        gain = best.windows_per_second / speeds[0].windows_per_second
        return f"all {best.devices} devices are {gain:.2f} times as fast as one: --devices {best.devices}"
    return (
        f"WARNING: {' and '.join(losing)} devices are slower than {best.devices}: each step waits for the sum of the "
        f"gradients; take --devices {best.devices}, or raise training.batch_size ({batch_size})"
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
