"""The public kernels that turn rows into rows, told from their signatures: what expressions and warm-up go through."""

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import kernels
from kernels.arrays import Floats


@dataclass(frozen=True)
class RowKernel:
    """One kernel `name(*inputs, *parameters, out=None)`.

    Attributes:
        function: the public form. state: a new state from the parameters. update: the compiled form.
        inputs: names of its float64 vectors. outputs: names of the vectors it writes; one is named as the kernel.
        parameters: the rest of its signature, without `out`.
    """

    name: str
    function: Callable[..., Any]
    state: Callable[..., Floats]
    update: Any
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    parameters: tuple[inspect.Parameter, ...]


def row_kernels() -> dict[str, RowKernel]:
    """Every kernel of `kernels.__all__` that has an `update`, by name."""
    public = {name: getattr(kernels, name) for name in kernels.__all__}
    modules = {name: sys.modules[function.__module__] for name, function in public.items()}
    return {
        name: _describe(name, public[name], modules[name]) for name in public if f"{name}_update" in vars(modules[name])
    }


def _describe(name: str, function: Callable[..., Any], module: Any) -> RowKernel:
    signature = [part for part in inspect.signature(function).parameters.values() if part.name != "out"]
    inputs = tuple(part.name for part in signature if part.annotation is Floats)
    update = getattr(module, f"{name}_update")
    written = tuple(inspect.signature(update).parameters)[1 + len(inputs) :]
    return RowKernel(
        name=name,
        function=function,
        state=getattr(module, f"{name}_state"),
        update=update,
        inputs=inputs,
        outputs=written if len(written) > 1 else (name,),
        parameters=tuple(part for part in signature if part.name not in inputs),
    )
