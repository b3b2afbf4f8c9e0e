"""Runs: rows of one symbol in time order, straight from a file or from the spill; and their merge into one stream."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import polars as pl
import pyarrow as pa

from pipelines.errors import DamagedError, DataError
from pipelines.fetched import at_hand
from pipelines.making import Batch
from pipelines.quality import NONE_PLACED, parted, placed_rejected, repeated_identity
from pipelines.reasons import Action
from pipelines.schema import SourceHints
from pipelines.sources.payloads import detect_format
from pipelines.sources.plain import plain_rows
from pipelines.sources.settled import Settled, columns_of, read_batch, settle, without_symbols
from pipelines.sources.streams import BATCH_ROWS, open_stream

_FIRST, _LAST = -(2**63), 2**63 - 1  # of all times


class DisorderError(Exception):
    """A file whose first rows looked as if it could be streamed, and whose later rows cannot: it is read otherwise.

    Attributes:
        source: its number.
    """

    def __init__(self, source: int) -> None:
        super().__init__(source)
        self.source = source

    def __str__(self) -> str:
        return f"source {self.source} is not in time order, of several symbols, or unlike its first rows"


class UnreadableError(DataError):
    """A file that turned out to be damaged while it was streamed.

    Attributes:
        source: its number.
    """

    def __init__(self, source: int, problem: str) -> None:
        super().__init__(source, problem)  # all that it takes to make it anew in another process
        self.source, self.problem = source, problem

    def __str__(self) -> str:
        return self.problem


class Run(Protocol):
    """Rows of one symbol in time order.

    Attributes:
        source: number of its file in the archive. part: number among the runs of that file.
        first: time of its first row. last: of its last, where it is known.
    """

    @property
    def source(self) -> int: ...

    @property
    def part(self) -> int: ...

    @property
    def first(self) -> int: ...

    @property
    def last(self) -> int: ...

    def batches(self) -> Iterator[Batch]:
        """Its rows, with `_line` and `_source`."""


def read_spilled(path: Path) -> pl.DataFrame:
    """A frame of the spill, mapped: only what is looked at comes into memory."""
    with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as file:
        return pl.DataFrame(pl.from_arrow(file.read_all(), rechunk=False))


@dataclass(frozen=True)
class SpilledRun:
    """Rows `offset` to `offset + rows` of a file of the spill."""

    source: int
    part: int
    first: int
    last: int
    path: Path
    offset: int
    rows: int

    def batches(self) -> Iterator[Batch]:
        """As `Run`."""
        frame = read_spilled(self.path).slice(self.offset, self.rows)
        for start in range(0, self.rows, BATCH_ROWS):
            rows = frame[start : start + BATCH_ROWS].drop("symbol")
            yield Batch(rows.hstack([_source_column(self.source, len(rows))]), NONE_PLACED)


@dataclass(frozen=True)
class FileRun:
    """The rows of a file of one symbol in time order, which is told from its first rows and checked with all others."""

    source: int
    first: int
    path: Path
    symbol: str
    hints: SourceHints
    stamp: tuple[int, int]  # bytes, and when it changed
    settled: Settled | None = None  # how it is read, where that is known
    start: int | None = None  # time before which rows need not be read
    is_small: bool = False  # it can be read whole where its first rows did not tell enough
    part: int = 0
    last: int = _LAST

    def batches(self) -> Iterator[Batch]:
        """As `Run`.

        Raises:
            DisorderError: rows out of order, or of another symbol; a small file contradicts its first rows.
            DataError: the file is damaged, or a large one contradicts its first rows.
        """
        last, waiting = _FIRST, NONE_PLACED
        for rows, rejected in self._read():
            if len(rows):
                stamps = rows["timestamp"].to_physical()
                is_foreign = "symbol" in rows.columns and (rows["symbol"] != self.symbol).any()
                if stamps[0] < last or not stamps.is_sorted() or is_foreign:
                    raise DisorderError(self.source)
                rows = rows.drop("symbol") if "symbol" in rows.columns else rows
                rows = rows.hstack([_source_column(self.source, len(rows))])
            if len(rejected):
                waiting = pl.concat([waiting, self._placed(rows, rejected, last)])
            if len(rows):
                last = int(stamps[-1])
                yield Batch(rows, waiting)
                waiting = NONE_PLACED
        if len(waiting):
            yield Batch(pl.DataFrame(), waiting)

    def _placed(self, rows: pl.DataFrame, rejected: pl.DataFrame, last: int) -> pl.DataFrame:
        """Rejected rows among others; those before the first good one of the file stand with it."""
        placed = _placed(rows, rejected, last, self.source)
        return placed.with_columns(pl.col("_stamp").clip(lower_bound=self.first))

    def _read(self) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
        with at_hand(self.path):
            yield from self._read_at_hand()

    def _read_at_hand(self) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
        try:
            for rows, rejected, _ in canonical_batches(
                self.path, self.hints, self.stamp[0], self.settled, start=self.start, named=False
            ):
                yield rows, rejected
        except DamagedError as error:
            raise UnreadableError(self.source, str(error)) from error
        except DataError:
            if self.is_small:
                raise DisorderError(self.source) from None
            raise
        now, is_text = self.path.stat(), detect_format(self.path) == "text"
        if now.st_size < self.stamp[0] or (not is_text and (now.st_size, now.st_mtime_ns) != self.stamp):
            raise DataError(f"{self.path}: was changed while it was read; run the same command again")


def canonical_batches(
    path: Path,
    hints: SourceHints,
    size: int,
    settled: Settled | None = None,
    *,
    start: int | None = None,
    named: bool = True,
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame, int]]:
    """(good rows in the order of the file, rejected rows, rows in) of a file that can be streamed, batch by batch.

    Args:
        start: time before which rows of a file in time order may be left out.
        named: rows have a column of symbols even if the file is of one alone.
    """
    stream = open_stream(path, detect_format(path), hints, size=size, layout=settled.layout if settled else None)
    if stream is None:
        raise DataError(f"{path}: was changed while the archive was read; run the same command again")
    settled = without_symbols(settled or settle(path, stream.head, hints)[0], stream.constants)
    position = settled.mapping.positions.get("timestamp")
    skipped = 0 if start is None or position is None else stream.rows_before(position, start)
    for table in stream.tables(columns_of(settled), skipped):
        rows = plain_rows(settled, table, named=named)
        yield read_batch(settled, table) if rows is None else (rows, table.rejected, len(rows))


def _source_column(source: int, rows: int) -> pl.Series:
    return pl.Series("_source", [source], pl.UInt32).new_from_index(0, rows)


def _placed(rows: pl.DataFrame, rejected: pl.DataFrame, last: int, source: int) -> pl.DataFrame:
    """Rejected rows of a file, each with the time of the good row before it; `last` is that of the batch before."""
    stamps = pl.Series([last], dtype=pl.Int64)
    lines = pl.Series([], dtype=pl.Int64)
    if len(rows):
        stamps, lines = stamps.extend(rows["timestamp"].to_physical()), rows["_line"]
    at = lines.search_sorted(rejected["line"], side="left")
    return rejected.with_columns(_stamp=stamps.gather(at), _source=pl.lit(source, dtype=pl.UInt32))


@dataclass
class _Open:
    """A run that is being merged, and its rows in hand."""

    run: Run
    batches: Iterator[Batch] = field(init=False)
    rows: pl.DataFrame | None = None
    rejected: list[pl.DataFrame] = field(default_factory=list)
    is_done: bool = False

    def __post_init__(self) -> None:
        self.batches = self.run.batches()
        self.fill()

    def fill(self) -> None:
        """Read on until there are more rows, or no more."""
        for batch in self.batches:
            if len(batch.rejected):
                self.rejected.append(batch.rejected)
            if len(batch.rows):
                self.rows = batch.rows if self.rows is None else pl.concat([self.rows, batch.rows], how="diagonal")
                return
        self.is_done = True

    @property
    def edge(self) -> int:
        """The time up to which all its rows are in hand; rows of that very time may follow."""
        return _LAST if self.is_done or self.rows is None else int(self.rows["timestamp"].to_physical()[-1])

    def take_before(self, bound: int) -> pl.DataFrame:
        """Give away the rows before a time."""
        rows = pl.DataFrame() if self.rows is None else self.rows
        stop = int(rows["timestamp"].to_physical().search_sorted(bound)) if bound < _LAST else len(rows)
        self.rows = rows[stop:] if stop < len(rows) else None
        return rows[:stop]


def merged(runs: Iterable[Run], *, start: int | None = None) -> Iterator[Batch]:
    """The rows of all runs in time order, those of one time in the order of files and lines.

    Rows of a run are held back only while another one may have earlier rows, so that runs which follow one another in
    time pass through one at a time.

    Args:
        start: rows before this time are left out.
    """
    begin = _FIRST if start is None else start
    waiting = deque(
        sorted((run for run in runs if run.last >= begin), key=lambda run: (run.first, run.source, run.part))
    )
    opened: list[_Open] = []
    while waiting or opened:
        while waiting and (not opened or waiting[0].first <= min(one.edge for one in opened)):
            opened.append(_Open(waiting.popleft()))
        opened.sort(key=lambda one: (one.run.source, one.run.part))
        yield from _from(_step(opened, waiting[0].first if waiting else _LAST), begin)
        opened = [one for one in opened if one.rows is not None or not one.is_done]


def _step(opened: list[_Open], next_first: int) -> Batch:
    """The rows that no other can come before; the runs whose rows that used up are read on."""
    is_alone = len(opened) == 1 and opened[0].edge < next_first
    bound = _LAST if is_alone else min([next_first, *(one.edge for one in opened)])
    taken = [one.take_before(bound) for one in opened if one.rows is not None]
    rejected = [frame for one in opened for frame in one.rejected]
    for one in opened:
        one.rejected = []
        if not one.is_done and (one.rows is None or one.edge <= bound):
            one.fill()
    filled = [rows for rows in taken if len(rows)]
    rows = pl.concat(filled, how="diagonal") if len(filled) > 1 else (filled or [pl.DataFrame()])[0]
    if len(filled) > 1:
        rows = rows.sort("timestamp", maintain_order=True)
    return Batch(rows, pl.concat(rejected) if rejected else NONE_PLACED)


def _from(batch: Batch, begin: int) -> Iterator[Batch]:
    rows, rejected = batch.rows, batch.rejected
    if begin > _FIRST:
        if len(rows):
            rows = rows[int(rows["timestamp"].to_physical().search_sorted(begin)) :]
        rejected = rejected.filter(pl.col("_stamp") >= begin)
    if len(rows) or len(rejected):
        yield Batch(rows, rejected)


class Screen:
    """The last look at a symbol's stream: rows that come again are rejected, rejected rows stand in their place."""

    def __init__(
        self,
        symbol: str,
        flavour: str,
        files: Mapping[int, str],
        rejected: pl.DataFrame,
        policy: Mapping[str, Action],
    ) -> None:
        self._symbol, self._flavour, self._files, self._policy = symbol, flavour, files, policy
        self._waiting = rejected.sort("_stamp", maintain_order=True)
        self._tail: pl.DataFrame | None = None

    def batches(self, stream: Iterable[Batch]) -> Iterator[Batch]:
        """Batches whose rejected rows lie in the time of their rows, those that come again among them."""
        for batch in stream:
            if len(batch.rejected):
                self._waiting = pl.concat([self._waiting, batch.rejected]).sort("_stamp", maintain_order=True)
            if len(batch.rows):
                last = int(batch.rows["timestamp"].to_physical()[-1])
                rows, again = self._without_repeats(batch.rows)
                yield self._released(rows, again, last)
        if len(self._waiting):
            yield self._released(pl.DataFrame(), NONE_PLACED, _LAST)

    def _released(self, rows: pl.DataFrame, again: pl.DataFrame, last: int) -> Batch:
        stop = int(self._waiting["_stamp"].search_sorted(last, side="right")) if len(self._waiting) else 0
        rejected, self._waiting = self._waiting[:stop], self._waiting[stop:]
        if len(again):
            rejected = pl.concat([rejected, again]).sort("_stamp", maintain_order=True)
        return Batch(rows, rejected)

    def _without_repeats(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Only rows of one time can repeat one another, so that few have to be looked at."""
        if self._flavour == "quotes" or (self._flavour == "trades" and "trade_id" not in rows.columns):
            return rows, NONE_PLACED
        known = self._tail if self._tail is not None else rows.clear()
        both = pl.concat([known, rows], how="diagonal")
        stamp = pl.col("timestamp")
        shared = both.select((stamp == stamp.shift(1)) | (stamp == stamp.shift(-1))).to_series().fill_null(False)
        good, again = rows, NONE_PLACED
        if shared.any():
            look = both.filter(shared).with_columns(symbol=pl.lit(self._symbol))
            repeated, reason = repeated_identity(look, self._flavour)
            mask = pl.Series("repeated", [False]).new_from_index(0, len(both)).scatter(shared.arg_true(), repeated)
            good, found = parted(rows, mask[len(known) :], reason, self._policy)
            again = self._rejected(found, reason)
        self._tail = both.filter(both["timestamp"] == both["timestamp"][-1])
        return good, again

    def _rejected(self, rows: pl.DataFrame, reason: str) -> pl.DataFrame:
        return placed_rejected(rows, reason, self._files)
