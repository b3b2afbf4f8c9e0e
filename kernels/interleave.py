"""Columns to rows: squares of eight by eight numbers, turned in registers."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from kernels.compilation import kernel

SIDE = 8
_LANES = ir.VectorType(ir.FloatType(), SIDE)


def _swapped(builder: Any, lines: list[Any], distance: int) -> list[Any]:
    """Swap the parts off the diagonal of every square of `2 · distance` numbers a side."""
    lanes = range(SIDE)
    low = [lane + SIDE - distance if lane & distance else lane for lane in lanes]
    high = [lane + SIDE if lane & distance else lane + distance for lane in lanes]
    made = list(lines)
    for line in (line for line in lanes if not line & distance):
        for target, picks in ((line, low), (line + distance, high)):
            chosen = ir.Constant(ir.VectorType(ir.IntType(32), SIDE), picks)
            made[target] = builder.shuffle_vector(lines[line], lines[line + distance], chosen)
    return made


def _line(builder: Any, start: Any, step: Any, number: int) -> Any:
    """Where line `number` lies, when the first begins at `start` and each `step` bytes after the one before."""
    place = builder.add(start, builder.mul(step, ir.Constant(step.type, number)))
    return builder.inttoptr(place, _LANES.as_pointer())


@intrinsic
def _turn(typing_context, source, source_step, target, target_step):  # type: ignore[no-untyped-def]
    """Read eight lines of eight float32 from one address on, write their columns as lines from another on."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        source, source_step, target, target_step = arguments
        lines = [builder.load(_line(builder, source, source_step, number), align=4) for number in range(SIDE)]
        for distance in (1, 2, 4):
            lines = _swapped(builder, lines, distance)
        for number, made in enumerate(lines):
            builder.store(made, _line(builder, target, target_step, number), align=4)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, types.int64), generate


@kernel
def interleave(block, out):  # type: ignore[no-untyped-def]
    """Write the first rows of (columns, rows) float32 as (rows, columns); the last eight of each may be done twice."""
    rows, columns = out.shape
    if rows < SIDE or columns < SIDE:
        for row in range(rows):
            for column in range(columns):
                out[row, column] = block[column, row]
        return
    source, target = np.int64(block.ctypes.data), np.int64(out.ctypes.data)
    across, down = block.strides[0], out.strides[0]
    for start in range(0, rows, SIDE):
        row = min(start, rows - SIDE)
        for left in range(0, columns, SIDE):
            column = min(left, columns - SIDE)
            _turn(source + column * across + 4 * row, across, target + row * down + 4 * column, down)
