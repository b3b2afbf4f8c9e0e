"""From expressions to a program for `kernels.engine`: each distinct part once, slots reused when they are free."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kernels import engine
from kernels.arrays import Floats
from kernels.bars import COLUMN_NAMES
from pipelines.expressions import Call, Column, Constant, Expression, Kernel, Operation

# Part of every saved state: raise it when a kernel's state or values change, so that older states are refused.
STATE_VERSION = 2

_Key = tuple[Kernel, tuple[int | float, ...], tuple[Expression, ...]]


@dataclass
class Program:
    """What `kernels.engine.advance` takes.

    Attributes:
        steps, addresses: see `advance`. constants: value of each slot that is filled once.
        initial: the state before the first row; its first number is the fingerprint of the program.
        kernels: kept alive because `addresses` point into them.
    """

    steps: NDArray[np.int64]
    addresses: NDArray[np.int64]
    slots: int
    constants: dict[int, float]
    initial: Floats
    kernels: list[Kernel]

    def new_pool(self) -> Floats:
        """Working memory, for one thread."""
        pool = engine.new_pool(self.slots)
        for slot, value in self.constants.items():
            pool[slot * engine.BLOCK : (slot + 1) * engine.BLOCK] = value
        return pool


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
    _addresses: list[int] = field(default_factory=list)
    _slot_of: dict[Expression, int] = field(default_factory=dict)
    _free: list[int] = field(default_factory=list)
    _slots: int = 0
    _constants: dict[int, float] = field(default_factory=dict)
    _states: list[Floats] = field(default_factory=list)
    _kernels: list[Kernel] = field(default_factory=list)

    def program(self) -> Program:
        self._states.append(np.array([fingerprint(self.outputs)]))
        self._count_uses()
        for constant in [part for part in self._uses if isinstance(part, Constant)]:
            self._constants[self._new_slot(constant)] = constant.value
        for column, output in enumerate(self.outputs):
            self._add_step(engine.EMIT, [self._place(output)], [], output=column)
            self._use(output)
        return Program(
            steps=np.array(self._steps, np.int64),
            addresses=np.array(self._addresses, np.int64),
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
        """The slot that holds `part`, after the steps that compute it.

        No step writes what it reads: outputs get their slots before the inputs are let go.
        """
        if part in self._slot_of:
            return self._slot_of[part]
        if isinstance(part, Column):
            slot = self._new_slot(part)
            self._add_step(engine.LOAD, [], [slot], column=COLUMN_NAMES.index(part.name))
        elif isinstance(part, Operation):
            read = [self._place(operand) for operand in part.operands]
            self._add_step(engine.OPERATIONS.index(part.name), read, [self._new_slot(part)])
            for operand in part.operands:
                self._use(operand)
        elif isinstance(part, Call):
            self._call(part)
        return self._slot_of[part]

    def _call(self, part: Call) -> None:
        wanted = self._wanted[_key(part)]
        kernel, outputs = part.kernel, range(len(part.kernel.names))
        if kernel.alone and len(wanted) == 1:
            kernel, outputs = kernel.alone[part.output], range(part.output, part.output + 1)
        read = [self._place(operand) for operand in part.operands]
        written = [self._new_slot(Call(part.kernel, part.parameters, part.parts, output)) for output in outputs]
        for operand in part.operands:
            self._use(operand)
        state = kernel.state(*part.parameters)
        first = sum(map(len, self._states))
        self._states.append(state)
        self._kernels.append(kernel)
        code = engine.call_code(len(read), len(written))
        address = engine.address_of(kernel.update, 1 + len(read) + len(written))
        self._add_step(code, read, written, state=(first, first + len(state)), address=address)
        for output in set(outputs) - wanted:
            self._release(Call(part.kernel, part.parameters, part.parts, output))

    def _add_step(
        self,
        code: int,
        read: list[int],
        written: list[int],
        *,
        state: tuple[int, int] = (0, 0),
        address: int = 0,
        column: int | None = None,
        output: int | None = None,
    ) -> None:
        step = [0] * engine.STEP
        step[engine.CODE : engine.STATE_END + 1] = [code, *state]
        places = [slot * engine.SLOT_BYTES for slot in read] if column is None else [column]
        step[engine.READ : engine.READ + len(places)] = places
        targets = [slot * engine.SLOT_BYTES for slot in written] if output is None else [output]
        step[engine.WRITTEN : engine.WRITTEN + len(targets)] = targets
        self._steps.append(step)
        self._addresses.append(address)

    def _new_slot(self, part: Expression) -> int:
        slot = self._free.pop() if self._free else self._slots
        self._slots = max(self._slots, slot + 1)
        self._slot_of[part] = slot
        return slot

    def _use(self, part: Expression) -> None:
        self._uses[part] -= 1
        if self._uses[part] == 0 and not isinstance(part, Constant):
            self._release(part)

    def _release(self, part: Expression) -> None:
        self._free.append(self._slot_of[part])


def _key(call: Call) -> _Key:
    return call.kernel, call.parameters, call.parts
