"""Eight rows at once: what a loop over `Lanes` says is what the processor does.

A value of this type holds eight float64, one a row. LLVM turns it into whatever vectors the processor has, and the
operations are the same ones in the same order on each, so that the bits are too. Functions here take bundles, that is
tuples: of arrays, of lanes, of numbers; what is done to a bundle is done to each of its members.

A running sum of eight rows, `running_up`, is made of three additions of pairs, pairs of pairs, and halves: lane 5
holds ((x0 + x1) + (x2 + x3)) + (x4 + x5). Rows that have not come yet may be 0: lanes before them do not change, and
the last lane holds the sum so far.
"""

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.imputils import lower_builtin, lower_constant
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, models, register_model, typeof_impl

LANES = 8
WIDTH = np.uint64(LANES)

_NUMBER, _FLAG, COUNT, INDEX = ir.DoubleType(), ir.IntType(1), ir.IntType(64), ir.IntType(32)
VECTOR, FLAGS = ir.VectorType(_NUMBER, LANES), ir.VectorType(_FLAG, LANES)
_UNKNOWN = ir.Constant(VECTOR, ir.Undefined)


class _LanesType(types.Type):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__(name="Lanes")


class _MaskType(types.Type):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__(name="LaneMask")


@register_model(_LanesType)
class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, VECTOR)


@register_model(_MaskType)
class _MaskModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, FLAGS)


lanes, mask = _LanesType(), _MaskType()


def constant(values: Sequence[float]) -> ir.Constant:
    return ir.Constant(VECTOR, [ir.Constant(_NUMBER, value) for value in values])


def spread(builder: Any, value: Any) -> Any:
    """A number in all lanes; lanes as they are."""
    if value.type == VECTOR:
        return value
    first = builder.insert_element(_UNKNOWN, value, ir.Constant(INDEX, 0))
    return _shuffled(builder, first, _UNKNOWN, [0] * LANES)


def _shuffled(builder: Any, one: Any, other: Any, picks: Sequence[int]) -> Any:
    """Lanes picked from two: 0 to 7 are those of `one`, 8 to 15 those of `other`."""
    return builder.shuffle_vector(one, other, ir.Constant(ir.VectorType(INDEX, LANES), list(picks)))


def _operator(function: Any, result: Any, build: Callable[[Any, Any, Any], Any]) -> None:
    """Let `function` take lanes, and lanes with numbers."""
    pairs = [(lanes, lanes), (lanes, types.float64), (types.float64, lanes)]

    @infer_global(function)
    class _Template(ConcreteTemplate):  # type: ignore[misc]
        cases = [signature(result, *pair) for pair in pairs]

    def lower(context: Any, builder: Any, made: Any, arguments: Any) -> Any:
        return build(builder, *(spread(builder, argument) for argument in arguments))

    for pair in pairs:
        lower_builtin(function, *pair)(lower)


_operator(operator.add, lanes, lambda builder, a, b: builder.fadd(a, b))
_operator(operator.sub, lanes, lambda builder, a, b: builder.fsub(a, b))
_operator(operator.mul, lanes, lambda builder, a, b: builder.fmul(a, b))
_operator(operator.truediv, lanes, lambda builder, a, b: builder.fdiv(a, b))
_operator(operator.lt, mask, lambda builder, a, b: builder.fcmp_ordered("<", a, b))
_operator(operator.gt, mask, lambda builder, a, b: builder.fcmp_ordered(">", a, b))
_operator(operator.ge, mask, lambda builder, a, b: builder.fcmp_ordered(">=", a, b))
_operator(operator.eq, mask, lambda builder, a, b: builder.fcmp_ordered("==", a, b))


@intrinsic
def where(typing_context, chosen, one, other):  # type: ignore[no-untyped-def]
    """`one` in the lanes that the mask names, else `other`; both lanes or numbers."""

    def generate(context, builder, made, arguments):  # type: ignore[no-untyped-def]
        return builder.select(arguments[0], spread(builder, arguments[1]), spread(builder, arguments[2]))

    return lanes(chosen, one, other), generate


@intrinsic
def square_root(typing_context, values):  # type: ignore[no-untyped-def]
    """Square root of each lane; NaN below 0."""

    def generate(context, builder, made, arguments):  # type: ignore[no-untyped-def]
        function = declared(builder, "llvm.sqrt.v8f64", ir.FunctionType(VECTOR, [VECTOR]))
        return builder.call(function, arguments)

    return lanes(values), generate


@intrinsic
def places(typing_context, first):  # type: ignore[no-untyped-def]
    """first, first + 1, ..., first + 7."""

    def generate(context, builder, made, arguments):  # type: ignore[no-untyped-def]
        return builder.fadd(spread(builder, arguments[0]), constant(range(LANES)))

    return lanes(types.float64), generate


