"""Whether XLA compiles the step: where it pays, and so that a run that is repeated or resumed does the same."""

import time
from statistics import median
from typing import Any

from stockbot.config import Config
from stockbot.errors import UsageError
from stockbot.fit.devices import Devices
from stockbot.fit.step import Steps, restore, snapshot

# XLA takes 1 to 2 s longer to compile than the graph, and saves 1 to 5 ms a step: in fewer steps it never pays.
FEWEST_STEPS = 2000
PROBED_STEPS = 12


def may_compile(config: Config, devices: Devices, steps: int) -> bool:
    """Whether XLA is a choice: on one CPU, with each batch whole. cuDNN's operations are none of XLA's.

    Raises:
        UsageError: `training.xla` is true and it is not.
    """
    training = config.training
    possible = devices.replicas == 1 and devices.kind == "CPU" and training.accumulate == 1
    if training.xla is True and not possible:
        raise UsageError(
            f"training.xla: expected auto or false on {devices.replicas} devices such as {devices.names[0]}, "
            f"received true: it compiles steps of one CPU"
        )
    return possible and training.xla is not False and (training.xla is True or steps >= FEWEST_STEPS)


def choose_xla(steps: Steps, config: Config, shares: "list[Any]", size: int) -> bool:
    """Whether XLA is the faster choice: by a rule, or with `fast` by a trial, which leaves no trace.

    A trial may end otherwise the next time, and XLA rounds otherwise and draws other masks of dropout.

    Measured against the graph on one core: 1.26 times as fast with 64 units and batches of 256, 1.04 with batches of
    1024, 0.91 with layers of 128 and 64 units.
    """
    training = config.training
    if training.xla != "auto":
        return training.xla
    if training.determinism != "fast":
        return config.model.factory == "lstm" and max(config.model.lstm_units) <= 64 and training.batch_size <= 512
    before = snapshot(steps.variables)
    seconds = {xla: _seconds_a_step(steps, shares, size, xla=xla) for xla in (False, True)}
    restore(steps.variables, before)
    return seconds[True] < seconds[False]


def _seconds_a_step(steps: Steps, shares: "list[Any]", size: int, *, xla: bool) -> float:
    steps.xla = xla
    spent = []
    for _ in range(PROBED_STEPS):
        start = time.process_time()
        steps.train(shares, size, 0)
        spent.append(time.process_time() - start)
    return median(spent[2:])  # the first ones compile
