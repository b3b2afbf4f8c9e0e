"""The rows of a store that holds none, computed when they are read: the build itself, from a saved state on, with a
reader where the files would be.

A read begins with the state before the first partition that it needs, takes the input of these partitions from the
store, or from the sources where they lie, and stops when it is past the last row. What is computed of input is handed
out when the input has the sums that were noted when the store was built; and each partition that is run to its end must
come to the state that was saved then.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa

from kernels.arrays import Floats
from pipelines import parts
from pipelines.errors import DataError
from pipelines.features import FeaturePlan
from pipelines.files import sha256_file
from pipelines.making import Making, Record
from pipelines.manifest import files_of, records_of
from pipelines.parquet_writer import Columns
from pipelines.partitions import Piece, Place, SymbolBuild, cut
from pipelines.parts import Entry
from pipelines.planning import Work
from pipelines.quality import NONE_PLACED
from pipelines.reasons import Quality
from pipelines.runs import DisorderError
from pipelines.schema import TIMESTAMP, SourceHints
from pipelines.streaming import Task, read_ahead, screened
from pipelines.survey import Source, Stamp

if TYPE_CHECKING:
    from pipelines.store import FeatureStore

_MEND = "the store keeps no rows of its own: put it back, or run build-features on the archive as it is now"


@dataclass(kw_only=True)
class _Reader(Place):
    """Takes finished rows in the place of a store.

    Attributes:
        expected: the records that they must lead to, by period. read_state: what the store saved.
        rows: what may be handed out. waiting: what was computed of input of which no sum is known yet.
        problem: what is wrong with the partition that came last.
    """

    expected: Mapping[str, Record]
    read_state: Callable[[Mapping[str, Any]], dict[str, Floats]]
    rows: deque[Columns] = field(default_factory=deque)
    waiting: list[Columns] = field(default_factory=list)
    problem: DataError | None = None
    _is_proven: bool = False

    def state_of(self, record: Record) -> dict[str, Floats]:
        """As `Place`: also of a store that was brought up to date since it was opened."""
        return self.read_state(record["state"])

    def tally(self, symbol: str, key: str, making: Making) -> parts.Tally:
        """As `Place`: hands the rows to the reader. Input that the store holds was hashed when it was read."""
        self._is_proven = making.materialize == "input"
        return parts.Tally(symbol, key, self._take)

    def _take(self, columns: Columns) -> None:
        (self.rows if self._is_proven else self.waiting).append(columns)

    def enter_sums(self, record: Record, sums: Sequence[str], *, whole: bool) -> None:
        """As `Place`: what came before a sum that is the expected one may be handed out.

        Raises:
            DataError: it is another one.
        """
        super().enter_sums(record, sums, whole=whole)
        received = record["sums"]
        if received != self.expected[record["date"]]["sums"][: len(received)]:
            raise self._otherwise(record)
        if sums or whole:
            self.rows.extend(self.waiting)
            self.waiting.clear()
            self._is_proven = whole

    def keep_state(self, symbol: str, state: bytes) -> Entry:
        """As `Place`: nothing is saved."""
        return Entry.named(parts.state_path(symbol), state)

    def keep_rejected(self, rejected: pl.DataFrame) -> dict[str, Any]:
        """As `Place`: the store has them."""
        return {}

    def keeps_input(self, making: Making) -> bool:
        """As `Place`: it is there."""
        return False

    def check(self, record: Record) -> None:
        """Note a partition that came out otherwise than when it was built."""
        if record["state"]["sha256"] != self.expected[record["date"]]["state"]["sha256"]:
            self.problem = self._otherwise(record)

    def _otherwise(self, record: Record) -> DataError:
        return DataError(
            f"{self.base}: {record['symbol']} from {record['date']} on comes out otherwise than when the store was "
            "built, though what it is computed from is the same: expected the version that built it; run "
            "build-features --overwrite"
        )


class ComputedRows:
    """The rows of a store of `materialize: none` or `input`."""

    def __init__(self, store: "FeatureStore") -> None:
        self._store, self._path = store, store.path
        self._making = Making.of(store.manifest)
        self._records = records_of(store.manifest)
        stated = enumerate(store.manifest["sources"])
        self._sources = [_source(number, source) for number, source in stated if "stamp" in source and source["spans"]]

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
        making = self._making
        if making.materialize == "input":
            making = replace(making, quality=Quality())  # what is held against rows was held against these
        reader = _Reader(
            Path(),
            self._path,
            lambda record: None,
            lambda rows: None,
            expected={record["date"]: record for record in (*before, *records)},
            read_state=self._store.state_in,
        )
        reader.finished = reader.check
        build = SymbolBuild(reader, symbol, making, FeaturePlan(making.features), before)
        sources: Sequence[Source] = ()
        if making.materialize == "input":
            pieces = self._kept(records)
        else:
            task = self._task(symbol, before, records)
            build.sources, build.files, sources = task.names, task.files, task.sources
            pieces = _pieces(task, parts.period_end(records[-1]["date"], making.period))
        try:
            yield from _computed(build, reader, pieces, last=records[-1]["is_last"])
        except DataError:
            _require_unaltered(sources)
            raise

    def _kept(self, records: Sequence[Record]) -> Iterator[Piece]:
        """The input that the store holds; a partition may have none, and still finish what came before it."""
        for record in records:
            yield record["date"], pl.DataFrame(), NONE_PLACED
            for file in record["input_files"]:
                for run in self._store.read_part(file):
                    rows = pl.DataFrame(pl.from_arrow(pa.table(dict(run)))).with_columns(
                        pl.col("timestamp").cast(TIMESTAMP)
                    )
                    yield record["date"], rows, NONE_PLACED

    def _task(self, symbol: str, before: Sequence[Record], records: Sequence[Record]) -> Task:
        """What a build would be told that goes on from a partition, as far as it concerns those that are wanted."""
        period = self._making.period
        start = parts.period_end(before[-1]["date"], period) if before else None
        end = parts.period_end(records[-1]["date"], period)
        sources = [source.of_symbol(symbol) for source in self._sources if _overlaps(source, symbol, start, end)]
        for source in sources:
            _require_unchanged(source)
        hints = SourceHints(**(self._making.hints or {}), quality=self._making.quality)
        work = Work(symbol, before, start, None)
        return Task(work, sources[0].entry["flavour"], sources, 0, hints, self._making, Path(), self._path)

    def problems(self) -> Iterator[str]:
        """What is wrong with the sources that rows are computed from, a line each; they are hashed."""
        for source in self._sources:
            try:
                if not source.path.is_file():
                    yield f"{source.path}: missing, a source of this store"
                elif (received := sha256_file(source.path)) != source.sha256:
                    yield f"{source.path}: expected SHA-256 {source.sha256} of a source, received {received}"
            except DataError as error:
                yield str(error)


def _computed(build: SymbolBuild, reader: _Reader, pieces: Iterator[Piece], *, last: bool) -> Iterator[Columns]:
    with closing(read_ahead(pieces)) as ahead:
        for _ in build.steps(ahead, last=last):
            if reader.problem is not None:
                raise reader.problem
            yield from _drained(reader.rows)


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
    """By size and time of its last change: where all of a file is hashed to read a day of it, hashing takes longest.

    Raises:
        DataError: it is another one now, or gone.
    """
    try:
        received = Stamp.of(source.path)
    except OSError as error:
        raise DataError(f"{source.path}: a source of this store, cannot be read: {error.strerror}; {_MEND}") from None
    if received != source.stamp:
        raise DataError(
            f"{source.path}: a source that changed since the store was built: expected {_told(source.stamp)}, received "
            f"{_told(received)}; {_MEND}"
        )


def _require_unaltered(sources: Sequence[Source]) -> None:
    """By their hashes, when something else was wrong with what came of them.

    Raises:
        DataError: one is another one now, or gone.
    """
    for source in sources:
        _require_unchanged(source)
        if (received := sha256_file(source.path)) != source.sha256:
            raise DataError(
                f"{source.path}: a source that was altered since the store was built, and kept its size and time: "
                f"expected SHA-256 {source.sha256}, received {received}; {_MEND}"
            )


def _told(stamp: Stamp) -> str:
    changed = pl.Series([stamp.changed]).cast(pl.Datetime("ns")).dt.to_string("iso")[0]
    return f"{stamp.size:,} bytes of {changed} UTC"


def _pieces(task: Task, end: int) -> Iterator[Piece]:
    """What the sources hold before the end of a period; no more is read."""
    try:
        for batch in screened(task):
            for key, rows, rejected in cut(batch, task.making.period):
                if parts.period_bounds(key, task.making.period)[0] >= end:
                    return
                yield key, rows, rejected
    except DisorderError as error:
        path = task.files[error.source]
        raise DataError(f"{path}: is no longer in time order; run build-features again") from error
