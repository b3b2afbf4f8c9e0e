"""Where live rows come from. A feed is anything that yields chunks; the runner asks for nothing else."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kernels.bars import QUOTE_NAMES
from pipelines.bars import tick_arrays
from pipelines.ingest import Ingested, read_archive
from pipelines.schema import SourceHints

Kind = Literal["ticks", "candles"]
CANDLE_COLUMNS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True)
class Chunk:
    """Rows in the order they became known, symbols mixed; an empty one is a heartbeat: the loop gets its turn.

    Attributes:
        kind: what a row is.
        symbols: names that `code` indexes; a feed may add names at the end, never reorder them.
        code: (rows,) int, symbol of each row.
        timestamp: (rows,) int64, ns UTC.
        columns: (rows,) float64 each; price, volume, side (0 unknown) of ticks, with bid, ask, bid_size, ask_size
            (NaN missing) where the source has quotes; or open to volume of candles.
    """

    kind: Kind
    symbols: Sequence[str]
    code: NDArray[np.integer[Any]]
    timestamp: NDArray[np.int64]
    columns: Mapping[str, NDArray[np.float64]]

    def __len__(self) -> int:
        return len(self.timestamp)


class Feed(Protocol):
    """A source of chunks that ends when the source does; one that waits yields empty chunks meanwhile."""

    def __iter__(self) -> Iterator[Chunk]:
        """Chunk after chunk; times never step back within a symbol."""

    def close(self) -> None:
        """Let go of files and connections; safe to call twice."""


class ReplayFeed:
    """A recorded archive, all symbols merged by time; rows of one instant keep the archive's order.

    Attributes:
        ingested: what was read, with the rejected rows.
    """

    def __init__(self, sources: Sequence[str | Path], hints: SourceHints, *, chunk: int = 1) -> None:
        self.ingested: Ingested = read_archive(sources, hints)
        self._chunk = chunk
        self._rows = _merged(self.ingested.kind, self.ingested.frame)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Chunk]:
        rows = self._rows
        for start in range(0, len(rows), self._chunk):
            part = slice(start, start + self._chunk)
            columns = {name: values[part] for name, values in rows.columns.items()}
            yield Chunk(rows.kind, rows.symbols, rows.code[part], rows.timestamp[part], columns)

    def close(self) -> None:
        """Nothing is held open."""


def _merged(kind: Kind, frame: pl.DataFrame) -> Chunk:
    frame = frame.sort("timestamp", maintain_order=True)
    symbols = frame["symbol"].unique(maintain_order=True).to_list()
    code = frame["symbol"].cast(pl.Enum(symbols)).to_physical().to_numpy()
    if kind == "ticks":
        timestamp, price, volume, side, quotes = tick_arrays(frame)
        columns = {"price": price, "volume": volume, "side": side}
        if quotes is not None:
            columns |= dict(zip(QUOTE_NAMES, quotes, strict=True))
        return Chunk(kind, symbols, code, timestamp, columns)
    columns = {name: frame[name].to_numpy(writable=True) for name in CANDLE_COLUMNS}
    return Chunk(kind, symbols, code, frame["timestamp"].to_physical().to_numpy(writable=True), columns)
