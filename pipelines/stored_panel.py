"""A panel whose features stay in the store: times and prices are in memory, 16 to 24 bytes a row, whatever the
number of features."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kernels.arrays import Floats, Integers
from pipelines.errors import DataError
from pipelines.row_groups import StoredRows
from pipelines.scaling import Scaler, ScalerKind
from pipelines.scan import Scan, scan
from pipelines.sessions import begun
from pipelines.store import FeatureStore
from pipelines.window_runs import WindowRuns


@dataclass(frozen=True)
class StoredPanel:
    """What `panel.Panel` is, but for the matrix.

    Attributes:
        rows: where features are read. found: where windows may lie.
        timestamp, close: as of a panel; `timestamp` is `known` where each row is one tick.
        edges: where sessions begin, as `FeatureStore.session_edges`.
    """

    rows: StoredRows
    found: Scan
    timestamp: Integers
    close: Floats
    edges: Integers

    @classmethod
    def read(cls, store: FeatureStore, features: Sequence[str], *, max_gap_ns: int | None) -> "StoredPanel":
        """Go through a store, twice.

        Args:
            max_gap_ns: None for the automatic rule, which goes through the times beforehand.

        Raises:
            DataError: the store lacks a feature, holds no rows, or a file is not what was written.
        """
        rows = StoredRows(store, features)
        found = scan(rows, max_gap_ns=max_gap_ns)
        close = np.empty(len(rows))
        timestamp = found.known if rows.known_at_label else np.empty(len(rows), np.int64)
        columns = {"close": close} if rows.known_at_label else {"close": close, "timestamp": timestamp}
        for first, block in rows.blocks(0, len(rows), list(columns)):
            for name, whole in columns.items():
                whole[first : first + len(block[name])] = block[name]
        return cls(rows, found, timestamp, close, store.session_edges())

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
    def known(self) -> Integers:
        """As of a panel."""
        return self.found.known

    @property
    def offsets(self) -> Integers:
        """As of a panel."""
        return self.found.offsets

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
        """A scaler of these rows, as `Scaler.fit_blocks`; `rows` are windows of one row.

        Raises:
            DataError: `robust`, which has to see all rows at once.
        """
        if kind != "standard":
            raise DataError(
                f"scaler: {kind} has to see all training rows at once, and the rows of {self.rows.store.path} are "
                f"streamed: expected scaler: standard, or loader.placement: memory or a larger loader.budget"
            )
        return Scaler.fit_blocks(self.rows.held_by(rows, 1), self.features)
