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
from numba.core.dispatcher import Dispatcher
from numba.core.errors import NumbaError
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from kernels.arrays import Floats
from kernels.compilation import kernel
from kernels.logarithm import ln, ln1p

BLOCK = 1024  # rows: 60 slots of 8 KiB are what a second-level cache of 512 KiB holds
SLOT_BYTES = 8 * BLOCK

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

    Raises:
        TypeError: it is not compiled by Numba, does not take these vectors, or returns something.
    """
    signature = (_VECTOR,) * arrays
    expected = f"expected a function compiled by numba.njit that takes {arrays} float64 vectors and returns nothing"
    if not isinstance(update, Dispatcher):
        raise TypeError(f"update: {expected}, received {type(update).__name__}")
    name = update.py_func.__name__
    try:
        update.compile(signature)
    except (NumbaError, TypeError) as error:
        raise TypeError(f"{name}: {expected}; Numba says: {' '.join(str(error).split())}") from error
    compiled = update.overloads[signature]
    if compiled.signature.return_type != types.none:  # the caller would hand it the wrong arguments
        raise TypeError(f"{name}: {expected}, received one that returns {compiled.signature.return_type}")
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


_call3, _call4, _call5, _call6 = _caller(3), _caller(4), _caller(5), _caller(6)


def _viewer(kind: Any) -> Callable[..., Any]:
    """An intrinsic that gives the contiguous vector at an address, which it does not own.

    A slice would count references: the one-row update of `core17` took 3.9 µs with slices and 2.1 without
    (`python -m benchmarks --only engine`).
    """
    vector = kind[::1]

    @intrinsic
    def view(typing_context, address, length):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            array = context.make_array(vector)(context, builder)
            number = context.get_value_type(kind)
            size = ir.Constant(context.get_value_type(types.intp), kind.bitwidth // 8)
            data = builder.inttoptr(arguments[0], number.as_pointer())
            populate_array(array, data, [arguments[1]], [size], size, None)
            return array._getvalue()

        return vector(types.int64, types.int64), generate

    return view  # type: ignore[no-any-return]


_vector, _vector32 = _viewer(types.float64), _viewer(types.float32)


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
def _copy(x, out):  # type: ignore[no-untyped-def]
    for row in range(np.uint64(len(x))):
        out[row] = x[row]


@kernel
def _call_kernel(code, address, state, pool, step, rows):  # type: ignore[no-untyped-def]
    """Call the kernel at `address`; `pool` is the address of the slots that `step` names."""
    a = _vector(pool + step[READ], rows)
    x = _vector(pool + step[WRITTEN], rows)
    if code == _CALL + 11:
        _call3(address, (state, a, x))
    elif code == _CALL + 12:
        _call4(address, (state, a, x, _vector(pool + step[WRITTEN + 1], rows)))
    elif code == _CALL + 13:
        y, z = _vector(pool + step[WRITTEN + 1], rows), _vector(pool + step[WRITTEN + 2], rows)
        _call5(address, (state, a, x, y, z))
    elif code == _CALL + 21:
        _call4(address, (state, a, _vector(pool + step[READ + 1], rows), x))
    else:
        b, c = _vector(pool + step[READ + 1], rows), _vector(pool + step[READ + 2], rows)
        if code == _CALL + 31:
            _call5(address, (state, a, b, c, x))
        else:
            _call6(address, (state, a, b, c, _vector(pool + step[READ + 3], rows), x))


@kernel
def advance(steps, addresses, state, pool, columns, out):  # type: ignore[no-untyped-def]
    """Run a program over the next rows.

    Args:
        steps: (steps, STEP) int64; slots are given by their distance from the start of the pool in bytes.
        addresses: (steps,) int64, of kernels; 0 for other steps.
        state: float64, the states of all kernels one after another; changed in place.
        pool: float64, `BLOCK` numbers a slot; slots of constants are filled.
        columns: (inputs, rows) float64, each column contiguous.
        out: (outputs, rows) float32 to write into, each column contiguous.
    """
    slots, states = np.int64(pool.ctypes.data), np.int64(state.ctypes.data)
    inputs, outputs = np.int64(columns.ctypes.data), np.int64(out.ctypes.data)
    for start in range(0, columns.shape[1], BLOCK):
        rows = min(BLOCK, columns.shape[1] - start)
        for number in range(len(steps)):
            step = steps[number]
            code = step[CODE]
            if code >= _CALL:
                own = _vector(states + 8 * step[STATE], step[STATE_END] - step[STATE])
                _call_kernel(code, addresses[number], own, slots, step, rows)
            elif code == LOAD:
                column = _vector(inputs + step[READ] * columns.strides[0] + 8 * start, rows)
                _copy(column, _vector(slots + step[WRITTEN], rows))
            elif code == EMIT:
                column32 = _vector32(outputs + step[WRITTEN] * out.strides[0] + 4 * start, rows)
                _copy(_vector(slots + step[READ], rows), column32)
            else:
                a, b = _vector(slots + step[READ], rows), _vector(slots + step[READ + 1], rows)
                c, x = _vector(slots + step[READ + 2], rows), _vector(slots + step[WRITTEN], rows)
                _apply(code, a, b, c, x)


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
