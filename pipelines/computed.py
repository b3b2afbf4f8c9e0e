"""The rows of a store that keeps none, computed when they are read: the build itself, from a saved state on, with a
reader where the files would be.

A read begins with the state before the first partition that it needs, reads the sources of these partitions where they
lie, and stops when it is past the last row. Each partition that was run to its end must have come to the state that
was saved when it was built.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from pipelines import parts
from pipelines.errors import DataError
from pipelines.features import FeaturePlan
from pipelines.files import sha256_file
from pipelines.making import Batch, Making, Record
from pipelines.manifest import files_of, records_of
from pipelines.objects import Location
from pipelines.parquet_writer import Columns
from pipelines.partitions import Place, SymbolBuild
from pipelines.parts import Entry
from pipelines.planning import Work
from pipelines.runs import DisorderError
from pipelines.schema import SourceHints
from pipelines.streaming import Task, read_ahead, screened
from pipelines.survey import Source, Stamp


@dataclass
class _Reader(Place):
    """Takes finished rows in the place of a store; `expected` are the records that they must lead to, by period."""

    expected: Mapping[str, Record] = field(default_factory=dict)
    rows: deque[Columns] = field(default_factory=deque)
    problem: DataError | None = None

    def tally(self, symbol: str, key: str, making: Making) -> parts.Tally:
        """As `Place`: hands the rows to the reader."""
        return parts.Tally(symbol, key, self.rows.append)

    def keep_state(self, symbol: str, state: bytes) -> Entry:
        """As `Place`: nothing is saved."""
        return Entry.named(parts.state_path(symbol), state)

    def keep_rejected(self, rejected: pl.DataFrame) -> dict[str, Any]:
        """As `Place`: the store has them."""
        return {}

    def check(self, record: Record) -> None:
        """Note a partition that came out otherwise than when it was built."""
        if record["state"]["sha256"] != self.expected[record["date"]]["state"]["sha256"]:
            self.problem = DataError(
                f"{self.base}: {record['symbol']} from {record['date']} on comes out otherwise than when the store was "
                "built: a source was altered and kept its size and time; see stockbot-hp verify, then build-features"
            )


class ComputedRows:
    """The rows of a store of `materialize: none`."""

    def __init__(self, path: Location, manifest: Mapping[str, Any]) -> None:
        self._path = path
        self._making = Making.of(manifest)
        self._records = records_of(manifest)
        stated = enumerate(manifest["sources"])
        self._sources = [_source(number, source) for number, source in stated if "problem" not in source]

    def batches(self, symbol: str, is_wanted: Callable[[Mapping[str, Any]], bool]) -> Iterator[Columns]:
        """Rows of a symbol in time order, runs of them as they are finished, with all columns.

        Args:
            is_wanted: whether rows are, of which an entry of the manifest states the time; only partitions with such
                rows, and those between them, are computed.

        Raises:
            DataError: a source is not what it was when the store was built.
        """
        records = self._records[symbol]
        wanted = [number for number, record in enumerate(records) if any(map(is_wanted, files_of(record)))]
        if wanted:
            first, last = wanted[0], wanted[-1] + 1
            yield from self._computed(symbol, records[max(first - 1, 0) : first], records[first:last])

    def _computed(self, symbol: str, before: Sequence[Record], records: Sequence[Record]) -> Iterator[Columns]:
        period = self._making.period
        start = parts.period_end(before[-1]["date"], period) if before else None
        end = parts.period_end(records[-1]["date"], period)
        sources = [source.of_symbol(symbol) for source in self._sources if _overlaps(source, symbol, start, end)]
        for source in sources:
            _require_unchanged(source)
        hints = SourceHints(**(self._making.hints or {}), quality=self._making.quality)
        work = Work(symbol, before, start, None)
        task = Task(work, sources[0].entry["flavour"], sources, 0, hints, self._making, Path(), self._path)
        reader = _Reader(Path(), self._path, lambda record: None, lambda rows: None)
        reader.expected = {record["date"]: record for record in (*before, *records)}
        reader.finished = reader.check
        build = SymbolBuild(reader, symbol, self._making, FeaturePlan(self._making.features), before)
        try:
            with closing(read_ahead(_until(screened(task), end))) as batches:
                for _ in build.steps(batches, task.names, task.files, last=records[-1]["is_last"]):
                    yield from _drained(reader.rows)
                    if reader.problem is not None:
                        raise reader.problem
        except DisorderError as error:
            raise DataError(
                f"{task.files[error.source]}: is no longer in time order; run build-features again"
            ) from error

    def problems(self) -> Iterator[str]:
        """What is wrong with the sources, a line each; they are hashed."""
        for source in self._sources:
            if not source.path.is_file():
                yield f"{source.path}: missing, a source of this store"
            elif (received := sha256_file(source.path)) != source.sha256:
                yield f"{source.path}: expected SHA-256 {source.sha256} of a source, received {received}"


def _drained(rows: deque[Columns]) -> Iterator[Columns]:
    while rows:
        yield rows.popleft()


def _source(number: int, stated: Mapping[str, Any]) -> Source:
    entry = {**stated, "runs": [], "rejected": None, "mode": "streamed"}
    return Source(number, Path(stated["path"]), stated["sha256"], Stamp(*stated["stamp"]), entry)


def _overlaps(source: Source, symbol: str, start: int | None, end: int) -> bool:
    if symbol not in source.entry["spans"]:
        return False
    first, last = source.entry["spans"][symbol]
    return bool(first < end and (start is None or last >= start))


def _require_unchanged(source: Source) -> None:
    """By size and time of its last change, as hashing it would take as long as computing from it.

    Raises:
        DataError: it is another one now, or gone.
    """
    mend = "the store keeps no rows of its own: put it back, or run build-features on the archive as it is now"
    try:
        received = Stamp.of(source.path)
    except OSError as error:
        raise DataError(f"{source.path}: a source of this store, cannot be read: {error.strerror}; {mend}") from None
    if received != source.stamp:
        raise DataError(
            f"{source.path}: a source that changed since the store was built: expected {_told(source.stamp)}, received "
            f"{_told(received)}; {mend}"
        )


def _told(stamp: Stamp) -> str:
    changed = pl.Series([stamp.changed]).cast(pl.Datetime("ns")).dt.to_string("iso")[0]
    return f"{stamp.size:,} bytes of {changed} UTC"


def _until(batches: Iterator[Batch], end: int) -> Iterator[Batch]:
    """The rows before a time; no more are read."""
    for batch in batches:
        rows = batch.rows
        stop = int(rows["timestamp"].to_physical().search_sorted(end)) if len(rows) else 0
        if len(rows) and stop < len(rows):
            yield Batch(rows[:stop], batch.rejected.filter(pl.col("_stamp") < end))
            return
        yield Batch(rows, batch.rejected.filter(pl.col("_stamp") < end))
