"""The rows of a feature store in the order of a panel, read a row group at a time instead of all at once.

Rows are numbered as in `panel.Panel`: those of all symbols one after another, each symbol sorted by time, without a
last bar that was still open.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipelines.errors import DataError
from pipelines.panel import require_features
from pipelines.parts import Entry
from pipelines.splits import covered_rows, iso
from pipelines.store import FeatureStore, by_symbol, written_columns
from pipelines.window_runs import WindowRuns

Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class RowGroup:
    """Rows that are decoded together.

    Attributes:
        file: as the manifest lists it. number: in the file; None for all of a file that is not on disk.
        first: number of its first row. rows: without an open bar.
    """

    file: dict[str, Any]
    number: int | None
    first: int
    rows: int

    @property
    def end(self) -> int:
        """Number of the row after its last."""
        return self.first + self.rows


class StoredRows:
    """A store's rows by their numbers.

    Attributes:
        store: where they are. features: those that are read.
        groups: all row groups, in the order of rows. offsets: (symbols + 1,) int64, first row of each symbol.
    """

    def __init__(self, store: FeatureStore, features: Sequence[str]) -> None:
        """Reads the footers of all files on disk. Of a store whose rows are computed, or that lies in a bucket, a
        partition is computed or fetched as a whole.

        Raises:
            DataError: a feature is not there, the store holds no finished row, or a file is not what was written.
        """
        require_features(store, features)
        self.store, self.features = store, tuple(features)
        written = written_columns(store.manifest["source_kind"], store.bars)
        self._known = "last_timestamp" if "last_timestamp" in written else "timestamp"
        self.groups: list[RowGroup] = []
        self._proven: dict[str, tuple[int, int]] = {}  # size and time of change by path
        offsets = [0]
        files = by_symbol(store.manifest["files"])
        for symbol in store.symbols:
            self._add(files.get(symbol, []), bool(store.manifest["symbols"][symbol]["open_bar"]))
            offsets.append(self._rows)
        if not self._rows:
            raise DataError(f"{store.path}: the feature store holds no finished row; build it from more data")
        self.offsets = np.array(offsets, np.int64)
        self._firsts = [group.first for group in self.groups]

    def __len__(self) -> int:
        return self._rows

    @property
    def _rows(self) -> int:
        return self.groups[-1].end if self.groups else 0

    def _add(self, files: list[dict[str, Any]], open_bar: bool) -> None:
        for file in files:
            if self._is_on_disk:
                with self._opened(file) as content:
                    counts = [content.metadata.row_group(number).num_rows for number in range(content.num_row_groups)]
            else:
                counts = [int(file["rows"])]
            for number, count in enumerate(counts):
                self.groups.append(RowGroup(file, number if self._is_on_disk else None, self._rows, count))
        if open_bar and files:
            last = self.groups.pop()
            stamps = self._read(last, ["timestamp"])["timestamp"]
            # What a store leaves out when it is asked for closed bars alone: all rows of the last time.
            self.groups.append(replace(last, rows=int(np.searchsorted(stamps, stamps[-1]))))

    @property
    def _is_on_disk(self) -> bool:
        return not self.store.is_computed and isinstance(self.store.path, Path)

    @property
    def known_at_label(self) -> bool:
        """Whether each row was known at the time that it is named by, as a tick is."""
        return self._known == "timestamp"

    def blocks(self, begin: int, end: int, columns: Sequence[str]) -> Iterator[tuple[int, Columns]]:
        """Rows `begin` to before `end`, a row group at a time: the number of its first row, and its columns.

        `timestamp` and `known` are int64, ns UTC; the rest is as it was written.
        """
        number = bisect_right(self._firsts, begin) - 1
        while number < len(self.groups) and self.groups[number].first < end:
            group = self.groups[number]
            part = slice(max(begin - group.first, 0), min(end - group.first, group.rows))
            yield group.first + part.start, {name: column[part] for name, column in self._read(group, columns).items()}
            number += 1
        pa.default_memory_pool().release_unused()  # what was decoded is copied or let go by now: 30 MB of row groups

    def held_by(self, runs: WindowRuns, lookback: int, features: Sequence[str]) -> Iterator[NDArray[np.float32]]:
        """Features of the rows that windows hold, each once, in blocks (rows, features): what a scaler is fitted on."""
        for group in self.groups:
            near = runs.clipped(group.first - lookback + 1, group.end)
            if not len(near):
                continue
            used = covered_rows(near.starts() - group.first + lookback, lookback, group.rows + 2 * lookback)
            ((_, columns),) = self.blocks(group.first, group.end, features)
            rows = np.column_stack([columns[name] for name in features])
            yield np.asarray(rows[used[lookback : lookback + group.rows]], np.float32)

    def between(self, begin: int, end: int) -> NDArray[np.float32]:
        """Features of rows `begin` to before `end`, (rows, features), C-contiguous."""
        found = np.empty((end - begin, len(self.features)), np.float32)
        for first, columns in self.blocks(begin, end, self.features):
            for number, name in enumerate(self.features):
                found[first - begin : first - begin + len(columns[name]), number] = columns[name]
        return found

    def row_name(self, row: int) -> str:
        """Symbol and time of a row, for messages."""
        symbol = int(np.searchsorted(self.offsets, row, side="right")) - 1
        ((_, columns),) = self.blocks(row, row + 1, ["timestamp"])
        return f"{self.store.symbols[symbol]} at {iso(int(columns['timestamp'][0]))}"

    def _read(self, group: RowGroup, columns: Sequence[str]) -> Columns:
        held = {name: self._known if name == "known" else name for name in columns}
        if group.number is None:
            runs = list(self.store.rows_of(group.file, list(dict.fromkeys(held.values()))))
            return {name: np.concatenate([run[source] for run in runs])[: group.rows] for name, source in held.items()}
        with self._opened(group.file) as content:
            table = content.read_row_group(group.number, list(dict.fromkeys(held.values())), use_threads=False)
        return {name: _plain(table[source]) for name, source in held.items()}

    def _opened(self, file: dict[str, Any]) -> pq.ParquetFile:
        """The file, hashed when it is first opened, and again when size or time of change are not what they were."""
        entry, path = Entry.of(file), cast(Path, self.store.locate(file["path"]))
        state = (path.stat().st_size, path.stat().st_mtime_ns) if path.exists() else None
        if state is None or self._proven.get(entry.path) != state:
            if problem := entry.problem_at(path):
                raise DataError(f"{problem}; rebuild the store")
            self._proven[entry.path] = cast(tuple[int, int], state)
        # A mapped file counts as memory of the process, all of it by the end of a pass: 666 MiB instead of 156.
        return pq.ParquetFile(path, memory_map=False, pre_buffer=False)


def _plain(column: pa.ChunkedArray) -> NDArray[Any]:
    chunk = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    return np.asarray(chunk.cast(pa.int64()) if pa.types.is_timestamp(chunk.type) else chunk)