def declared(builder: Any, name: str, kind: Any) -> Any:
    """A function of LLVM, declared once in a module."""
    found = builder.module.globals.get(name)
    return ir.Function(builder.module, kind, name) if found is None else found


def members_of(builder: Any, bundle: Any) -> list[Any]:
    return [builder.extract_value(bundle, number) for number in range(bundle.type.count)]


def bundled(context: Any, builder: Any, kind: Any, members: Sequence[Any]) -> Any:
    return context.make_tuple(builder, kind, members)


def _sum(builder: Any, one: Any, other: Any) -> Any:
    return builder.fadd(one, other)


def _larger(builder: Any, one: Any, other: Any) -> Any:
    """The larger of two; `one` where either is NaN."""
    return builder.select(builder.fcmp_ordered(">", other, one), other, one)


@dataclass(frozen=True)
class Fold:
    """How rows become one: `neutral` changes nothing."""

    name: str
    neutral: float
    combine: Callable[[Any, Any, Any], Any]


SUM = Fold("sum", 0.0, _sum)
MAXIMUM = Fold("maximum", -math.inf, _larger)


class _FoldType(types.Opaque):  # type: ignore[misc]
    """A fold is a type of its own, so that code is made for each."""

    def __init__(self, fold: Fold) -> None:
        super().__init__(name=f"Fold({fold.name})")
        self.fold = fold


register_model(_FoldType)(models.OpaqueModel)
typeof_impl.register(Fold)(lambda fold, context: _FoldType(fold))
lower_constant(_FoldType)(lambda context, builder, kind, value: context.get_dummy_value())


@intrinsic
def join(typing_context, fold, one, other):  # type: ignore[no-untyped-def]
    """Two bundles combined member by member; numbers go to every lane."""
    has_lanes = lanes in (one.dtype, other.dtype)

    def generate(context, builder, made, arguments):  # type: ignore[no-untyped-def]
        members = [members_of(builder, bundle) for bundle in arguments[1:]]
        if has_lanes:
            members = [[spread(builder, member) for member in bundle] for bundle in members]
        joined = [made.args[0].fold.combine(builder, *pair) for pair in zip(*members, strict=True)]
        return bundled(context, builder, made.return_type, joined)

    return types.UniTuple(lanes if has_lanes else types.float64, one.count)(fold, one, other), generate


_NONE = LANES  # the lane of a shuffle that is filled with what changes nothing
UPWARD = ([8, 0, 8, 2, 8, 4, 8, 6], [8, 8, 1, 1, 8, 8, 5, 5], [8, 8, 8, 8, 3, 3, 3, 3])
DOWNWARD = [[pick if pick == _NONE else 7 - pick for pick in reversed(step)] for step in UPWARD]


def _on_members(change: Callable[[Any, Fold, Any], Any]) -> Any:
    """An intrinsic of a fold and a bundle that changes each of its members."""

    @intrinsic
    def changed(typing_context, fold, bundle):  # type: ignore[no-untyped-def]
        def generate(context, builder, made, arguments):  # type: ignore[no-untyped-def]
            members = [change(builder, made.args[0].fold, member) for member in members_of(builder, arguments[1])]
            return bundled(context, builder, made.return_type, members)

        return bundle(fold, bundle), generate

    return changed


def _run(builder: Any, fold: Fold, member: Any, picks: Sequence[Sequence[int]]) -> Any:
    for step in picks:
        member = fold.combine(builder, member, _shuffled(builder, member, constant([fold.neutral] * LANES), step))
    return member


def _shift(builder: Any, fold: Fold, member: Any) -> Any:
    return _shuffled(builder, member, constant([fold.neutral] * LANES), range(1, LANES + 1))


running_up = _on_members(lambda builder, fold, member: _run(builder, fold, member, UPWARD))  # from the first lane on
running_down = _on_members(lambda builder, fold, member: _run(builder, fold, member, DOWNWARD))  # from the last on
lanes_after = _on_members(_shift)  # each lane takes the one after it


def _picker(number: int) -> Any:
    @intrinsic
    def pick(typing_context, bundle):  # type: ignore[no-untyped-def]
        def generate(context, builder, made, arguments):  # type: ignore[no-untyped-def]
            place = ir.Constant(INDEX, number)
            picked = [builder.extract_element(member, place) for member in members_of(builder, arguments[0])]
            return bundled(context, builder, made.return_type, picked)

        return types.UniTuple(types.float64, bundle.count)(bundle), generate

    return pick


first_lanes, last_lanes = _picker(0), _picker(LANES - 1)
