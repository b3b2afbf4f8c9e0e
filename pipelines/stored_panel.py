"""A panel whose features stay in the store, and whose times and prices are in files."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike, NDArray

from kernels.arrays import Integers
from pipelines.columns import Column, ScratchColumn
from pipelines.row_groups import StoredRows
from pipelines.scaling import Scaler, ScalerKind
from pipelines.scan import Scan, scan
from pipelines.sessions import begun
from pipelines.store import FeatureStore
from pipelines.window_runs import WindowRuns

COLUMN_BYTES = 256 << 20  # of features whose values are in memory together: each pass over a store gives as many


@dataclass(frozen=True)
class StoredPanel:
    """What `panel.Panel` is, but for the matrix.

    Attributes:
        rows: where features are read. found: where windows may lie.
        timestamp, close: as of a scan.
        edges: where sessions begin, as `FeatureStore.session_edges`.
    """

    rows: StoredRows
    found: Scan
    timestamp: Column
    close: Column
    edges: Integers

    @classmethod
    def read(cls, store: FeatureStore, features: Sequence[str], *, max_gap_ns: int | None) -> "StoredPanel":
        """Go through a store.

        Args:
            max_gap_ns: as of `scan`.

        Raises:
            DataError: the store lacks a feature or holds no rows, or as `scan`.
        """
        rows = StoredRows(store, features)
        found = scan(rows, max_gap_ns=max_gap_ns)
        return cls(rows, found, found.timestamp, found.close, store.session_edges())

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the columns of `between`."""
        return self.rows.features

    @property
    def symbols(self) -> tuple[str, ...]:
        """One name for each stretch of rows."""
        return tuple(self.rows.store.symbols)

    @property
    def known(self) -> Column:
        """As of a panel."""
        return self.found.known

    @property
    def offsets(self) -> Integers:
        """As of a panel."""
        return self.found.offsets

    def kept(self, blocks: Iterable[NDArray[np.generic]], dtype: DTypeLike) -> Column:
        """Numbers that come in blocks, as a column in a file."""
        return ScratchColumn(dtype, blocks)

    def session_of(self, begin: int, end: int) -> Integers:
        """What tells the sessions of rows `begin` to before `end` apart."""
        return begun(self.known[begin:end], self.edges)

    def row_name(self, row: int) -> str:
        """Symbol and time of a row, for messages."""
        return self.rows.row_name(row)

    def between(self, begin: int, end: int) -> NDArray[np.float32]:
        """Features of rows `begin` to before `end`, (rows, features), not scaled."""
        return self.rows.between(begin, end)

    def at(self, rows: Integers) -> NDArray[np.float32]:
        """Features of the rows of these numbers, which ascend, (rows, features), not scaled."""
        found = np.empty((len(rows), len(self.features)), np.float32)
        for group in self.rows.groups:
            begin, end = np.searchsorted(rows, (group.first, group.end))
            if begin < end:
                found[begin:end] = self.between(group.first, group.end)[rows[begin:end] - group.first]
        return found

    def unbroken(self, *, lookback: int, horizon: int, max_gap_ns: int | None) -> tuple[WindowRuns, int]:
        """The windows that `panel.panel_windows` finds, and the longest gap they may hold.

        Raises:
            ValueError: another gap than the rows were gone through with. DataError: not one window.
        """
        if max_gap_ns is not None and max_gap_ns != self.found.max_gap_ns:
            raise ValueError(f"max_gap_ns: expected {self.found.max_gap_ns}, received {max_gap_ns}")
        return self.found.windows(lookback, horizon), self.found.max_gap_ns

    def fitted_scaler(self, kind: ScalerKind, rows: WindowRuns) -> Scaler:
        """A scaler of these rows, as `Scaler.fit_blocks` and `Scaler.fit_columns`; `rows` are windows of one row."""
        if kind == "standard":
            return Scaler.fit_blocks(self.rows.held_by(rows, 1, self.features), self.features)
        return Scaler.fit_columns(self._columns(rows), self.features)

    def _columns(self, rows: WindowRuns) -> Iterator[NDArray[np.float32]]:
        """The values of each feature at these rows, as many features at once as `COLUMN_BYTES` hold."""
        at_once = max(COLUMN_BYTES // (4 * len(rows)), 1) if len(rows) else 1
        for begin in range(0, len(self.features), at_once):
            names = self.features[begin : begin + at_once]
            columns, done = np.empty((len(names), len(rows)), np.float32), 0
            for block in self.rows.held_by(rows, 1, names):
                columns[:, done : done + len(block)] = block.T
                done += len(block)
            yield from columns
