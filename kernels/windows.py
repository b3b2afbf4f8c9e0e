"""Windows of consecutive rows: a zero-copy view of all of them, and the gather of a batch.

For a matrix of 5 rows and a lookback of 3:

    window 0: rows 0 1 2
    window 1: rows 1 2 3
    window 2: rows 2 3 4

Windows that may be used lie in runs: `first` (runs,) is the first row of the first window of each, and `before`
(runs + 1,) counts the windows before each run, and all of them. So 100 million windows of a thousand symbols are named
by a few thousand numbers: window i of all is the one at row `first[run] + i - before[run]` of its run.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.arrays import Integers, checked_count
from kernels.compilation import kernel
from kernels.memory import copy_bytes

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
def copy_windows(matrix, starts, out):  # type: ignore[no-untyped-def]
    """`gather_windows` without its checks: both C-contiguous, of one dtype, every window inside the matrix."""
    row = matrix.shape[1] * matrix.itemsize
    size = out.shape[1] * row
    source, target = np.int64(matrix.ctypes.data), np.int64(out.ctypes.data)
    for window in range(len(starts)):
        copy_bytes(source + starts[window] * row, target + window * size, size)


@kernel
def locate_windows(first, before, indices, out):  # type: ignore[no-untyped-def]
    """First rows of the windows of these numbers, each 0 to `before[-1] - 1`; `out` may be `indices`."""
    for place in range(len(indices)):
        index = indices[place]
        low, high = 0, len(first)  # the run is in [low, high)
        while high - low > 1:
            middle = (low + high) >> 1
            if before[middle] <= index:
                low = middle
            else:
                high = middle
        out[place] = first[low] + (index - before[low])


@kernel
def first_not_finite(matrix, first, before, lookback):  # type: ignore[no-untyped-def]
    """Row and column of the first number in a window that is NaN or infinite; (-1, -1) where there is none."""
    for run in range(len(first)):
        end = first[run] + before[run + 1] - before[run] + lookback - 1
        for row in range(first[run], end):
            total = np.float32(0.0)
            for column in range(matrix.shape[1]):
                total += matrix[row, column] * np.float32(0.0)  # NaN where the number is not finite
            if total != 0.0:
                for column in range(matrix.shape[1]):
                    if not np.isfinite(matrix[row, column]):
                        return row, column
    return -1, -1


def window_rows(first: Integers, before: Integers, indices: Integers) -> Integers:
    """First rows of the windows of these numbers, (windows,) int64.

    Args:
        first: (runs,) int64, first row of the first window of each run.
        before: (runs + 1,) int64, windows before each run, then all windows; rising.
        indices: (windows,) int64, in any order.

    Raises:
        ValueError: the runs are not such, or there is no window of that number.
    """
    if len(before) != len(first) + 1 or before[0] != 0 or np.any(np.diff(before) < 1):
        raise ValueError(f"before: expected {len(first) + 1} rising counts from 0, received {before}")
    if len(indices) and not (indices.min() >= 0 and indices.max() < before[-1]):
        wrong = indices[(indices < 0) | (indices >= before[-1])][0]
        raise ValueError(f"indices: no window {wrong} of {before[-1]}")
    out = np.empty(len(indices), np.int64)
    locate_windows(first, before, indices, out)
    return out


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
    copy_windows(matrix, np.ascontiguousarray(starts), out)
    return out
