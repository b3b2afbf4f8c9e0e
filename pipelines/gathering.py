"""Rows gathered into row groups: what the engine writes is where the encoder reads it, in memory used again and again.

Fresh memory is faulted in page by page, which takes as long as the features that are written to it.
"""

from collections.abc import Mapping, Sequence
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.parquet_writer import Columns

Dtypes = Mapping[str, np.dtype[Any]]

_FIRST_ROWS = 1 << 18  # room at first: row groups may be asked for that are larger than all rows


class Gathering:
    """The row group under way of columns and features, of which `rows` are filled, `size` at most."""

    def __init__(self, dtypes: Dtypes, features: Sequence[str], size: int) -> None:
        self._features = features
        self._size = size
        room = min(size, _FIRST_ROWS)
        self._columns = {name: np.empty(room, dtype) for name, dtype in dtypes.items()}
        self._matrix = np.empty((len(features), room), np.float32)
        self.rows = 0

    @property
    def is_full(self) -> bool:
        return self.rows == self._size

    def room(self, rows: int) -> int:
        """How many of so many rows fit into it."""
        return min(rows, self._size - self.rows)

    def add(self, columns: Columns, rows: int) -> NDArray[np.float32]:
        """Take the columns of rows that fit; returns where their features are to be written, (features, rows)."""
        start, stop = self.rows, self.rows + rows
        if stop > self._matrix.shape[1]:
            self._grow(min(max(stop, 2 * self._matrix.shape[1]), self._size))
        for name, held in self._columns.items():
            held[start:stop] = columns[name]
        self.rows = stop
        return self._matrix[:, start:stop]

    def _grow(self, room: int) -> None:
        more = room - self._matrix.shape[1]
        self._columns = {name: np.append(held, np.empty(more, held.dtype)) for name, held in self._columns.items()}
        self._matrix = np.append(self._matrix, np.empty((len(self._matrix), more), np.float32), axis=1)

    @property
    def filled(self) -> Columns:
        """What is in it, to be read before it is used again."""
        columns = {name: held[: self.rows] for name, held in self._columns.items()}
        return columns | dict(zip(self._features, self._matrix[:, : self.rows], strict=True))


class Gatherings:
    """Row groups of one kind, used again when they were written."""

    def __init__(self, dtypes: Dtypes, features: Sequence[str], size: int) -> None:
        self.features = features
        self._made_of = dtypes, features, size
        self._free: SimpleQueue[Gathering] = SimpleQueue()

    def take(self) -> Gathering:
        """An empty one."""
        try:
            found = self._free.get_nowait()
        except Empty:
            return Gathering(*self._made_of)
        found.rows = 0
        return found

    def give_back(self, gathering: Gathering) -> None:
        """In any thread: nothing reads it any more."""
        self._free.put(gathering)
