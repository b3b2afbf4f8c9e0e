"""Targets for training: the only place of the data layer that looks forward.

The label of row t is made of the prices of rows t to t + horizon; splits keep that whole interval on one side.
"""

from typing import Literal

from kernels.arrays import Floats
from kernels.labels import direction, horizon_return

Objective = Literal["regression", "direction"]


def label_rows(close: Floats, objective: Objective, *, horizon: int, dead_zone: float = 0.0) -> Floats:
    """The target of each row of one unbroken stretch of one symbol.

    Args:
        close: (rows,) float64, prices above 0 in time order.
        objective: `regression` gives the log return over the horizon; `direction` 1 for up and 0 for down.
        horizon: rows, at least 1.
        dead_zone: log return within which a move has no direction (`direction` only).

    Returns:
        (rows,) float64; NaN for the last `horizon` rows, and inside the dead zone.

    Raises:
        TypeError, ValueError: as `kernels.labels`.
    """
    ahead = horizon_return(close, horizon)
    return ahead if objective == "regression" else direction(ahead, dead_zone)
