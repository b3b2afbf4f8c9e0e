"""What a model is asked to foresee. The only kernels that look forward."""

import math

import numpy as np

from kernels.arrays import Floats, checked, checked_count
from kernels.compilation import kernel
from kernels.lagged import log_ratios


def horizon_return(close: Floats, horizon: int) -> Floats:
    """Logarithmic return over the `horizon` rows ahead: `ln(close[t + horizon] / close[t])`.

    Args:
        close: (time,) float64, prices above 0 of one symbol without a gap.
        horizon: rows, at least 1.

    Returns:
        (time,) float64 without unit; NaN for the last `horizon` rows and where either price is NaN or not above 0.
        The label of row t spans the rows t to t + horizon: splits purge by that.

    Raises:
        TypeError, ValueError: wrong dtype, dimension or horizon; the message names the argument.
    """
    close = checked("close", close)
    out = np.full(len(close), math.nan)
    known = max(len(close) - checked_count("horizon", horizon), 0)
    log_ratios(close[len(close) - known :], close[:known], out[:known])
    return out


@kernel
def _direction(returns, dead_zone, out):  # type: ignore[no-untyped-def]
    for row in range(len(returns)):
        value = returns[row]
        out[row] = 1.0 if value > dead_zone else 0.0 if value < -dead_zone else math.nan


def direction(returns: Floats, dead_zone: float = 0.0) -> Floats:
    """Whether a return went up (1) or down (0); NaN for one that is NaN or within `dead_zone` of no move.

    Args:
        returns: (time,) float64, log returns.
        dead_zone: log return, at least 0; at 0 only unchanged prices have no direction.

    Raises:
        TypeError, ValueError: wrong dtype or dimension, or a negative dead zone.
    """
    if not dead_zone >= 0.0:
        raise ValueError(f"dead_zone: expected at least 0, received {dead_zone}")
    returns = checked("returns", returns)
    out = np.empty(len(returns))
    _direction(returns, float(dead_zone), out)
    return out
