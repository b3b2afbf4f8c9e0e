"""From expressions to a program for `kernels.engine`: each distinct part once, slots reused when they are free."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from kernels import engine
from kernels.arrays import Floats
from kernels.bars import COLUMN_NAMES, COLUMNS, PRICE_COLUMNS
from kernels.operations import OPERATIONS
from pipelines.expressions import Call, Column, Constant, Expression, Kernel, Operation

# Part of every saved state: raise it when a kernel's state or values change, so that older states are refused.
STATE_VERSION = 2

_Key = tuple[Kernel, tuple[int | float, ...], tuple[Expression, ...]]


@dataclass
class Program:
    """What `kernels.engine.advance` takes.

    Attributes:
        steps: see `advance`. inputs: how many columns of bars it is given, all or those of prices alone.
        outputs: how many. constants: value of each slot that is filled once.
        initial: the state before the first row; its first number is the fingerprint of the program.
        kernels: kept alive because the addresses in `steps` point into them.
    """

    steps: NDArray[np.int64]
    inputs: int
    outputs: int
    slots: int
    constants: dict[int, float]
    initial: Floats
    kernels: list[Kernel]

    def new_memory(self) -> tuple[NDArray[np.int64], Floats]:
        """Working memory, for one thread: the table of places and the pool of slots."""
        pool = engine.new_pool(self.slots)
        for slot, value in self.constants.items():
            pool[slot * engine.BLOCK : (slot + 1) * engine.BLOCK] = value
        return np.zeros(self.inputs + self.outputs + self.slots, np.int64), pool


def fingerprint(outputs: Sequence[Expression]) -> float:
    """A number that says which definitions a state belongs to."""
    text = "\n".join([str(STATE_VERSION), *map(str, outputs)])
    return float(int.from_bytes(hashlib.sha256(text.encode()).digest()[:6]))


def compile_program(outputs: Sequence[Expression]) -> Program:
    """The program that computes these expressions as output columns 0, 1, ….

    Raises:
        TypeError, ValueError: a kernel of another form than programs call.
    """
    return _Compiler(outputs).program()


@dataclass
class _Compiler:
    outputs: Sequence[Expression]
    _steps: list[list[int]] = field(default_factory=list)
    _slot_of: dict[Expression, int] = field(default_factory=dict)
    _free: list[int] = field(default_factory=list)
    _slots: int = 0
    _constants: dict[int, float] = field(default_factory=dict)
    _states: list[Floats] = field(default_factory=list)
    _kernels: list[Kernel] = field(default_factory=list)

    def program(self) -> Program:
        self._states.append(np.array([fingerprint(self.outputs)]))
        self._count_uses()
        read = {part.name for part in self._uses if isinstance(part, Column)}
        self._inputs = PRICE_COLUMNS if read <= set(COLUMN_NAMES[:PRICE_COLUMNS]) else COLUMNS
        for constant in [part for part in self._uses if isinstance(part, Constant)]:
            self._new_slot(constant)
            self._constants[self._slot_of[constant]] = constant.value
        for number, output in enumerate(self.outputs):
            self._steps.append(engine.emission(self._place(output), self._inputs + number))
            self._use(output)
        return Program(
            steps=np.array(self._steps, np.int64),
            inputs=self._inputs,
            outputs=len(self.outputs),
            slots=self._slots,
            constants=self._constants,
            initial=np.concatenate(self._states),
            kernels=self._kernels,
        )

    def _count_uses(self) -> None:
        """How often each distinct part is read, and which outputs of each kernel call are."""
        self._uses: dict[Expression, int] = {}
        self._wanted: dict[_Key, set[int]] = {}
        waiting = list(self.outputs)
        while waiting:
            part = waiting.pop()
            self._uses[part] = self._uses.get(part, 0) + 1
            if self._uses[part] > 1:
                continue
            if isinstance(part, Call):
                first_seen = _key(part) not in self._wanted
                self._wanted.setdefault(_key(part), set()).add(part.output)
                waiting += part.operands if first_seen else ()
            else:
                waiting += part.operands

    def _place(self, part: Expression) -> int:
        """The place of `part`, after the steps that compute it: inputs come first, then outputs, then slots."""
        if isinstance(part, Column):
            return COLUMN_NAMES.index(part.name)
        if part not in self._slot_of:
            if isinstance(part, Operation):
                self._add_call(OPERATIONS[part.name], np.empty(0), part.operands, [part])
            elif isinstance(part, Call):
                self._call(part)
        return self._inputs + len(self.outputs) + self._slot_of[part]

    def _call(self, part: Call) -> None:
        wanted = {part.kernel.names[output] for output in self._wanted[_key(part)]}
        kernel = part.kernel.at_least(wanted)
        made = [replace(part, output=part.kernel.names.index(name)) for name in kernel.names]
        self._add_call(kernel.update, kernel.state(*part.parameters), part.operands, made)
        self._kernels.append(kernel)
        for name, output in zip(kernel.names, made, strict=True):
            if name not in wanted:
                self._release(output)

    def _add_call(
        self, update: Callable[..., None], state: Floats, operands: Sequence[Expression], made: Sequence[Expression]
    ) -> None:
        """No step writes what it reads: what is made gets its slots before the operands are let go."""
        places = [self._place(part) for part in operands]
        for part in made:
            self._new_slot(part)
            places.append(self._place(part))
        for part in operands:
            self._use(part)
        start = sum(map(len, self._states))
        self._states.append(state)
        self._steps.append(engine.call(update, start, len(state), places))

    def _new_slot(self, part: Expression) -> None:
        slot = self._free.pop() if self._free else self._slots
        self._slots = max(self._slots, slot + 1)
        self._slot_of[part] = slot

    def _use(self, part: Expression) -> None:
        self._uses[part] -= 1
        if self._uses[part] == 0 and not isinstance(part, Column | Constant):
            self._release(part)

    def _release(self, part: Expression) -> None:
        self._free.append(self._slot_of[part])


def _key(call: Call) -> _Key:
    return call.kernel, call.parameters, call.parts
