"""Eight rows between memory and `lanes.Lanes`.

Rows of arrays, which are handed over as bundles, or of columns, which lie `stride` apart in one array. With
NUMBA_BOUNDSCHECK=1 an access that leaves its array raises an IndexError, as Numba's own do.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic

from kernels.lanes import COUNT, FLAGS, INDEX, LANES, VECTOR, bundled, declared, lanes, members_of, spread

AHEAD = np.uint64(512)  # how far ahead rows are fetched: ATR of 1 million rows then takes 0.46 instead of 0.70 ns a row
_ALIGNMENT = 8  # bytes: rows begin anywhere
_LAST = ir.Constant(COUNT, LANES - 1)


def _pointer(context: Any, builder: Any, kind: Any, array: Any, index: Any, reach: tuple[Any, Any]) -> Any:
    """Address of a number, after a check that those in reach of it are there: from the first to the last offset."""
    made = context.make_array(kind)(context, builder, array)
    if config.BOUNDSCHECK:
        (size,) = cgutils.unpack_tuple(builder, made.shape, 1)
        for offset in reach:
            cgutils.do_boundscheck(context, builder, builder.add(index, offset), size)
    return builder.gep(made.data, [index])


def _vector_at(context: Any, builder: Any, kind: Any, array: Any, index: Any, reach: tuple[Any, Any]) -> Any:
    return builder.bitcast(_pointer(context, builder, kind, array, index, reach), VECTOR.as_pointer())


_EIGHT = (ir.Constant(COUNT, 0), _LAST)


def _last_of(builder: Any, count: Any) -> Any:
    """The place of the last of `count` rows, of which eight are looked at."""
    last = builder.sub(count, ir.Constant(COUNT, 1))
    return builder.select(builder.icmp_unsigned("<", last, _LAST), last, _LAST)


def _flags_below(builder: Any, limit: Any) -> Any:
    """Flags of the lanes below `limit`."""
    numbers = ir.VectorType(COUNT, LANES)
    unknown = ir.Constant(numbers, ir.Undefined)
    first = builder.insert_element(unknown, limit, ir.Constant(INDEX, 0))
    limits = builder.shuffle_vector(first, unknown, ir.Constant(ir.VectorType(INDEX, LANES), [0] * LANES))
    return builder.icmp_unsigned("<", ir.Constant(numbers, list(range(LANES))), limits)


def _load_masked(builder: Any, address: Any, flags: Any, other: Any) -> Any:
    kind = ir.FunctionType(VECTOR, [VECTOR.as_pointer(), INDEX, FLAGS, VECTOR])
    function = declared(builder, "llvm.masked.load.v8f64.p0", kind)
    return builder.call(function, [address, ir.Constant(INDEX, _ALIGNMENT), flags, spread(builder, other)])


@intrinsic
def load(typing_context, arrays, index):  # type: ignore[no-untyped-def]
    """Rows `index` to `index + 7` of each array, all of which it must have."""

    def generate(context, builder, made, arguments):  # type: ignore[no-untyped-def]
        bundle, index = arguments
        read = []
        for array in members_of(builder, bundle):
            address = _vector_at(context, builder, made.args[0].dtype, array, index, _EIGHT)
            read.append(builder.load(address, align=_ALIGNMENT))
        return bundled(context, builder, made.return_type, read)

    return types.UniTuple(lanes, arrays.count)(arrays, types.uint64), generate


@intrinsic
def load_first(typing_context, arrays, index, count, rest):  # type: ignore[no-untyped-def]
    """As `load`, but only `count` rows are there: the lanes after them hold `rest`, a number for each array."""

    def generate(context, builder, made, arguments):  # type: ignore[no-untyped-def]
        bundle, index, count, rest = arguments
        flags, reach = _flags_below(builder, count), (_EIGHT[0], _last_of(builder, count))
        read = []
        for array, other in zip(members_of(builder, bundle), members_of(builder, rest), strict=True):
            address = _vector_at(context, builder, made.args[0].dtype, array, index, reach)
            read.append(_load_masked(builder, address, flags, other))
        return bundled(context, builder, made.return_type, read)

    return types.UniTuple(lanes, arrays.count)(arrays, types.uint64, types.uint64, rest), generate


@intrinsic
def load_columns(typing_context, array, index, stride, like):  # type: ignore[no-untyped-def]
    """Eight rows of as many columns as `like` has members."""

    def generate(context, builder, made, arguments):  # type: ignore[no-untyped-def]
        array, index, stride, _ = arguments
        read = []
        for _ in range(made.args[3].count):
            address = _vector_at(context, builder, made.args[0], array, index, _EIGHT)
            read.append(builder.load(address, align=_ALIGNMENT))
            index = builder.add(index, stride)
        return bundled(context, builder, made.return_type, read)

    return types.UniTuple(lanes, like.count)(array, types.uint64, types.uint64, like), generate


@intrinsic
def load_first_of_columns(typing_context, array, index, stride, count, rest):  # type: ignore[no-untyped-def]
    """As `load_columns`, but only `count` rows are there: the lanes after them hold `rest`, a number a column."""

    def generate(context, builder, made, arguments):  # type: ignore[no-untyped-def]
        array, index, stride, count, rest = arguments
        flags, reach = _flags_below(builder, count), (_EIGHT[0], _last_of(builder, count))
        read = []
        for other in members_of(builder, rest):
            address = _vector_at(context, builder, made.args[0], array, index, reach)
            read.append(_load_masked(builder, address, flags, other))
            index = builder.add(index, stride)
        return bundled(context, builder, made.return_type, read)

    return types.UniTuple(lanes, rest.count)(array, types.uint64, types.uint64, types.uint64, rest), generate


@intrinsic
def store(typing_context, arrays, index, bundle):  # type: ignore[no-untyped-def]
    """Write rows `index` to `index + 7` of each array."""

    def generate(context, builder, made, arguments):  # type: ignore[no-untyped-def]
        arrays, index, bundle = arguments
        for array, member in zip(members_of(builder, arrays), members_of(builder, bundle), strict=True):
            address = _vector_at(context, builder, made.args[0].dtype, array, index, _EIGHT)
            builder.store(member, address, align=_ALIGNMENT)
        return context.get_dummy_value()

    return types.void(arrays, types.uint64, bundle), generate


@intrinsic
def store_between(typing_context, arrays, index, begin, end, bundle):  # type: ignore[no-untyped-def]
    """As `store`, but only the lanes from `begin` up to `end`; the other rows need not be there."""

    def generate(context, builder, made, arguments):  # type: ignore[no-untyped-def]
        arrays, index, begin, end, bundle = arguments
        flags = builder.and_(_flags_below(builder, end), builder.not_(_flags_below(builder, begin)))
        reach = begin, _last_of(builder, end)
        kind = ir.FunctionType(ir.VoidType(), [VECTOR, VECTOR.as_pointer(), INDEX, FLAGS])
        function = declared(builder, "llvm.masked.store.v8f64.p0", kind)
        for array, member in zip(members_of(builder, arrays), members_of(builder, bundle), strict=True):
            address = _vector_at(context, builder, made.args[0].dtype, array, index, reach)
            builder.call(function, [member, address, ir.Constant(INDEX, _ALIGNMENT), flags])
        return context.get_dummy_value()

    return types.void(arrays, types.uint64, types.uint64, types.uint64, bundle), generate


@intrinsic
def store_columns(typing_context, array, index, stride, bundle):  # type: ignore[no-untyped-def]
    """Write eight rows of columns."""

    def generate(context, builder, made, arguments):  # type: ignore[no-untyped-def]
        array, index, stride, bundle = arguments
        for member in members_of(builder, bundle):
            address = _vector_at(context, builder, made.args[0], array, index, _EIGHT)
            builder.store(member, address, align=_ALIGNMENT)
            index = builder.add(index, stride)
        return context.get_dummy_value()

    return types.void(array, types.uint64, types.uint64, bundle), generate


def _number_at(context: Any, builder: Any, kind: Any, array: Any, index: Any, offset: int = 0) -> Any:
    place = builder.add(index, ir.Constant(COUNT, offset))
    return _pointer(context, builder, kind, array, place, (_EIGHT[0],) * 2)


@intrinsic
def row_of(typing_context, arrays, index):  # type: ignore[no-untyped-def]
    """One number of each array."""

    def generate(context, builder, made, arguments):  # type: ignore[no-untyped-def]
        bundle, index = arguments
        kind = made.args[0].dtype
        read = [builder.load(_number_at(context, builder, kind, array, index)) for array in members_of(builder, bundle)]
        return bundled(context, builder, made.return_type, read)

    return types.UniTuple(types.float64, arrays.count)(arrays, types.uint64), generate


@intrinsic
def numbers_at(typing_context, array, index, like):  # type: ignore[no-untyped-def]
    """As many numbers in a row as `like` has members."""

    def generate(context, builder, made, arguments):  # type: ignore[no-untyped-def]
        array, index, _ = arguments
        read = [
            builder.load(_number_at(context, builder, made.args[0], array, index, place))
            for place in range(made.args[2].count)
        ]
        return bundled(context, builder, made.return_type, read)

    return types.UniTuple(types.float64, like.count)(array, types.uint64, like), generate


@intrinsic
def put_numbers(typing_context, array, index, numbers):  # type: ignore[no-untyped-def]
    """Write numbers in a row."""

    def generate(context, builder, made, arguments):  # type: ignore[no-untyped-def]
        array, index, numbers = arguments
        for place, number in enumerate(members_of(builder, numbers)):
            builder.store(number, _number_at(context, builder, made.args[0], array, index, place))
        return context.get_dummy_value()

    return types.void(array, types.uint64, numbers), generate


@intrinsic
def fetch(typing_context, arrays, index):  # type: ignore[no-untyped-def]
    """Have the rows from `index` on, which need not be there, fetched from memory while others are worked on."""

    def generate(context, builder, made, arguments):  # type: ignore[no-untyped-def]
        bundle, index = arguments
        byte = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, INDEX, INDEX, INDEX])
        function = declared(builder, "llvm.prefetch.p0", kind)
        for array in members_of(builder, bundle):
            data = context.make_array(made.args[0].dtype)(context, builder, array).data
            address = builder.bitcast(builder.gep(data, [index]), byte)
            builder.call(function, [address, ir.Constant(INDEX, 0), ir.Constant(INDEX, 3), ir.Constant(INDEX, 1)])
        return context.get_dummy_value()

    return types.void(arrays, types.uint64), generate
