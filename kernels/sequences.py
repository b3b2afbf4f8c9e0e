"""What came before: running totals, runs and patterns of signs, fractional differences."""

import math

import numpy as np

from kernels.arrays import ROWS, Floats, checked_count, run
from kernels.compilation import kernel


def running_sum_state() -> Floats:
    """State of `running_sum`: rows seen, total."""
    return np.zeros(2)


@kernel
def running_sum_update(state, x, out):  # type: ignore[no-untyped-def]
    total = state[1]
    for row in range(len(x)):
        if x[row] == x[row]:
            total += x[row]
        out[row] = total + (x[row] - x[row])  # NaN where x is
    state[1] = total
    state[ROWS] += len(x)


def running_sum(x: Floats, out: Floats | None = None) -> Floats:
    """Sum of all rows so far; a NaN row gives NaN and takes no part.

    Arguments and errors as in `lagged.lag`; the unit of `x`. Meant for flows whose sum stays near zero,
    such as signed volume.
    """
    return run(running_sum_update, running_sum_state(), {"x": x}, out)


def run_length_state() -> Floats:
    """State of `run_length`: rows seen, previous value, signed length."""
    return np.array([0.0, math.nan, 0.0])


@kernel
def run_length_update(state, x, out):  # type: ignore[no-untyped-def]
    previous = state[1]
    length = state[2]
    for row in range(len(x)):
        value = x[row]
        if value > previous:
            length = length + 1.0 if length > 0.0 else 1.0
        elif value < previous:
            length = length - 1.0 if length < 0.0 else -1.0
        started = previous == previous
        out[row] = length if started and value == value else math.nan
        previous = value if value == value else previous
    state[1] = previous
    state[2] = length
    state[ROWS] += len(x)


def run_length(x: Floats, out: Floats | None = None) -> Floats:
    """How many moves in a row went one way: 3 after three rises, -2 after two falls; an unchanged row keeps the count.

    Arguments and errors as in `lagged.lag`; rows. NaN for the first row and where `x` is NaN, which takes no part.
    """
    return run(run_length_update, run_length_state(), {"x": x}, out)


_PATTERNS = 27  # three signs out of -1, 0, 1
_COUNTS, _SIGNS = 2, 2 + _PATTERNS
_TERMS = _SIGNS + 3


def sign_entropy_state(window: int) -> Floats:
    """State of `sign_entropy`: rows, window, counts of patterns, previous value and its two last signs, then the term
    of the entropy for each possible count, then a ring of patterns; -1 is none."""
    window = checked_count("window", window)
    shares = np.arange(window + 1) / window
    terms = -shares * np.log(np.where(shares > 0.0, shares, 1.0)) / math.log(_PATTERNS)
    start = [0.0, window, *np.zeros(_PATTERNS), math.nan, -1.0, -1.0]
    return np.concatenate([start, terms, np.full(window, -1.0)])


@kernel
def sign_entropy_update(state, x, out):  # type: ignore[no-untyped-def]
    window = int(state[1])
    terms = state[_TERMS : _TERMS + window + 1]
    ring = state[_TERMS + window + 1 :]
    for row in range(len(x)):
        value = x[row]
        previous = state[_SIGNS]
        sign = 2.0 if value > previous else 0.0 if value < previous else 1.0 if value == previous else -1.0
        older, newer = state[_SIGNS + 1], state[_SIGNS + 2]
        whole = sign >= 0.0 and newer >= 0.0 and older >= 0.0
        pattern = 9.0 * older + 3.0 * newer + sign if whole else -1.0
        state[_SIGNS], state[_SIGNS + 1], state[_SIGNS + 2] = value, newer, sign
        slot = int(state[ROWS]) % window
        if ring[slot] >= 0.0:
            state[_COUNTS + int(ring[slot])] -= 1.0
        ring[slot] = pattern
        if pattern >= 0.0:
            state[_COUNTS + int(pattern)] += 1.0
        state[ROWS] += 1.0
        out[row] = _entropy(state[_COUNTS:_SIGNS], terms, window)


@kernel
def _entropy(counts, terms, window):  # type: ignore[no-untyped-def]
    total = 0.0
    entropy = 0.0
    for pattern in range(_PATTERNS):
        total += counts[pattern]
        entropy += terms[int(counts[pattern])]
    return entropy if total == window else math.nan


def sign_entropy(x: Floats, window: int, out: Floats | None = None) -> Floats:
    """Shannon entropy of the last `window` patterns of three signs of change, over its maximum ln 27.

    Args:
        x: (time,) float64, a price.
        window: patterns, at least 1.
        out: (time,) float64 to write into; a new array when None.

    Returns:
        (time,) float64 from 0 (one pattern) to 1 (all 27 alike often); NaN for the first `window + 2` rows and where
        one of the values involved is NaN.

    Raises:
        TypeError, ValueError: wrong dtype, dimension or window; the message names the argument.
    """
    return run(sign_entropy_update, sign_entropy_state(window), {"x": x}, out)


def difference_weights(order: float, tolerance: float = 1e-5) -> Floats:
    """Weights of (1 - lag)^order, newest row first, down to the last of at least `tolerance`."""
    weights = [1.0]
    while abs(following := -weights[-1] * (order - len(weights) + 1.0) / len(weights)) >= tolerance:
        weights.append(following)
    return np.array(weights)


def fractional_difference_state(order: float) -> Floats:
    """State of `fractional_difference`: rows, number of weights, the weights, a ring of values twice over."""
    if not 0.0 < order < 1.0:
        raise ValueError(f"order: expected a number between 0 and 1, received {order}")
    weights = difference_weights(order)
    return np.concatenate([[0.0, len(weights)], weights, np.full(2 * len(weights), math.nan)])


@kernel
def fractional_difference_update(state, x, out):  # type: ignore[no-untyped-def]
    size = int(state[1])
    weights = state[2 : 2 + size]
    ring = state[2 + size :]
    for row in range(len(x)):
        # Newest first, and every value twice, so that the last `size` values always lie side by side.
        place = size - 1 - int(state[ROWS]) % size
        ring[place] = ring[place + size] = x[row]
        total = 0.0
        for age in range(size):
            total += weights[age] * ring[place + age]
        out[row] = total
        state[ROWS] += 1.0


def fractional_difference(x: Floats, order: float, out: Floats | None = None) -> Floats:
    """Fractional difference with a fixed window of weights (Lopez de Prado 2018, chapter 5), cut off at 1e-5.

    Args:
        x: (time,) float64, such as the logarithm of a price.
        order: between 0 (none) and 1 (first difference).
        out: (time,) float64 to write into; a new array when None.

    Returns:
        (time,) float64 in the unit of `x`; NaN until the window of weights is full and while it holds a NaN.

    Raises:
        TypeError, ValueError: wrong dtype, dimension or order; the message names the argument.
    """
    return run(fractional_difference_update, fractional_difference_state(order), {"x": x}, out)
