"""Windows of consecutive rows: a zero-copy view of all of them, and the gather of a batch.

For a matrix of 5 rows and a lookback of 3:

    window 0: rows 0 1 2
    window 1: rows 1 2 3
    window 2: rows 2 3 4
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.arrays import Integers, checked_count
from kernels.compilation import kernel

Matrix = NDArray[Any]  # float32 or float64


def sliding_windows(matrix: Matrix, lookback: int) -> Matrix:
    """Every window of `lookback` consecutive rows, as a read-only view: no data is copied.

    Args:
        matrix: (time, features).
        lookback: rows, at least 1.

    Returns:
        (time - lookback + 1, lookback, features) of the same dtype; empty when there are too few rows.

    Raises:
        ValueError: not two-dimensional, or lookback below 1.
    """
    lookback = checked_count("lookback", lookback)
    if matrix.ndim != 2:
        raise ValueError(f"matrix: expected two dimensions (time, features), received shape {matrix.shape}")
    if len(matrix) < lookback:
        return np.empty((0, lookback, matrix.shape[1]), matrix.dtype)
    view = np.lib.stride_tricks.sliding_window_view(matrix, lookback, axis=0)
    return view.transpose(0, 2, 1)


@kernel
def _gather(matrix, starts, out):  # type: ignore[no-untyped-def]
    lookback = out.shape[1]
    for window in range(len(starts)):
        start = starts[window]
        out[window] = matrix[start : start + lookback]


def gather_windows(matrix: Matrix, starts: Integers, lookback: int, out: Matrix | None = None) -> Matrix:
    """Copy the windows that begin at `starts` into one batch.

    Args:
        matrix: (time, features), C-contiguous.
        starts: (batch,) int64, first row of each window, in any order.
        lookback: rows, at least 1.
        out: (batch, lookback, features) of the dtype of `matrix`, C-contiguous; a new array when None.

    Returns:
        `out`.

    Raises:
        TypeError: starts are not int64. ValueError: wrong shape, or a window that leaves the matrix.
    """
    lookback = checked_count("lookback", lookback)
    if matrix.ndim != 2 or not matrix.flags.c_contiguous:
        raise ValueError(f"matrix: expected C-contiguous (time, features), received shape {matrix.shape}")
    if starts.dtype != np.int64 or starts.ndim != 1:
        raise TypeError(f"starts: expected (batch,) int64, received {starts.dtype} of shape {starts.shape}")
    if len(starts) and not (starts.min() >= 0 and starts.max() + lookback <= len(matrix)):
        wrong = starts[(starts < 0) | (starts + lookback > len(matrix))][0]
        raise ValueError(f"starts: window at row {wrong} leaves the matrix of {len(matrix)} rows")
    shape = (len(starts), lookback, matrix.shape[1])
    if out is None:
        out = np.empty(shape, matrix.dtype)
    if out.shape != shape or out.dtype != matrix.dtype or not out.flags.c_contiguous:
        raise ValueError(f"out: expected C-contiguous {shape} {matrix.dtype}, received {out.shape} {out.dtype}")
    _gather(matrix, np.ascontiguousarray(starts), out)
    return out
