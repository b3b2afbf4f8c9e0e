"""Rows in memory, a slab at a time: for a device that does not hold them all."""

from collections.abc import Iterator
from dataclasses import replace

from kernels.memory import ALIGNMENT, aligned
from pipelines.batches import Piece, turns
from pipelines.panel import WindowSet

_STEP = ALIGNMENT // 4  # rows: a slab that begins at a multiple begins as well aligned as the whole


class SlabWindows:
    """The windows of a set, slab after slab in the order of an epoch, shuffled within each: a `batches.Windows`."""

    def __init__(self, windows: WindowSet, rows: int) -> None:
        """
        Args:
            rows: of a slab; each has as many more as its last windows reach beyond it.
        """
        self._windows = windows
        whole = replace(
            windows,
            matrix=aligned(windows.matrix),
            targets=aligned(windows.targets),
            weights=None if windows.weights is None else aligned(windows.weights),
        )
        step = max(rows // _STEP, 1) * _STEP
        slabs = [_slab(whole, begin, begin + step) for begin in range(0, len(whole.matrix), step)]
        self._slabs = [slab for slab in slabs if len(slab.runs)]

    def __len__(self) -> int:
        return len(self._windows)

    @property
    def lookback(self) -> int:
        """Rows of a window."""
        return self._windows.lookback

    @property
    def features(self) -> int:
        """Of a row."""
        return self._windows.features

    @property
    def target_dim(self) -> int:
        """Targets of a window."""
        return self._windows.target_dim

    @property
    def weighted(self) -> bool:
        """Whether windows count differently."""
        return self._windows.weighted

    def pieces(self, seed: int | None, epoch: int, skip: int) -> Iterator[Piece]:
        """The slabs in the order of the epoch."""
        for number, order, done in turns([len(slab.runs) for slab in self._slabs], seed, epoch, skip):
            yield replace(self._slabs[number], order=order, skip=done)


def _slab(whole: WindowSet, begin: int, end: int) -> Piece:
    rows = slice(begin, end + whole.lookback - 1)
    weights = None if whole.weights is None else whole.weights[rows]
    return Piece(whole.matrix[rows], whole.targets[rows], weights, whole.runs.within(begin, end), None)
