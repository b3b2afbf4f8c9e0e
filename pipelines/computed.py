"""The rows of a store that holds none, computed when they are read: the build itself, from a saved state on, with a
reader where the files would be.

A read begins with the state before the first partition that it needs, takes the input of these partitions from the
store, or from the sources where they lie, and stops when it is past the last row. Each partition that was run to its
end must have come to the state that was saved when it was built.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa

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

    def keeps_input(self, making: Making) -> bool:
        """As `Place`: it is there."""
        return False

    def check(self, record: Record) -> None:
        """Note a partition that came out otherwise than when it was built."""
        if record["state"]["sha256"] != self.expected[record["date"]]["state"]["sha256"]:
            self.problem = DataError(
                f"{self.base}: {record['symbol']} from {record['date']} on comes out otherwise than when the store was "
                "built: a source was altered and kept its size and time; see stockbot-hp verify, then build-features"
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
        reader = _Reader(Path(), self._path, lambda record: None, lambda rows: None)
        reader.expected = {record["date"]: record for record in (*before, *records)}
        reader.finished = reader.check
        build = SymbolBuild(reader, symbol, making, FeaturePlan(making.features), before)
        if making.materialize == "input":
            pieces = self._kept(records)
        else:
            task = self._task(symbol, before, records)
            build.sources, build.files = task.names, task.files
            pieces = _pieces(task, parts.period_end(records[-1]["date"], making.period))
        with closing(read_ahead(pieces)) as ahead:
            for _ in build.steps(ahead, last=records[-1]["is_last"]):
                yield from _drained(reader.rows)
                if reader.problem is not None:
                    raise reader.problem

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
