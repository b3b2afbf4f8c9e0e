"""One symbol of an archive to its partitions: its files are read ahead while the engine runs and finished rows are
encoded and written."""

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Full, Queue
from typing import TypeVar

import polars as pl

from pipelines.features import FeaturePlan
from pipelines.journal import Journal
from pipelines.making import Batch, Making, Named, Record
from pipelines.objects import Location
from pipelines.partitions import Place, SymbolBuild
from pipelines.planning import Work
from pipelines.quality import NONE_PLACED
from pipelines.runs import Run, Screen, merged
from pipelines.schema import SourceHints
from pipelines.survey import Source, key_of, rejected_of, runs_of
from pipelines.uploads import Upload

Item = TypeVar("Item")

_AHEAD = 2  # batches
LASTS = "lasts"  # under which the journal has the time of the last row of each streamed file


@dataclass(frozen=True)
class Task:
    """All that a worker needs to build what is due for a symbol; plain values and paths.

    Attributes:
        sources: files whose rows of the symbol are to be read. entered: lines that the journal had of the symbol.
        root: where the build is under way. base: where else finished partitions are.
        upload: where they go when they are finished, if not into a folder.
    """

    work: Work
    flavour: str
    sources: Sequence[Source]
    entered: int
    hints: SourceHints
    making: Making
    root: Path
    base: Location
    upload: Upload | None = None

    @property
    def name(self) -> str:
        """Of the symbol in the journal."""
        return journal_name(self.work.symbol)

    @property
    def names(self) -> dict[int, Named]:
        """Of the sources, under their numbers."""
        return {source.number: (source.path.name, source.sha256) for source in self.sources}

    @property
    def files(self) -> dict[int, str]:
        """Their paths, under their numbers."""
        return {source.number: str(source.path) for source in self.sources}

    def left(self) -> "Task":
        """What is left of it, after the partitions that somebody entered in the journal since it was planned."""
        entered = Journal(self.root).values(self.name)[self.entered :]
        mine = self.making.identity
        made = [record for record in entered if record.pop("making", None) == mine]
        return replace(self, work=self.work.after(made, self.making.period))


def journal_name(symbol: str) -> str:
    """Under which the journal has the partitions of a symbol."""
    return f"symbol={symbol}"


def build_symbol(task: Task, plan: FeaturePlan, advanced: Callable[[int, int], None]) -> list[Record]:
    """Build what is due for a symbol and enter each partition in the journal; returns the records of all of them.

    Args:
        advanced: called with rows that were taken, and partitions that were finished, since the last time.

    Raises:
        DisorderError, UnreadableError: a file cannot be streamed after all.
        DataError: a file contradicts its first rows, or something cannot be written.
    """
    journal = Journal(task.root)

    def finished(record: Record) -> None:
        entry = {**record, "making": task.making.identity}
        if task.upload is not None:
            task.upload.add(task.root, task.name, entry)
        journal.add(task.name, entry)
        advanced(0, 1)

    place = Place(task.root, task.base, finished, lambda rows: advanced(rows, 0))
    records = _run(task, plan, place, journal)
    if records[-1]["is_last"]:
        return records
    return _run(replace(task, work=task.work.from_before(task.making.period)), plan, place, journal)


def _run(task: Task, plan: FeaturePlan, place: Place, journal: Journal) -> list[Record]:
    stream = screened(task, lambda run, source: _Noted(run, source, task.work.symbol, journal))
    build = SymbolBuild(place, task.work.symbol, task.making, plan, task.work.standing)
    with closing(read_ahead(stream)) as batches:
        return build.run(batches, task.names, task.files)


def screened(task: Task, watched: Callable[[Run, Source], Run] = lambda run, source: run) -> Iterator[Batch]:
    """The rows that are due of a symbol, merged from its sources, with what is rejected of them.

    Args:
        watched: what is read in the place of each run of a source.
    """
    symbol, start = task.work.symbol, task.work.start
    runs = [watched(run, source) for source in task.sources for run in _runs(task, source)]
    rejected = pl.concat([NONE_PLACED, *(rejected_of(source, symbol, task.root) for source in task.sources)])
    if start is not None:
        rejected = rejected.filter(pl.col("_stamp") >= start)
    screen = Screen(symbol, task.flavour, task.files, rejected, task.making.quality.policy)
    return screen.batches(merged(runs, start=start))


def _runs(task: Task, source: Source) -> Iterator[Run]:
    return runs_of(source, task.work.symbol, task.hints, task.root, task.work.start)


class _Noted:
    """A run that is entered in the journal when it was read to its end: it may not have to be opened again."""

    def __init__(self, run: Run, source: Source, symbol: str, journal: Journal) -> None:
        self.source, self.part, self.first, self.last = run.source, run.part, run.first, run.last
        self._run, self._origin, self._symbol, self._journal = run, source, symbol, journal

    def batches(self) -> Iterator[Batch]:
        """As `Run`."""
        last = None
        for batch in self._run.batches():
            last = int(batch.rows["timestamp"].to_physical()[-1]) if len(batch.rows) else last
            yield batch
        if self._origin.entry["spans"][self._symbol][1] is None:
            name, sha256 = key_of(self._origin)
            self._journal.add(LASTS, {"name": name, "sha256": sha256, "symbol": self._symbol, "last": last})


def read_ahead(batches: Iterable[Item]) -> Generator[Item, None, None]:
    """The same batches, or pieces of them, made in a thread of their own some steps ahead."""
    queue: Queue[Item | BaseException | None] = Queue(_AHEAD)
    stopped = threading.Event()

    def give(item: Item | BaseException | None) -> None:
        while not stopped.is_set():
            try:
                return queue.put(item, timeout=0.1)
            except Full:
                continue

    def read() -> None:
        try:
            for batch in batches:
                give(batch)
                if stopped.is_set():
                    return
            give(None)
        except BaseException as error:  # it is raised where the batches are taken
            give(error)

    reader = threading.Thread(target=read, name="read", daemon=True)
    reader.start()
    try:
        while (item := queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()
        reader.join()
