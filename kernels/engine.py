"""Runs a program of kernels over blocks of rows, wholly in compiled code.

A program is a list of steps. A step calls the `update` of a kernel through its address, or emits a column as one
float32 output. The columns that steps read and write lie at numbered places: first the inputs and the outputs, where
the caller has them, then the slots, working memory of `BLOCK` rows each. So nothing is copied that is not computed,
and all that a block needs stays in the second-level cache. Kernels are compiled once each, whatever the program: a
new combination of features compiles nothing.
"""

from collections.abc import Callable, Sequence
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
from kernels.interleave import interleave

BLOCK = 1536  # rows: 1024 to 2048 take the same time; four columns fit into a first-level cache of 48 KiB
_LINE = 64  # bytes of a line of the cache

# Step layout: how many columns the kernel takes, 0 to emit; its address; first and length of its state; the places of
# the columns, inputs before outputs.
COLUMNS, ADDRESS, STATE, STATE_LENGTH, PLACES, STEP = 0, 1, 2, 3, 4, 9
EMIT = 0
_MOST = STEP - PLACES

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


def call(update: Any, start: int, length: int, columns: Sequence[int]) -> list[int]:
    """The step that calls a kernel: its part of the state, and the places of its inputs and then of its outputs.

    Raises:
        TypeError: see `address_of`. ValueError: too many columns.
    """
    if len(columns) > _MOST:
        raise ValueError(f"kernel with {len(columns)} inputs and outputs: expected at most {_MOST}")
    address = address_of(update, 1 + len(columns))
    return [len(columns), address, start, length, *columns, *[0] * (_MOST - len(columns))]


def emission(column: int, output: int) -> list[int]:
    """The step that writes one column as float32."""
    return [EMIT, 0, 0, 0, column, output, *[0] * (_MOST - 2)]


@intrinsic
def _call(typing_context, address, vectors):  # type: ignore[no-untyped-def]
    """Call `void f(float64[::1], ...)` at an address."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        members = cgutils.unpack_tuple(builder, arguments[1])
        vector = context.get_value_type(_VECTOR)
        function = ir.FunctionType(context.get_value_type(types.none), [vector] * len(members))
        builder.call(builder.inttoptr(arguments[0], function.as_pointer()), members)
        return context.get_dummy_value()

    return types.void(types.int64, vectors), generate


def _viewer(kind: Any) -> Callable[..., Any]:
    """An intrinsic that gives the contiguous vector at an address, which it does not own.

    A slice would count references, which takes longer than the call of a kernel for one row.
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


_vector, _vector32, _integers = _viewer(types.float64), _viewer(types.float32), _viewer(types.int64)


@intrinsic
def _address(typing_context, array):  # type: ignore[no-untyped-def]
    """Where the numbers of an array begin; `ctypes.data` says the same, but counts references."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.ptrtoint(data, context.get_value_type(types.int64))

    return types.int64(array), generate


@kernel
def _run(steps, count, states, places, rows):  # type: ignore[no-untyped-def]
    """Run `count` steps over one block; `steps` and `states` are addresses, `places` tells those of the columns."""
    for number in range(count):
        step = _integers(steps + number * 8 * STEP, STEP)
        state = _vector(states + 8 * step[STATE], step[STATE_LENGTH])
        a, b = _vector(places[step[PLACES]], rows), _vector(places[step[PLACES + 1]], rows)
        c, d = _vector(places[step[PLACES + 2]], rows), _vector(places[step[PLACES + 3]], rows)
        columns, address = step[COLUMNS], step[ADDRESS]
        if columns == EMIT:
            _emit(a, _vector32(places[step[PLACES + 1]], rows))
        elif columns == 2:
            _call(address, (state, a, b))
        elif columns == 3:
            _call(address, (state, a, b, c))
        elif columns == 4:
            _call(address, (state, a, b, c, d))
        else:
            _call(address, (state, a, b, c, d, _vector(places[step[PLACES + 4]], rows)))


@kernel
def _emit(x, out):  # type: ignore[no-untyped-def]
    for row in range(np.uint64(len(x))):
        out[row] = x[row]


@kernel
def _lay_out(places, first, end, address, distance):  # type: ignore[no-untyped-def]
    """Let the places from `first` up to `end` be columns `distance` bytes apart."""
    for place in range(np.uint64(first), np.uint64(end)):
        places[place] = address
        address += distance


@kernel
def _move_on(places, first, end, distance):  # type: ignore[no-untyped-def]
    for place in range(np.uint64(first), np.uint64(end)):
        places[place] += distance


@kernel
def advance(steps, state, places, pool, columns, out):  # type: ignore[no-untyped-def]
    """Run a program over the next rows.

    Args:
        steps: (steps, STEP) int64.
        state: float64, the states of all kernels one after another; changed in place.
        places: (inputs + outputs + slots,) int64, working memory for the addresses of all columns.
        pool: float64, `BLOCK` numbers a slot; slots of constants are filled.
        columns: (inputs, rows) float64, each column contiguous.
        out: (outputs, rows) float32 to write into, each column contiguous.
    """
    table = _integers(_address(places), len(places))
    inputs, slots = len(columns), len(columns) + len(out)
    if slots + len(pool) // BLOCK != len(places):
        raise ValueError("columns or out: not as many as the program was made for")
    _lay_out(table, 0, inputs, _address(columns), columns.strides[0])
    _lay_out(table, inputs, slots, _address(out), out.strides[0])
    _lay_out(table, slots, len(table), _address(pool), 8 * BLOCK)
    left = columns.shape[1]
    while left > 0:
        _run(_address(steps), len(steps), _address(state), table, min(left, BLOCK))
        left -= BLOCK
        if left > 0:
            _move_on(table, 0, inputs, 8 * BLOCK)
            _move_on(table, inputs, slots, 4 * BLOCK)


@kernel
def advance_rows(steps, state, places, pool, columns, out):  # type: ignore[no-untyped-def]
    """As `advance`, but `out` is (rows, outputs) float32."""
    block = np.empty((out.shape[1], min(BLOCK, len(out))), np.float32)
    for start in range(0, columns.shape[1], BLOCK):
        stop = min(start + BLOCK, columns.shape[1])
        advance(steps, state, places, pool, columns[:, start:stop], block)
        interleave(block, out[start:stop])


def new_pool(slots: int) -> Floats:
    """Room for so many slots, each of which begins on a line of the cache."""
    room = np.zeros(slots * BLOCK + _LINE // 8)
    start = -room.ctypes.data % _LINE // 8
    return room[start : start + slots * BLOCK]
