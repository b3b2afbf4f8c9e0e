"""Batches of windows in an order that seed, epoch and step decide: the loader, without TensorFlow.

Windows are never stored: a batch is gathered from the rows when its turn comes, into memory that the last batches left.
The order is computed, not kept, so a loader begins at any (epoch, step) as if it had delivered all that lies before.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from kernels.arrays import Integers
from kernels.permutation import permutation, permuted
from kernels.windows import copy_windows, locate_windows
from pipelines.buffers import BufferPool
from pipelines.errors import DataError
from pipelines.window_runs import WindowRuns

Floats32 = NDArray[np.float32]
Item = TypeVar("Item")


class Batch(NamedTuple):
    """What a step trains on.

    Attributes:
        inputs: (batch, lookback, features). targets: (batch, target_dim).
        weights: (batch,), what each window counts; None where all count the same.
    """

    inputs: Floats32
    targets: Floats32
    weights: Floats32 | None


@dataclass(frozen=True)
class Piece:
    """Rows in memory and which of their windows come next, in which order.

    Attributes:
        matrix: (rows, features), C-contiguous. targets: (rows, target_dim), of decision rows. weights: (rows,) or None.
        runs: the windows.
        order: (seed, number) of a permutation; None for the order of the runs.
        skip: windows of that order that were delivered already.
    """

    matrix: Floats32
    targets: Floats32
    weights: Floats32 | None
    runs: WindowRuns
    order: tuple[int, int] | None
    skip: int = 0

    def starts(self, begin: int, end: int) -> Integers:
        """First rows of the windows at these places of the order, (windows,) int64."""
        if self.order is None:
            return self.runs.starts(begin, end)
        numbers = np.empty(end - begin, np.int64)
        permuted(*self.order, len(self.runs), begin, numbers)
        locate_windows(self.runs.first, self.runs.before, numbers, numbers)
        return numbers

    def fill(self, batch: Batch, begin: int, end: int) -> None:
        """Copy the windows at these places of the order into a batch of so many."""
        starts = self.starts(begin, end)
        copy_windows(self.matrix, starts, batch.inputs)
        starts += batch.inputs.shape[1] - 1  # decision rows, each a window of one row
        copy_windows(self.targets, starts, batch.targets[:, None])
        if batch.weights is not None and self.weights is not None:
            copy_windows(self.weights[:, None], starts, batch.weights[:, None, None])


class Part(NamedTuple):
    """The windows at places `begin` to before `end` of a piece's order, which go to places `at` and after of a batch.

    `is_last`: the batch is whole then.
    """

    piece: Piece
    begin: int
    end: int
    at: int
    is_last: bool

    @property
    def size(self) -> int:
        """Windows of the batch so far, these among them."""
        return self.at + self.end - self.begin


class Windows(Protocol):
    """Where windows come from: rows in memory (`panel.WindowSet`) or in a store (`streamed.StreamedWindows`).

    Attributes:
        lookback: rows of a window. features: of a row. target_dim: targets of a window. weighted: with weights.
    """

    @property
    def lookback(self) -> int: ...
    @property
    def features(self) -> int: ...
    @property
    def target_dim(self) -> int: ...
    @property
    def weighted(self) -> bool: ...

    def __len__(self) -> int: ...

    def pieces(self, seed: int | None, epoch: int, skip: int) -> Iterator[Piece]:
        """All windows once, but for the first `skip` of the epoch's order; in the order of time where seed is None."""
        ...


class Turn(NamedTuple):
    """Which of many pieces has its turn, in which order its windows come, and how many were delivered already."""

    number: int
    order: tuple[int, int] | None
    skip: int


def turns(windows: Sequence[int], seed: int | None, epoch: int, skip: int) -> Iterator[Turn]:
    """The order of an epoch for pieces of so many windows, but for the first `skip` windows of it."""
    name = epoch * (len(windows) + 1)  # of permutations an epoch has one for the pieces, and one for each of them
    numbers = range(len(windows)) if seed is None else permutation(len(windows), seed=seed, epoch=name).tolist()
    for number in numbers:
        if skip < windows[number]:
            yield Turn(number, None if seed is None else (seed, name + 1 + number), max(skip, 0))
        skip -= windows[number]


