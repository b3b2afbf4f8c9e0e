"""Lanes picked from others, one number in all of them, and what all of them say together: see `lanes`."""

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from kernels.lanes import COUNT, FLAGS, INDEX, LANES, constant, declared, lanes, mask, members_of, spread


def shuffle(picks: Sequence[int]) -> Any:
    """An intrinsic that picks lanes from two: 0 to 7 are the first's, 8 to 15 those of the second, or a number."""

    @intrinsic
    def shuffled(typing_context, one, other):  # type: ignore[no-untyped-def]
        def generate(context, builder, made, arguments):  # type: ignore[no-untyped-def]
            one, other = arguments[0], spread(builder, arguments[1])
            return builder.shuffle_vector(one, other, ir.Constant(ir.VectorType(INDEX, LANES), list(picks)))

        return lanes(one, other), generate

    return shuffled


before_each = shuffle([2 * LANES - 1, *range(LANES - 1)])  # the first takes the last of the second argument
after_each = shuffle(range(1, LANES + 1))  # the last takes the first of the second argument


@intrinsic
def in_each(typing_context, value):  # type: ignore[no-untyped-def]
    """A number in all lanes."""

    def generate(context, builder, made, arguments):  # type: ignore[no-untyped-def]
        return spread(builder, arguments[0])

    return lanes(types.float64), generate


@intrinsic
def all_finite(typing_context, bundle):  # type: ignore[no-untyped-def]
    """Whether no lane of any member is NaN or infinite."""

    def generate(context, builder, made, arguments):  # type: ignore[no-untyped-def]
        flags = ir.Constant(FLAGS, [1] * LANES)
        for member in members_of(builder, arguments[0]):
            nothing = builder.fsub(member, member)
            flags = builder.and_(flags, builder.fcmp_ordered("==", nothing, constant([0.0] * LANES)))
        bits = ir.IntType(LANES)
        return builder.icmp_unsigned("==", builder.bitcast(flags, bits), ir.Constant(bits, 2**LANES - 1))

    return types.boolean(bundle), generate


@intrinsic
def how_many(typing_context, flags):  # type: ignore[no-untyped-def]
    """In how many lanes a comparison holds."""

    def generate(context, builder, made, arguments):  # type: ignore[no-untyped-def]
        bits = ir.IntType(LANES)
        count = declared(builder, f"llvm.ctpop.i{LANES}", ir.FunctionType(bits, [bits]))
        return builder.zext(builder.call(count, [builder.bitcast(arguments[0], bits)]), COUNT)

    return types.uint64(mask), generate
