"""Columns of all rows that are read a stretch at a time: arrays where the rows are in memory, else files."""

import tempfile
import threading
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray

from kernels.arrays import Integers
from pipelines.errors import DataError

BLOCK_ROWS = 65_536  # of which something is worked out at once


class ScratchColumn:
    """Numbers in a file without a name, which is gone with the object, or with the process however that ends.

    It lies in the system's folder for such files. It is not mapped: mapped pages count as memory of the process.
    """

    def __init__(self, dtype: DTypeLike, blocks: Iterable[NDArray[Any]] = ()) -> None:
        """
        Args:
            blocks: rows in their order.

        Raises:
            DataError: the disk is full, or nothing can be written there.
        """
        self.dtype, self._rows = np.dtype(dtype), 0
        self._using = threading.Lock()  # the place in a file is shared by all who use it
        with _writing():
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  it is open as long as there is a column
        weakref.finalize(self, self._file.close)
        for block in blocks:
            self.append(block)

    def append(self, block: NDArray[Any]) -> None:
        """Add rows. Raises DataError as above."""
        left = np.ascontiguousarray(block, self.dtype).view(np.uint8).data
        with self._using, _writing():
            self._file.seek(self._rows * self.dtype.itemsize)
            while left:
                left = left[self._file.write(left) :]
        self._rows += len(block)

    def __len__(self) -> int:
        return self._rows

    @overload
    def __getitem__(self, rows: int) -> Any: ...
    @overload
    def __getitem__(self, rows: slice | Integers) -> NDArray[Any]: ...
    def __getitem__(self, rows: int | slice | Integers) -> Any:
        """One row, rows that follow one another, or rows of numbers that ascend."""
        if isinstance(rows, slice):
            begin, end, _ = rows.indices(self._rows)
            return self._read(begin, max(begin, end))
        if isinstance(rows, np.ndarray):
            return self._gathered(rows)
        return self._read(rows, rows + 1)[0]

    def _gathered(self, rows: Integers) -> NDArray[Any]:
        if np.any(rows[1:] < rows[:-1]):
            raise ValueError("rows: expected numbers that ascend")
        found, place = np.empty(len(rows), self.dtype), 0
        while place < len(rows):
            begin = int(rows[place])
            after = int(np.searchsorted(rows, begin + BLOCK_ROWS))
            found[place:after] = self._read(begin, int(rows[after - 1]) + 1)[rows[place:after] - begin]
            place = after
        return found

    def _read(self, begin: int, end: int) -> NDArray[Any]:
        if not 0 <= begin <= end <= self._rows:
            raise IndexError(f"rows {begin} to before {end} of {self._rows}")
        found = np.empty(end - begin, self.dtype)
        left = found.view(np.uint8).data
        with self._using:
            self._file.seek(begin * self.dtype.itemsize)
            while left:
                left = left[self._file.readinto(left) :]
        return found


Column: TypeAlias = NDArray[Any] | ScratchColumn


def blocks_of(rows: int) -> Iterator[slice]:
    """So many rows, a block after another."""
    return (slice(begin, min(begin + BLOCK_ROWS, rows)) for begin in range(0, rows, BLOCK_ROWS))


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{tempfile.gettempdir()}: cannot hold columns of the rows that do not fit into memory, 16 to 40 bytes a "
            f"row: {error.strerror or error}; free some space, or name another folder by TMPDIR"
        ) from error