class WindowLoader:
    """Batches of windows for any number of epochs, each window once an epoch.

    Attributes:
        windows: what is delivered. batch_size: windows of a batch, of all devices together.
        seed: of the order; None delivers every epoch in the order of time.
        drop_remainder: leave out an epoch's last batch where it is short, other windows each epoch; else it is short.
    """

    def __init__(self, windows: Windows, *, batch_size: int, seed: int | None, drop_remainder: bool = False) -> None:
        """Raises DataError: no windows, a batch that is empty, or larger than the windows where none may be short."""
        if len(windows) == 0:
            raise DataError("loader: no window, expected at least one: use more data or a shorter windows.lookback")
        if batch_size < 1:
            raise DataError(f"loader: a batch of {batch_size} windows, expected at least 1: raise training.batch_size")
        # A validation part may be smaller than a batch; a training set that is makes one step of each epoch.
        if batch_size > len(windows) and (seed is not None or drop_remainder):
            raise DataError(
                f"loader: a batch of {batch_size} windows, expected at most the {len(windows)} there are to train on: "
                f"lower training.batch_size or use more data"
            )
        self.windows, self.batch_size, self.seed, self.drop_remainder = windows, batch_size, seed, drop_remainder
        shapes = [(batch_size, windows.lookback, windows.features), (batch_size, windows.target_dim)]
        self._pool = BufferPool([*shapes, (batch_size,)] if windows.weighted else shapes)

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch."""
        whole, rest = divmod(len(self.windows), self.batch_size)
        return whole if self.drop_remainder else whole + (rest > 0)

    @property
    def bytes_per_window(self) -> int:
        """What is handed over for a window: its rows, its targets and its weight."""
        windows = self.windows
        return 4 * (windows.lookback * windows.features + windows.target_dim + windows.weighted)

    @property
    def buffers(self) -> int:
        """Batches that were in flight at the same time, at most."""
        return len(self._pool)

    def batches(self, *, epochs: int = 1, epoch: int = 0, step: int = 0) -> Iterator[Batch]:
        """The batches from step `step` of epoch `epoch` to the end of epoch `epochs - 1`.

        A batch stays what it is for as long as an array of it is held, and its memory is used again after that.

        Raises:
            DataError: there is no such step.
        """
        self.check_position(epochs, epoch, step)
        return self._batches(self.parts(epochs=epochs, epoch=epoch, step=step))

    def parts(self, *, epochs: int = 1, epoch: int = 0, step: int = 0) -> Iterator[Part]:
        """What the same batches are made of: a batch may begin in one piece and end in others."""
        for number in range(epoch, epochs):
            yield from self._parts_of(number, step if number == epoch else 0)

    def check_position(self, epochs: int, epoch: int, step: int) -> None:
        """Raises DataError when a run of so many epochs has no such step, and is not just at an epoch's end."""
        if not (0 <= epoch <= epochs and 0 <= step <= self.steps_per_epoch):
            raise DataError(
                f"loader: no step {step} of epoch {epoch}, expected steps 0 to {self.steps_per_epoch} of epochs 0 to "
                f"{epochs}: the position is of another run"
            )

    def _batches(self, parts: Iterator[Part]) -> Iterator[Batch]:
        filling: list[Batch] = []
        for part in parts:
            filling = filling or [self._empty()]
            part.piece.fill(_cut(filling[0], part.at, part.size), part.begin, part.end)
            size, is_last = part.size, part.is_last
            del part  # its rows make room for others
            if is_last:
                yield _cut(filling.pop(), 0, size)  # held by nobody but its taker

    def _parts_of(self, epoch: int, step: int) -> Iterator[Part]:
        left = min(self.steps_per_epoch * self.batch_size, len(self.windows)) - step * self.batch_size
        at = 0
        for piece in self.windows.pieces(self.seed, epoch, step * self.batch_size) if left > 0 else ():
            begin = piece.skip
            while left and begin < len(piece.runs):
                taken = min(self.batch_size - at, len(piece.runs) - begin, left)
                left -= taken
                is_last = at + taken == self.batch_size or not left
                yield Part(piece, begin, begin + taken, at, is_last)
                begin, at = begin + taken, 0 if is_last else at + taken
            del piece
            if not left:
                return

    def _empty(self) -> Batch:
        inputs, targets, *weights = self._pool.take()
        return Batch(inputs, targets, weights[0] if weights else None)


def _cut(batch: Batch, begin: int, end: int) -> Batch:
    if begin == 0 and end == len(batch.inputs):
        return batch
    weights = None if batch.weights is None else batch.weights[begin:end]
    return Batch(batch.inputs[begin:end], batch.targets[begin:end], weights)


class Metered(Iterator[Item]):
    """Batches of any kind, and the share of time that their taker spent waiting for them.

    Attributes:
        waited: seconds inside the iterator. worked: seconds between its batches.
    """

    def __init__(self, batches: Iterator[Item], clock: Callable[[], float]) -> None:
        """
        Args:
            clock: seconds that only grow, such as `time.perf_counter`.
        """
        self._batches, self._clock = batches, clock
        self._given: float | None = None
        self.waited = self.worked = 0.0

    def __next__(self) -> Item:
        asked = self._clock()
        if self._given is not None:
            self.worked += asked - self._given
        try:
            return next(self._batches)
        finally:
            self._given = self._clock()
            self.waited += self._given - asked

    @property
    def wait_share(self) -> float:
        """Of all time since the first batch was asked for; 0 before that."""
        whole = self.waited + self.worked
        return self.waited / whole if whole else 0.0
