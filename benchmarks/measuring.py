"""How time is measured: runs take turns, so that a drift of the machine's speed meets them all; medians."""

from collections.abc import Callable, Mapping
from time import process_time
from typing import Any

import numpy as np

Runs = Mapping[str, Callable[[], Any]]
ROUNDS = 7
_HOPELESS = 4.0  # a rival so many times slower than the fastest rival is timed once: it decides nothing and takes long


def spent_on(run: Callable[[], Any]) -> float:
    """Processor seconds of the process: other work on the machine counts little, and all threads count."""
    start = process_time()
    run()
    return process_time() - start


def medians(runs: Runs, rivals: Runs | None = None, *, rounds: int = ROUNDS) -> dict[str, float]:
    """Median seconds of each run and of each rival that may be the fastest."""
    everyone = {**runs, **(rivals or {})}
    for run in everyone.values():  # compiles, loads, touches memory
        run()
    times = {name: [spent_on(run)] for name, run in everyone.items()}
    fastest = min((times[name][0] for name in rivals or {}), default=0.0)
    hopeful = [name for name in everyone if name in runs or times[name][0] <= _HOPELESS * fastest]
    for _ in range(rounds - 1):
        for name in hopeful:
            times[name].append(spent_on(everyone[name]))
    return {name: float(np.median(spent)) for name, spent in times.items()}
