"""Windows of a store that is larger than memory: rows are read in shuffled runs of row groups, each with the rows that
follow it, and the windows that begin in a run are shuffled within it.

A run is decoded, scaled and labelled in a thread while the windows of the one before are taken: two are in memory.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kernels.scaling import scaled_rows
from pipelines.ahead import one_ahead
from pipelines.batches import Piece, Turn, turns
from pipelines.buffers import BufferPool
from pipelines.columns import Column
from pipelines.panel import WindowSet
from pipelines.row_groups import StoredRows
from pipelines.scaling import Scaler
from pipelines.store import FeatureStore
from pipelines.window_runs import WindowRuns

RUN_ROWS = 500_000  # four row groups, 32 MB of 16 features: two such runs are in memory

Targets = Callable[[NDArray[np.float64]], NDArray[np.float32]]  # close (rows,) to (rows, target_dim)


def is_streamed(
    store: FeatureStore,
    features: Sequence[str],
    *,
    budget: int,
    placement: Literal["auto", "memory", "streamed"] = "auto",
) -> bool:
    """Whether windows are to be streamed: where rows and all that is made of them in memory exceed the budget.

    Args:
        budget: bytes for rows. placement: `memory` and `streamed` decide by themselves.
    """
    return placement == "streamed" or (placement == "auto" and memory_needed(store, len(features)) > budget)


def memory_needed(store: FeatureStore, features: int) -> int:
    """Bytes at the most while the rows of a store are loaded and scaled: the matrix, and while a scaler is fitted the
    training rows once more and twice as float64; and eight numbers of each row.

    Of 8 million rows of 17 features that is 3.8 GB, and a training in memory grew by as much, TensorFlow included.
    """
    rows = sum(int(file["rows"]) for file in store.manifest["files"])
    return rows * ((4 + 4 + 8 + 8) * features + 8 * 8)


@dataclass(frozen=True)
class _Run:
    """Rows `begin` to before `end`, and how many windows begin in them."""

    begin: int
    end: int
    windows: int


class StreamedWindows:
    """Windows whose rows are read when their turn comes: a `batches.Windows`.

    Attributes:
        runs: which windows. lookback: rows of a window. target_dim: targets of a window.
    """

    def __init__(
        self,
        rows: StoredRows,
        runs: WindowRuns,
        *,
        lookback: int,
        horizon: int,
        scaler: Scaler,
        targets: Targets,
        weights: Column | None = None,
        run_rows: int = RUN_ROWS,
    ) -> None:
        """
        Args:
            runs: the windows, as `scan.Scan.windows` finds them, or a part of them; ascending.
            horizon: rows after a window that its target is made of.
            targets: what the model is to output for the window whose last row it is, from the prices of rows that
                follow one another, in float32; what lies beyond them makes no difference to windows that are used.
            weights: (rows,) float32, of all rows, what the window counts whose last row it is.
            run_rows: of a run at most, or one row group where that is larger.
        """
        self.lookback, self.runs = lookback, runs
        self._rows, self._scaler, self._targets, self._weights = rows, scaler, targets, weights
        self._halo = lookback - 1 + horizon
        self._parts = [_Run(begin, end, len(runs.clipped(begin, end))) for begin, end in _cuts(rows, run_rows)]
        self._parts = [part for part in self._parts if part.windows]
        self.target_dim = int(targets(np.ones(self._halo + 1)).shape[1])
        most = max((part.end - part.begin for part in self._parts), default=0) + self._halo
        self._pool = BufferPool([(most, self.features), (most, self.target_dim)])
        # The rows that follow a run are the first of another: kept, so that no row group is decoded for them again.
        self._heads: dict[int, tuple[NDArray[np.float32], NDArray[np.float64]]] = {}
        self._unchecked: set[int] = set()

    def __len__(self) -> int:
        return len(self.runs)

    @property
    def features(self) -> int:
        """Of a row."""
        return len(self._rows.features)

    @property
    def weighted(self) -> bool:
        """Whether windows count differently."""
        return self._weights is not None

    def require_finite(self, columns: Sequence[str], row_name: Callable[[int], str]) -> None:
        """As `WindowSet`, but later: the rows of a run are checked when they are next read."""
        self._unchecked = set(range(len(self._parts)))

    def pieces(self, seed: int | None, epoch: int, skip: int) -> Iterator[Piece]:
        """The runs in the order of the epoch; those that the skipped windows fill are not read."""
        order = turns([part.windows for part in self._parts], seed, epoch, skip)
        with closing(one_ahead(self._piece, order)) as pieces:
            yield from pieces

    def _piece(self, turn: Turn) -> Piece:
        part = self._parts[turn.number]
        matrix, targets = self._loaded(part)
        weights = None if self._weights is None else self._weights[part.begin : part.begin + len(matrix)]
        runs = self.runs.within(part.begin, part.end)
        if turn.number in self._unchecked:
            whole = WindowSet(matrix, runs, targets, self.lookback)
            whole.require_finite(self._rows.features, lambda row: self._rows.row_name(part.begin + row))
            self._unchecked.discard(turn.number)
        return Piece(matrix, targets, weights, runs, turn.order, turn.skip)

    def _loaded(self, part: _Run) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Rows of a run and its halo, and their targets."""
        end = min(part.end + self._halo, len(self._rows))
        matrix, targets = (array[: end - part.begin] for array in self._pool.take())
        close = np.empty(len(matrix))
        head = self._heads.get(part.end)
        self._read(part.begin, part.end if head else end, matrix, close)
        if head:
            matrix[part.end - part.begin :], close[part.end - part.begin :] = head
        self._heads[part.begin] = matrix[: self._halo].copy(), close[: self._halo].copy()
        targets[...] = self._targets(close)
        return matrix, targets

    def _read(self, begin: int, end: int, matrix: NDArray[np.float32], close: NDArray[np.float64]) -> None:
        names = [*self._rows.features, "close"]
        for first, block in self._rows.blocks(begin, end, names):
            *columns, prices = block.values()
            place = slice(first - begin, first - begin + len(prices))
            scaled_rows(columns, self._scaler.center, self._scaler.scale, matrix[place])
            close[place] = prices


def _cuts(rows: StoredRows, most: int) -> Iterator[tuple[int, int]]:
    """First row and the row after the last of runs of whole row groups."""
    begin = 0
    for group in rows.groups:
        if group.end - begin > most and group.first > begin:
            yield begin, group.first
            begin = group.first
    yield begin, len(rows)
