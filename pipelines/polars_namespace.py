"""The kernels as Polars expressions: `pl.col("price").stockbot.rsi(14).over("symbol")`.

Importing this module registers the namespace `stockbot`, which has a method for every kernel that turns rows into
rows. Each runs the kernel's compiled `update` over the column, or over each group under `over`, from a new state.
"""

import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl

from kernels.arrays import Floats
from kernels.table import RowKernel, row_kernels


@pl.api.register_expr_namespace("stockbot")
class StockbotExpressions:
    """STOCKBOT's kernels on Polars columns: one method a kernel, of the same name and parameters.

    A kernel's first input is the expression itself; its other inputs are expressions or column names. Integers and
    Float32 are cast to Float64. Nulls become NaN, and NaN stays NaN in the result. Results are Float64 and keep the
    name of the expression; a kernel with several results gives a struct of them. Rows must be in time order.
    """

    def __init__(self, expression: pl.Expr) -> None:
        self._expression = expression


def _method(kernel: RowKernel) -> Callable[..., pl.Expr]:
    """The namespace method of one kernel, with its signature and documentation."""
    signature = _signature(kernel)

    def method(self: StockbotExpressions, *arguments: Any, **named: Any) -> pl.Expr:
        try:
            given = signature.bind(self, *arguments, **named)
        except TypeError as error:
            raise TypeError(f"{kernel.name}: {error}; expected {kernel.name}{_shown(signature)}") from None
        given.apply_defaults()
        values = list(given.arguments.values())[1:]
        others = [_expression(kernel, name, values.pop(0)) for name in kernel.inputs[1:]]
        return _computed(kernel, [self._expression, *others], values)

    method.__name__ = kernel.name
    method.__qualname__ = f"{StockbotExpressions.__name__}.{kernel.name}"
    method.__doc__ = _documentation(kernel)
    method.__signature__ = signature  # type: ignore[attr-defined]
    return method


def _signature(kernel: RowKernel) -> inspect.Signature:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    others = [inspect.Parameter(name, kind, annotation=pl.Expr | str) for name in kernel.inputs[1:]]
    parameters = [inspect.Parameter("self", kind), *others, *kernel.parameters]
    return inspect.Signature(parameters, return_annotation=pl.Expr)


def _shown(signature: inspect.Signature) -> str:
    """The arguments that a caller gives, as `(low, close, period=14)`."""
    parts = [part.replace(annotation=part.empty) for part in list(signature.parameters.values())[1:]]
    return str(inspect.Signature(parts))


def _documentation(kernel: RowKernel) -> str:
    """The kernel's own, but for what an expression has instead of arrays."""
    text = inspect.getdoc(kernel.function) or ""
    text = re.sub(r"\n {4}out: .*(\n {8}.*)*", "", text).split("\n\nRaises:")[0]
    struct = f" A struct with the fields {', '.join(kernel.outputs)}." if len(kernel.outputs) > 1 else ""
    note = f"Here `{kernel.inputs[0]}` is the expression itself; nulls are taken as NaN.{struct}"
    head, _, rest = text.partition("\n\nArgs:")
    return "\n\n".join([head, note] + [f"Args:{rest}"] * bool(rest))


def _expression(kernel: RowKernel, name: str, given: object) -> pl.Expr:
    if isinstance(given, str):
        return pl.col(given)
    if isinstance(given, pl.Expr):
        return given
    raise TypeError(f"{kernel.name}: {name}: expected a column name or an expression, received {given!r}")


def _computed(kernel: RowKernel, inputs: Sequence[pl.Expr], parameters: Sequence[Any]) -> pl.Expr:
    try:
        state = kernel.state(*parameters)  # wrong parameters are told here, not in the midst of a query
    except (TypeError, ValueError) as error:
        raise type(error)(f"{kernel.name}: {error}") from None

    def compute(columns: Sequence[pl.Series]) -> pl.Series:
        arrays = _aligned(kernel, [_floats(kernel, *pair) for pair in zip(kernel.inputs, columns, strict=True)])
        outs = [np.empty(len(arrays[0])) for _ in kernel.outputs]
        kernel.update(state.copy(), *arrays, *outs)
        results = [pl.Series(name, out) for name, out in zip(kernel.outputs, outs, strict=True)]
        return results[0] if len(results) == 1 else pl.DataFrame(results).to_struct()

    result = pl.Float64() if len(kernel.outputs) == 1 else pl.Struct(dict.fromkeys(kernel.outputs, pl.Float64))
    if len(inputs) == 1:  # unlike `map_batches` of several, this one takes selections such as `cs.numeric()`
        return inputs[0].map_batches(lambda column: compute([column]), return_dtype=result)
    return pl.map_batches(inputs, compute, return_dtype=result)


def _floats(kernel: RowKernel, name: str, column: pl.Series) -> Floats:
    """The column as a kernel takes it: read-only arrays would have Numba compile every kernel a second time."""
    if not (column.dtype.is_numeric() or column.dtype == pl.Null):
        raise TypeError(f"{kernel.name}: {name}: expected a column of numbers, received {column.dtype}")
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy(writable=True)


def _aligned(kernel: RowKernel, arrays: list[Floats]) -> list[Floats]:
    """Columns of one length; a literal, which Polars hands over as one row, is repeated."""
    rows = max(map(len, arrays)) if all(map(len, arrays)) else 0
    for name, array in zip(kernel.inputs, arrays, strict=True):
        if len(array) not in (1, rows):
            raise ValueError(f"{kernel.name}: {name}: expected {rows} rows, received {len(array)}")
    return [np.resize(array, rows) if len(array) != rows else array for array in arrays]


for _kernel in row_kernels().values():
    setattr(StockbotExpressions, _kernel.name, _method(_kernel))
