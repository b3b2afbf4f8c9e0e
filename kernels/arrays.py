"""What the public kernels share: argument checks, and the whole-array form as one `update` over all rows."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

ROWS = 0  # every state is one float64 vector whose first slot counts the rows it has seen


def checked(name: str, values: object) -> Floats:
    """`values` as a contiguous one-dimensional float64 array.

    Raises:
        TypeError: not a float64 array. ValueError: not one-dimensional.
    """
    if not isinstance(values, np.ndarray) or values.dtype != np.float64:
        received = values.dtype if isinstance(values, np.ndarray) else type(values).__name__
        raise TypeError(f"{name}: expected a float64 array, received {received}")
    if values.ndim != 1:
        raise ValueError(f"{name}: expected one dimension, received shape {values.shape}")
    return np.ascontiguousarray(values)


def checked_count(name: str, value: int, *, least: int = 1) -> int:
    """`value` as a whole number of rows, at least `least`.

    Raises:
        TypeError: not an integer. ValueError: too small.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name}: expected a whole number of rows, received {value!r}")
    if value < least:
        raise ValueError(f"{name}: expected at least {least}, received {value}")
    return int(value)


def run(update: Callable[..., Any], state: Floats, inputs: dict[str, Floats], out: Floats | None = None) -> Floats:
    """Feed whole arrays to a one-output `update` and return what it wrote."""
    return run_many(update, state, inputs, 1, None if out is None else (out,))[0]


def run_many(
    update: Callable[..., Any],
    state: Floats,
    inputs: dict[str, Floats],
    outputs: int,
    out: Sequence[Floats] | None = None,
) -> tuple[Floats, ...]:
    """Feed whole arrays to an `update` with several outputs and return what it wrote."""
    arrays = {name: checked(name, values) for name, values in inputs.items()}
    lengths = {name: len(values) for name, values in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"expected arrays of one length, received {lengths}")
    rows = next(iter(lengths.values()))
    if out is None:
        out = tuple(np.empty((outputs, rows)))
    for number, buffer in enumerate(out):
        name = f"out[{number}]"
        if checked(name, buffer) is not buffer or not buffer.flags.writeable:
            raise ValueError(f"{name}: expected a contiguous, writable array")
        if any(np.may_share_memory(buffer, array) for array in arrays.values()):
            raise ValueError(f"{name}: expected an array apart from the inputs, received one that shares their memory")
        if len(buffer) != rows:
            raise ValueError(f"{name}: expected {rows} rows, received {len(buffer)}")
    update(state, *arrays.values(), *out)
    return tuple(out)
