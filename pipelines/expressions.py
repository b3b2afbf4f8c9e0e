"""Features as expressions: columns of bars, operations on them, and calls of compiled kernels.

`mean(bars.close, 20)` is a tree, not a number. A plan (`pipelines.plan`) turns trees into one program, in which what
two features share is computed once. An expression knows its inputs and how many rows it needs before its first value,
and prints as its own definition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from kernels.arrays import Floats
from kernels.bars import COLUMN_NAMES

Number = int | float


class Expression:
    """A column of values, one a row. Combine with + - * / and >, and with the functions of this module."""

    @property
    def operands(self) -> tuple[Expression, ...]:
        """What it is made of."""
        return ()

    @property
    def warmup(self) -> int:
        """Rows without a value at the start."""
        return max((operand.warmup for operand in self.operands), default=0)

    def walk(self) -> Iterator[Expression]:
        """The expression and everything below it."""
        yield self
        for operand in self.operands:
            yield from operand.walk()

    def __add__(self, other: Expression | Number) -> Expression:
        return Operation("add", (self, as_expression(other)))

    def __radd__(self, other: Number) -> Expression:
        return as_expression(other) + self

    def __sub__(self, other: Expression | Number) -> Expression:
        return Operation("subtract", (self, as_expression(other)))

    def __rsub__(self, other: Number) -> Expression:
        return as_expression(other) - self

    def __mul__(self, other: Expression | Number) -> Expression:
        return Operation("multiply", (self, as_expression(other)))

    def __rmul__(self, other: Number) -> Expression:
        return as_expression(other) * self

    def __truediv__(self, other: Expression | Number) -> Expression:
        return Operation("divide", (self, as_expression(other)))

    def __rtruediv__(self, other: Number) -> Expression:
        return as_expression(other) / self

    def __gt__(self, other: Expression | Number) -> Expression:
        return Operation("greater", (self, as_expression(other)))

    def __lt__(self, other: Expression | Number) -> Expression:
        return as_expression(other) > self

    def __bool__(self) -> bool:
        raise TypeError(f"{self}: is one value a row and neither true nor false; use maximum, minimum or divide_or")


@dataclass(frozen=True)
class Column(Expression):
    """A column of the bars, by its name in `kernels.bars.COLUMN_NAMES`."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Constant(Expression):
    """The same number in every row."""

    value: float

    def __str__(self) -> str:
        return repr(self.value).removesuffix(".0")  # in full: the fingerprint of a plan is made of this


_INFIX = {"greater": ">", "add": "+", "subtract": "-", "multiply": "·", "divide": "/"}
_RANK = {"greater": 0, "add": 1, "subtract": 1, "multiply": 2, "divide": 2}


@dataclass(frozen=True)
class Operation(Expression):
    """One of `kernels.engine.OPERATIONS`, row by row."""

    name: str
    parts: tuple[Expression, ...]

    @property
    def operands(self) -> tuple[Expression, ...]:
        return self.parts

    def __str__(self) -> str:
        if self.name not in _INFIX:
            return f"{self.name}({', '.join(map(str, self.parts))})"
        left, right = self.parts
        rank = _RANK[self.name]
        return f"{_bracketed(left, rank)} {_INFIX[self.name]} {_bracketed(right, rank + 1)}"


def _bracketed(part: Expression, rank: int) -> str:
    """In brackets when it binds less than its place asks for."""
    return f"({part})" if isinstance(part, Operation) and _RANK.get(part.name, rank) < rank else str(part)


@dataclass(frozen=True)
class Call(Expression):
    """One output of a kernel over its inputs."""

    kernel: Kernel
    parameters: tuple[Number, ...]
    parts: tuple[Expression, ...]
    output: int = 0

    @property
    def operands(self) -> tuple[Expression, ...]:
        return self.parts

    @cached_property
    def warmup(self) -> int:
        return super().warmup + self.kernel.warmup(*self.parameters)

    def __str__(self) -> str:
        name = self.kernel.names[self.output]
        return f"{name}({', '.join([*map(str, self.parts), *map(str, self.parameters)])})"


@dataclass(frozen=True, eq=False)
class Kernel:
    """A compiled state machine as a function of expressions.

    Attributes:
        names: name of each output.
        update: compiled `(state, *inputs, *outputs)`, all float64 vectors; any cut of the rows gives the same bits.
        state: new state, a float64 vector, from the parameters; raises ValueError where they do not fit.
        inputs: how many expressions it takes, 1 to 4.
        warmup: rows that are NaN at the start, from the parameters.
        parts: kernels that give some of its outputs, with the same bits, for plans that use no more of them.
    """

    names: tuple[str, ...]
    update: Callable[..., None]
    state: Callable[..., Floats]
    inputs: int = 1
    warmup: Callable[..., int] = lambda *parameters: 0
    parts: tuple[Kernel, ...] = field(default=())

    def __call__(self, *arguments: Any) -> Call:
        """The first output; `arguments` are the inputs, then the parameters."""
        return self.outputs(*arguments)[0]

    def outputs(self, *arguments: Any) -> tuple[Call, ...]:
        """All outputs.

        Raises:
            ValueError: parameters that the kernel refuses.
        """
        parts = tuple(as_expression(part) for part in arguments[: self.inputs])
        parameters = arguments[self.inputs :]
        self.state(*parameters)  # so that a mistake is found where the feature's name is known
        return tuple(Call(self, parameters, parts, output) for output in range(len(self.names)))

    def at_least(self, names: Set[str]) -> Kernel:
        """The smallest of itself and its parts that gives these outputs."""
        able = [kernel for kernel in (*self.parts, self) if names <= set(kernel.names)]
        return min(able, key=lambda kernel: len(kernel.names))


def as_expression(value: Expression | Number) -> Expression:
    """Numbers become constants."""
    return value if isinstance(value, Expression) else Constant(float(value))


def _operation(name: str) -> Callable[..., Expression]:
    def build(*operands: Expression | Number) -> Expression:
        return Operation(name, tuple(as_expression(operand) for operand in operands))

    return build


maximum = _operation("maximum")
minimum = _operation("minimum")
absolute = _operation("absolute")
square_root = _operation("square_root")
logarithm = _operation("logarithm")  # natural; NaN below 0
log1p = _operation("log1p")  # ln(1 + x); NaN below 0
sign = _operation("sign")
error_function = _operation("error_function")
exponential = _operation("exponential")
divide_or = _operation("divide_or")  # a / b, and c where b is 0


class BarFields:
    """The columns of bars by name: `bars.close`."""

    def __getattr__(self, name: str) -> Column:
        if name not in COLUMN_NAMES:
            raise AttributeError(f"bars have no column {name!r}; they have {', '.join(COLUMN_NAMES)}")
        return Column(name)
