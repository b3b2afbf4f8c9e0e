"""Columns as they are stored to scaled rows."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.arrays import Floats
from kernels.compilation import kernel
from kernels.interleave import interleave

_TILE = 4096  # rows whose columns stay in the second-level cache between the two passes


@kernel
def _scaled(values, center, scale, out):  # type: ignore[no-untyped-def]
    for row in range(len(values)):
        out[row] = np.float32((np.float64(values[row]) - center) / scale)


def scaled_rows(
    columns: Sequence[NDArray[Any]], center: Floats, scale: Floats, out: NDArray[np.float32]
) -> NDArray[np.float32]:
    """`(value - center) / scale` of every column, computed in float64, as rows.

    Args:
        columns: of each feature, (time,) float32 or float64.
        center, scale: (features,) float64.
        out: (time, features) float32, C-contiguous.

    Returns:
        `out`.

    Raises:
        ValueError: wrong shape or dtype.
    """
    rows = len(columns[0]) if columns else 0
    if out.shape != (rows, len(columns)) or out.dtype != np.float32 or not out.flags.c_contiguous:
        raise ValueError(f"out: expected C-contiguous {(rows, len(columns))} float32, received {out.shape} {out.dtype}")
    if any(column.shape != (rows,) for column in columns) or {center.shape, scale.shape} != {(len(columns),)}:
        raise ValueError(f"columns: expected {len(columns)} of {rows} rows, each with its center and scale")
    tile = np.empty((len(columns), _TILE), np.float32)
    for begin in range(0, rows, _TILE):
        end = min(begin + _TILE, rows)
        for number, column in enumerate(columns):
            _scaled(column[begin:end], center[number], scale[number], tile[number, : end - begin])
        interleave(tile, out[begin:end])
    return out
