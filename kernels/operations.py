"""Operations row by row, for programs of `kernels.engine`: kernels whose state is empty. NaN in, NaN out."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from kernels.compilation import kernel
from kernels.logarithm import ln, ln1p

# Rows are counted by unsigned numbers, and `out` is never an input: so the loops vectorise.


@kernel
def add(state, a, b, out):  # type: ignore[no-untyped-def]
    for row in range(np.uint64(len(out))):
        out[row] = a[row] + b[row]


@kernel
def subtract(state, a, b, out):  # type: ignore[no-untyped-def]
    for row in range(np.uint64(len(out))):
        out[row] = a[row] - b[row]


@kernel
def multiply(state, a, b, out):  # type: ignore[no-untyped-def]
    for row in range(np.uint64(len(out))):
        out[row] = a[row] * b[row]


@kernel
def divide(state, a, b, out):  # type: ignore[no-untyped-def]
    for row in range(np.uint64(len(out))):
        out[row] = a[row] / b[row]


@kernel
def maximum(state, a, b, out):  # type: ignore[no-untyped-def]
    for row in range(np.uint64(len(out))):
        out[row] = a[row] if a[row] > b[row] or a[row] != a[row] else b[row]


@kernel
def minimum(state, a, b, out):  # type: ignore[no-untyped-def]
    for row in range(np.uint64(len(out))):
        out[row] = a[row] if a[row] < b[row] or a[row] != a[row] else b[row]


@kernel
def greater(state, a, b, out):  # type: ignore[no-untyped-def]
    """1 where a > b, else 0."""
    for row in range(np.uint64(len(out))):
        larger = 1.0 if a[row] > b[row] else 0.0
        out[row] = larger if a[row] == a[row] and b[row] == b[row] else math.nan


@kernel
def absolute(state, a, out):  # type: ignore[no-untyped-def]
    for row in range(np.uint64(len(out))):
        out[row] = abs(a[row])


@kernel
def square_root(state, a, out):  # type: ignore[no-untyped-def]
    for row in range(np.uint64(len(out))):
        out[row] = math.sqrt(a[row])


@kernel
def logarithm(state, a, out):  # type: ignore[no-untyped-def]
    for row in range(np.uint64(len(out))):
        out[row] = ln(a[row])


@kernel
def sign(state, a, out):  # type: ignore[no-untyped-def]
    for row in range(np.uint64(len(out))):
        step = 1.0 if a[row] > 0.0 else -1.0 if a[row] < 0.0 else 0.0
        out[row] = step if a[row] == a[row] else math.nan


@kernel
def error_function(state, a, out):  # type: ignore[no-untyped-def]
    for row in range(np.uint64(len(out))):
        out[row] = math.erf(a[row])


@kernel
def exponential(state, a, out):  # type: ignore[no-untyped-def]
    for row in range(np.uint64(len(out))):
        out[row] = math.exp(a[row])


@kernel
def log1p(state, a, out):  # type: ignore[no-untyped-def]
    for row in range(np.uint64(len(out))):
        out[row] = ln1p(a[row])


@kernel
def divide_or(state, a, b, c, out):  # type: ignore[no-untyped-def]
    """a / b, and c where b is 0 and a is known: else a feature would have a value while its numerator warms up."""
    for row in range(np.uint64(len(out))):
        quotient = a[row] / b[row]
        known = a[row] == a[row]
        out[row] = c[row] if (b[row] == 0.0) & known else quotient


_ALL = [
    *(add, subtract, multiply, divide, maximum, minimum, greater, absolute, square_root, logarithm),
    *(sign, error_function, exponential, log1p, divide_or),
]
OPERATIONS: dict[str, Callable[..., Any]] = {operation.__name__: operation for operation in _ALL}
