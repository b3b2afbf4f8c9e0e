"""What a model is asked to foresee. The only kernels that look forward."""

import math

import numpy as np
from numpy.typing import NDArray

from kernels.arrays import Floats, checked, checked_count
from kernels.compilation import inlined, kernel
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


@inlined
def _one_over(count):  # type: ignore[no-untyped-def]
    return 1.0 / count if count else 0.0


@kernel
def _average_uniqueness(labelled, horizon, out):  # type: ignore[no-untyped-def]
    rows = len(labelled)
    last = first = 0  # labels at work in the last row of the span of this row's label, and in the row before the first
    total = 0.0
    for row in range(1, min(horizon, rows + 1)):
        last += labelled[row - 1]
        total += _one_over(last)
    if horizon > rows:
        total += (horizon - 1 - rows) * _one_over(last)
    for row in range(rows):
        last += labelled[row + horizon - 1] if row + horizon <= rows else 0
        if row > 0:
            last -= labelled[row - 1]
            first += labelled[row - 1] - (labelled[row - 1 - horizon] if row > horizon else 0)
            total -= _one_over(first)
        total += _one_over(last)
        out[row] = total / horizon if labelled[row] else 0.0


def average_uniqueness(labelled: NDArray[np.bool_], horizon: int) -> Floats:
    """How much of its own each label tells: the mean, over the returns that it is made of, of one over the labels that
    are made of that return. 1 where no other label overlaps, near `1 / horizon` where every row has one.

    After M. Lopez de Prado, "Advances in Financial Machine Learning" (2018), chapter 4.

    Args:
        labelled: (time,) bool, rows t whose label is used; it spans the returns of rows t + 1 to t + horizon.
        horizon: rows, at least 1.

    Returns:
        (time,) float64, above 0 and at most 1; 0 for rows without a label. Exact to 1e-12.

    Raises:
        TypeError, ValueError: wrong dtype, dimension or horizon.
    """
    if labelled.dtype != np.bool_ or labelled.ndim != 1:
        raise TypeError(f"labelled: expected (time,) bool, received {labelled.dtype} of shape {labelled.shape}")
    out = np.empty(len(labelled))
    _average_uniqueness(np.ascontiguousarray(labelled).view(np.int8), checked_count("horizon", horizon), out)
    return out
