"""Runs a program of kernels and element-wise operations over blocks of rows, wholly in compiled code.

A program is a list of steps over a pool of slots. A slot is one column of the block under way (`BLOCK` float64), so
that everything a block needs stays in the second-level cache. A step loads an input column, applies an operation to
whole slots, calls a kernel's `update` through its address, or emits a slot as one float32 output column. Kernels
are compiled once each, whatever the program: a new combination of features compiles nothing.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from kernels.arrays import Floats
from kernels.compilation import kernel
from kernels.logarithm import ln, ln1p

BLOCK = 1024  # rows: 60 slots of 8 KiB are what a second-level cache of 512 KiB holds

# Step layout: code, first and last of its state, up to four slots read, up to three written (or the output column).
CODE, STATE, STATE_END, READ, WRITTEN, STEP = 0, 1, 2, 3, 7, 10

OPERATIONS = (
    "add",
    "subtract",
    "multiply",
    "divide",
    "maximum",
    "minimum",
    "greater",
    "absolute",
    "square_root",
    "logarithm",
    "sign",
    "error_function",
    "exponential",
    "log1p",
    "divide_or",
)
_ADD, _SUBTRACT, _MULTIPLY, _DIVIDE, _MAXIMUM, _MINIMUM, _GREATER, _ABSOLUTE = range(8)
_SQUARE_ROOT, _LOGARITHM, _SIGN, _ERROR_FUNCTION, _EXPONENTIAL, _LOG1P, _DIVIDE_OR = range(8, 15)
LOAD, EMIT = 50, 51
_CALL = 100  # plus 10 · inputs + outputs


def call_code(inputs: int, outputs: int) -> int:
    """The step code of a kernel with so many inputs and outputs."""
    if (inputs, outputs) not in {(1, 1), (1, 2), (1, 3), (2, 1), (3, 1), (4, 1)}:
        raise ValueError(
            f"kernel with {inputs} inputs and {outputs} outputs: expected 1 to 4 inputs and 1 output, "
            "or 1 input and 2 or 3 outputs"
        )
    return _CALL + 10 * inputs + outputs


_VECTOR = types.float64[::1]


def address_of(update: Any, arrays: int) -> int:
    """Address of the compiled `update(state, …)` of `arrays` float64 vectors; compiles it if need be.

    `update` must stay alive as long as the address is used.
    """
    signature = (_VECTOR,) * arrays
    update.compile(signature)
    compiled = update.overloads[signature]
    return int(compiled.library.get_pointer_to_function(compiled.fndesc.llvm_cfunc_wrapper_name))


def _caller(arrays: int) -> Callable[..., None]:
    """An intrinsic that calls `void f(float64[::1], ...)` at an address."""

    @intrinsic
    def call(typing_context, address, vectors):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            vector = context.get_value_type(_VECTOR)
            function = ir.FunctionType(context.get_value_type(types.none), [vector] * arrays)
            pointer = builder.inttoptr(arguments[0], function.as_pointer())
            builder.call(pointer, cgutils.unpack_tuple(builder, arguments[1], arrays))
            return context.get_dummy_value()

        return types.void(types.int64, vectors), generate

    return call  # type: ignore[no-any-return]


_call3, _call4, _call5 = _caller(3), _caller(4), _caller(5)
_call6 = _caller(6)


@kernel
def _apply(code, a, b, c, out):  # type: ignore[no-untyped-def]
    """One operation on whole slots; NaN in, NaN out."""
    rows = np.uint64(len(out))  # unsigned, and never in place: the loops vectorise
    if code == _ADD:
        for row in range(rows):
            out[row] = a[row] + b[row]
    elif code == _SUBTRACT:
        for row in range(rows):
            out[row] = a[row] - b[row]
    elif code == _MULTIPLY:
        for row in range(rows):
            out[row] = a[row] * b[row]
    elif code == _DIVIDE:
        for row in range(rows):
            out[row] = a[row] / b[row]
    elif code == _MAXIMUM:
        for row in range(rows):
            out[row] = a[row] if a[row] > b[row] or a[row] != a[row] else b[row]
    elif code == _MINIMUM:
        for row in range(rows):
            out[row] = a[row] if a[row] < b[row] or a[row] != a[row] else b[row]
    elif code == _GREATER:
        for row in range(rows):
            larger = 1.0 if a[row] > b[row] else 0.0
            out[row] = larger if a[row] == a[row] and b[row] == b[row] else math.nan
    elif code == _ABSOLUTE:
        for row in range(rows):
            out[row] = abs(a[row])
    elif code == _SQUARE_ROOT:
        for row in range(rows):
            out[row] = math.sqrt(a[row])
    elif code == _DIVIDE_OR:
        for row in range(rows):
            quotient = a[row] / b[row]
            known = a[row] == a[row]  # else a feature would have a value while its numerator warms up
            out[row] = c[row] if (b[row] == 0.0) & known else quotient
    elif code == _SIGN:
        for row in range(rows):
            step = 1.0 if a[row] > 0.0 else -1.0 if a[row] < 0.0 else 0.0
            out[row] = step if a[row] == a[row] else math.nan
    elif code == _LOGARITHM:
        for row in range(rows):
            out[row] = ln(a[row])
    elif code == _LOG1P:
        for row in range(rows):
            out[row] = ln1p(a[row])
    elif code == _EXPONENTIAL:
        for row in range(rows):
            out[row] = math.exp(a[row])
    else:
        for row in range(rows):
            out[row] = math.erf(a[row])


@kernel
def _call_kernel(code, address, state, pool, at, rows):  # type: ignore[no-untyped-def]
    """Call the kernel at `address`; `at` holds where its inputs and outputs begin in the pool."""
    a = pool[at[0] : at[0] + rows]
    x = pool[at[4] : at[4] + rows]
    if code == _CALL + 11:
        _call3(address, (state, a, x))
    elif code == _CALL + 12:
        _call4(address, (state, a, x, pool[at[5] : at[5] + rows]))
    elif code == _CALL + 13:
        _call5(address, (state, a, x, pool[at[5] : at[5] + rows], pool[at[6] : at[6] + rows]))
    elif code == _CALL + 21:
        _call4(address, (state, a, pool[at[1] : at[1] + rows], x))
    elif code == _CALL + 31:
        _call5(address, (state, a, pool[at[1] : at[1] + rows], pool[at[2] : at[2] + rows], x))
    else:
        b = pool[at[1] : at[1] + rows]
        c = pool[at[2] : at[2] + rows]
        _call6(address, (state, a, b, c, pool[at[3] : at[3] + rows], x))


@kernel
def advance(steps, addresses, state, pool, columns, out):  # type: ignore[no-untyped-def]
    """Run a program over the next rows.

    Args:
        steps: (steps, STEP) int64. addresses: (steps,) int64, of kernels; 0 for other steps.
        state: float64, the states of all kernels one after another; changed in place.
        pool: float64, `BLOCK` numbers a slot; slots of constants are filled.
        columns: (inputs, rows) float64.
        out: (outputs, rows) float32 to write into.
    """
    for start in range(0, columns.shape[1], BLOCK):
        rows = min(BLOCK, columns.shape[1] - start)
        for number in range(len(steps)):
            step = steps[number]
            code = step[CODE]
            if code >= _CALL:
                own = state[step[STATE] : step[STATE_END]]
                _call_kernel(code, addresses[number], own, pool, step[READ:], rows)
            elif code == LOAD:
                pool[step[WRITTEN] : step[WRITTEN] + rows] = columns[step[READ], start : start + rows]
            elif code == EMIT:
                emitted = out[step[WRITTEN], start : start + rows]
                slot = pool[step[READ] : step[READ] + rows]
                for row in range(np.uint64(rows)):
                    emitted[row] = slot[row]
            else:
                a = pool[step[READ] : step[READ] + rows]
                b = pool[step[READ + 1] : step[READ + 1] + rows]
                c = pool[step[READ + 2] : step[READ + 2] + rows]
                _apply(code, a, b, c, pool[step[WRITTEN] : step[WRITTEN] + rows])


@kernel
def advance_rows(steps, addresses, state, pool, columns, out):  # type: ignore[no-untyped-def]
    """As `advance`, but `out` is (rows, outputs) float32."""
    block = np.empty((out.shape[1], BLOCK), np.float32)
    for start in range(0, columns.shape[1], BLOCK):
        stop = min(start + BLOCK, columns.shape[1])
        advance(steps, addresses, state, pool, columns[:, start:stop], block)
        _interleave(block, out[start:stop])


@kernel
def _interleave(block, out):  # type: ignore[no-untyped-def]
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            out[row, column] = block[column, row]


def new_pool(slots: int) -> Floats:
    """Room for so many slots."""
    return np.zeros(max(slots, 1) * BLOCK)
