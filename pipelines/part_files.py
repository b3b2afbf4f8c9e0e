"""Rows of a partition on their way to its files: gathered into row groups, then encoded and written in a thread."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.gathering import Gathering, Gatherings
from pipelines.parquet_writer import Columns
from pipelines.parts import PartFile

_WRITING = 2  # row groups that are encoded and written while the engine goes on


class Writer:
    """Encodes and writes in a thread of its own, in the order of submission, while the engine goes on.

    Nothing is done after a task that failed: what would be done raises the same error.

    Attributes:
        file: which its thread is at; it is removed when the writer is left before it is finished.
    """

    def __init__(self) -> None:
        self.file: PartFile | None = None
        self._failure: BaseException | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="write")
        self._waiting: deque[Future[Any]] = deque()

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *exception: object) -> None:
        self._pool.shutdown()
        if self.file is not None:
            self.file.abandon()

    def submit(self, task: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Do it when its turn comes; waits while others are before it, and raises what they raised."""
        while len(self._waiting) >= _WRITING:
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(self._do, task, *arguments))
        return self._waiting[-1]

    def _do(self, task: Callable[..., Any], *arguments: Any) -> Any:
        if self._failure is not None:
            raise self._failure
        try:
            return task(*arguments)
        except BaseException as error:
            self._failure = error
            raise


class PartFiles:
    """The files of one partition.

    Attributes:
        size: rows of a full one. entries: of those that are finished.
    """

    def __init__(
        self,
        writer: Writer,
        groups: Gatherings,
        begin: Callable[[], PartFile],
        *,
        size: int,
        entries: list[dict[str, Any]],
    ) -> None:
        """
        Args:
            groups: what row groups are gathered in. begin: a new file.
        """
        self.size, self.entries = size, entries
        self._writer, self._groups, self._begin = writer, groups, begin
        self._group = groups.take()

    def take(
        self,
        rows: int,
        columns_of: Callable[[slice], Columns],
        write_features: Callable[[slice, NDArray[np.float32]], object],
    ) -> None:
        """Take rows that come next, block by block as they fit into row groups.

        Whole row groups are handed over: the bytes of a file must not tell how its rows came.

        Args:
            columns_of: the columns of a block beside its features. write_features: called with a block and where its
                features are to be written, (features, rows) float32.
        """
        for block in self._fitting(rows):
            write_features(block, self._group.add(columns_of(block), block.stop - block.start))
            if self._group.is_full:
                self.hand_over()
                self._group = self._groups.take()

    def add(self, columns: Columns, rows: int) -> None:
        """Take rows, with their features where these are kept."""

        def copy(block: slice, out: NDArray[np.float32]) -> None:
            for place, name in enumerate(self._groups.features):
                out[place] = columns[name][block]

        self.take(rows, lambda block: {name: column[block] for name, column in columns.items()}, copy)

    def _fitting(self, rows: int) -> Iterator[slice]:
        start = 0
        while start < rows:
            stop = start + self._group.room(rows - start)
            yield slice(start, stop)
            start = stop

    def hand_over(self) -> None:
        """Have the row group under way written; none may be added to it."""
        self._writer.submit(self._write_group, self._group)

    def _write_group(self, group: Gathering) -> None:
        if group.rows:
            self.write(group.filled)
        self._groups.give_back(group)

    def write(self, columns: Columns) -> None:
        """Write a row group; in the writer's thread."""
        if self._writer.file is None:
            self._writer.file = self._begin()
        self._writer.file.write(columns)
        if self._writer.file.rows == self.size:
            self.close()

    def close(self) -> None:
        """Finish the file under way, if there is one; in the writer's thread."""
        if self._writer.file is not None:
            self.entries.append(self._writer.file.finish())
            self._writer.file = None
