"""From an archive of any size to a feature store: surveyed, streamed symbol by symbol, resumed, brought up to date.

What a build makes lies in a hidden folder beside the store until all of it is there, with a journal of what is done.
A new store is that folder under its final name; a store that is brought up to date takes over its new files.
"""

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from pipelines import ledger, seen
from pipelines import store as stores
from pipelines.build import (
    BuildReport,
    adopt,
    check_sessions,
    engine_columns,
    retire,
    settings_documents,
    settings_in,
    usual_max_gap,
)
from pipelines.errors import DataError
from pipelines.features import FeaturePlan
from pipelines.fetched import FETCHED, copy_of, origin_of, told
from pipelines.files import canonical_json, make_folder, publish_folder, remove_tree, sha256_bytes, sole_writer
from pipelines.inventory import Inventory
from pipelines.journal import FOLDER as JOURNAL
from pipelines.journal import Journal
from pipelines.making import Making, Record
from pipelines.manifest import add_unplaced, manifest_of, records_of
from pipelines.objects import ObjectPath, is_remote, located
from pipelines.parts import require_short
from pipelines.planning import Work, dropped, is_below, work_due
from pipelines.request import Request, paths_of, require_same_settings
from pipelines.runs import DisorderError, UnreadableError
from pipelines.sources.paths import passed_over
from pipelines.store import FeatureStore
from pipelines.streaming import Task, build_symbol, journal_name
from pipelines.survey import SPILL, Source
from pipelines.uploads import Upload

_SOURCES = "sources"


def build_archive(request: Request) -> BuildReport:
    """Build a store of an archive, go on with a build that was interrupted, or bring a store up to date.

    The store appears, or changes, when all of it is there; what an interrupted build had finished is kept beside it.

    Raises:
        DataError: the sources cannot be read as they are; something is in the way at `out`, or another writer at work.
    """
    paths = paths_of(request)
    with sole_writer(request.place, "building"):
        build = _ArchiveBuild(request, paths)
        try:
            return build.run()
        except DataError as error:
            build.forget_unless_worth_keeping()
            raise DataError(told(str(error), build.root)) from error


def plan_archive(request: Request, left_out: Callable[[str], None] = lambda problem: None) -> list[Work]:
    """What `build_archive` would do for each symbol, and why; nothing is built.

    Args:
        left_out: called with why a file cannot be read, for each that would be left out.
    """
    paths = paths_of(request)
    with sole_writer(request.place, "building"):
        build = _ArchiveBuild(request, paths, only_plan=True)
        try:
            works = build.plan()
            for problem in build.inventory.problems:
                left_out(problem)
            return works
        finally:
            build.forget_unless_worth_keeping()


@dataclass
class _ArchiveBuild:
    request: Request
    paths: list[Path]
    only_plan: bool = False
    base: FeatureStore | None = None

    def __post_init__(self) -> None:
        request = self.request
        self.root, self.out = request.root, located(request.out)
        # Before the store is looked at: what is published after that is noticed.
        version = (self.out / stores.MANIFEST).version() if isinstance(self.out, ObjectPath) else None
        if not request.replace and (self.out / stores.MANIFEST).is_file():
            self.base = FeatureStore.open(self.out)
            require_same_settings(request, self.base)
        self.upload: Upload | None = None
        self.taken = self.finished = 0
        self._lock = threading.Lock()
        self._is_stopped = False
        self.journal = self._begun(version)
        self.inventory = Inventory(
            self.paths,
            request.hints,
            self.root,
            self.journal,
            self.base,
            request.strict,
            in_place=request.materialize == "none",
        )
        self._base_records = {} if self.base is None else records_of(self.base.manifest)

    def _begun(self, version: str | None) -> Journal:
        """Keep what an interrupted build of this very plan left; anything else goes, but not for a mere look."""
        request = self.request
        plan = request.settings | {
            "engine": float(request.plan.new_state()[0]).hex(),
            "schema": stores.SCHEMA_VERSION,
            "base": self.base.snapshot if self.base else None,
        }
        identity = sha256_bytes(canonical_json(plan))
        if isinstance(self.out, ObjectPath):
            self.upload = Upload(self.out, identity, version)
            if version is None:
                self.upload.require_vacant()
        journal = Journal(self.root)
        if journal.is_of(identity):
            return journal
        if self.only_plan:
            self.root = self.root.with_suffix(".planning")
            origins = [(path, origin_of(path)) for path in self.paths]
            self.paths = [copy_of(origin, self.root) if origin else path for path, origin in origins]
        remove_tree(self.root)
        make_folder(self.root)
        journal = Journal(self.root)
        journal.begin(identity)
        for name, record in self.upload.entered() if self.upload else ():
            journal.add(name, record)
        return journal

    def forget_unless_worth_keeping(self) -> None:
        """Remove what was begun, unless partitions are finished: the next try goes on from them."""
        if not any(name.startswith(journal_name("")) for name in self.journal.names()):
            remove_tree(self.root)

    def run(self) -> BuildReport:
        """Do what is due until all is done; files that turn out otherwise than they began change the plan."""
        making = self._surveyed()
        while True:
            records, due = self._plan(making)
            try:
                records |= self._build(making, due)
            except DisorderError as error:
                self.inventory.read_whole(self.inventory.sources[error.source])
            except UnreadableError as error:
                self.inventory.set_aside(self.inventory.sources[error.source], error)
            else:
                skipped = sum(len(records[symbol]) for symbol in records) - self._built(records, due)
                return self._publish(making, records, skipped)

    def _built(self, records: Mapping[str, Sequence[Record]], due: Sequence[Work]) -> int:
        return sum(len(records[work.symbol]) - len(work.standing) for work in due)

    def plan(self) -> list[Work]:
        """What is due for each symbol, also for those that no source holds any more."""
        works = self._works(self._surveyed())
        held = {work.symbol for work in works}
        gone = {symbol: records for symbol, records in self._base_records.items() if symbol not in held}
        return works + [dropped(symbol, records) for symbol, records in gone.items()]

    def _surveyed(self) -> Making:
        """Look into the sources; what is to be made of them."""
        request, inventory = self.request, self.inventory
        inventory.survey(request.plan.quotes_needed, request.surveyed)
        request.accept(inventory.kind, inventory.paths[0])
        measured = inventory.check_lengths() if inventory.kind == "candles" else pl.DataFrame()
        columns = engine_columns(inventory.columns)
        if self.base is not None:
            return replace(Making.of(self.base.manifest), columns=columns)
        period = inventory.density.period(inventory.kind, request.bars)
        quality, hints = request.hints.quality, request.settings["hints"]
        check_sessions(quality, measured, inventory.paths[0])
        max_gap_ns = quality.max_gap_ns or usual_max_gap(request.bars, measured)
        names, kind = request.plan.names, inventory.kind
        encoding, materialize = request.encoding, request.materialize
        return Making(names, request.bars, kind, period, columns, hints, encoding, quality, max_gap_ns, materialize)

    def _plan(self, making: Making) -> tuple[dict[str, list[Record]], list[Work]]:
        """The records of symbols that are up to date, and what is due for the others."""
        works = self._works(making)
        due = [work for work in works if work.reason is not None]
        return {work.symbol: list(work.standing) for work in works if work.reason is None}, due

    def _works(self, making: Making) -> list[Work]:
        self._sizes = self.upload.out.sizes() if self.upload else {}
        holding = self.inventory.by_symbol()
        for symbol, found in holding.items():
            require_short(symbol, found[0].path)
        return [self._work(symbol, found, making) for symbol, found in holding.items()]

    def _work(self, symbol: str, sources: Sequence[Source], making: Making) -> Work:
        folders = [self.root] if self.base is None or self.upload else [self.base.folder, self.root]
        known = self._known_records(symbol, making)
        return work_due(symbol, known, sources, making.period, lambda record: is_below(record, folders, self._sizes))

    def _known_records(self, symbol: str, making: Making) -> list[Record]:
        known: list[Record] = []
        if self.base is not None and self.base.manifest["columns"] == list(making.columns):
            known = self._base_records.get(symbol, [])
        for record in self.journal.values(journal_name(symbol)):
            if "without" in record:
                known = _without(known, record["without"])
            elif record.pop("making") == making.identity:
                known = [one for one in known if one["date"] < record["date"]] + [record]
        return known

    def _build(self, making: Making, due: Sequence[Work]) -> dict[str, list[Record]]:
        """Build symbols side by side, each by one thread: kernels, decoders and encoders let go of the interpreter."""
        holding = self.inventory.by_symbol()
        tasks = [self._task(work, holding[work.symbol], making) for work in due]
        total = self._rows_due(due)
        if self.request.elsewhere is not None:
            return self.request.elsewhere(tasks, lambda rows, finished: self._advance(rows, finished, total))
        plans: queue.SimpleQueue[FeaturePlan] = queue.SimpleQueue()
        for _ in range(self.request.workers):
            plans.put(FeaturePlan(making.features))

        def run(task: Task) -> list[Record]:
            plan = plans.get()
            try:
                return build_symbol(task, plan, lambda rows, finished: self._advance(rows, finished, total))
            finally:
                plans.put(plan)

        if self.request.workers == 1:
            return {task.work.symbol: run(task) for task in tasks}
        with ThreadPoolExecutor(self.request.workers, thread_name_prefix="symbol") as pool:
            futures = {task.work.symbol: pool.submit(run, task) for task in tasks}
            try:
                for future in wait(futures.values(), return_when=FIRST_EXCEPTION).done:
                    future.result()
                return {symbol: future.result() for symbol, future in futures.items()}
            except BaseException:
                self._is_stopped = True  # the others stop at their next batch; what they finished is in the journal
                pool.shutdown(cancel_futures=True)
                raise
            finally:
                self._is_stopped = False

    def _advance(self, rows: int, finished: int, total: int) -> None:
        if self._is_stopped:
            raise InterruptedError
        with self._lock:
            self.taken += rows
            self.finished += finished
            self.request.advanced(self.taken, max(total, self.taken), self.finished)

    def _rows_due(self, due: Sequence[Work]) -> int:
        symbols = {work.symbol for work in due}
        sources = [source for source in self.inventory.sources if symbols & set(source.symbols)]
        return self.taken + sum(int(source.entry["rows_in"] or source.entry.get("rows", 0)) for source in sources)

    def _task(self, work: Work, holding: Sequence[Source], making: Making) -> Task:
        sources = [self.inventory.readable(self.inventory.sources[source.number], work) for source in holding]
        return Task(
            work,
            next(source.entry["flavour"] for source in sources),
            [source.of_symbol(work.symbol) for source in sources if source.entry["mode"] != "known"],
            len(self.journal.values(journal_name(work.symbol))),
            self.request.hints,
            making,
            self.root,
            self.out if self.base or self.upload else self.root,
            self.upload,
        )

    def _publish(self, making: Making, records: Mapping[str, list[Record]], skipped: int) -> BuildReport:
        unplaced = [source.entry["unplaced"] for source in self.inventory.sources if source.entry.get("unplaced")]
        if self.base is not None:
            kept = settings_in(self.base)
        else:
            text = self.request.config_text
            kept = list(settings_documents(self.root, making.features, text, by_content=self.upload is not None))
        found = [finding for item in unplaced for finding in item["findings"]]
        entry = ledger.write(self.root, ledger.of_records(records, found))
        documents = [*kept, *(item["entry"] for item in unplaced), entry]
        sources = self.inventory.stated(records)
        manifest = manifest_of(making, records, sources=sources, documents=documents)
        for item in unplaced:
            add_unplaced(manifest, item["counts"])
        if not manifest["rows_out"]:
            raise DataError(f"{self.inventory.paths[0]}: no row was accepted; quarantined: {manifest['quarantined']}")
        self._make_visible(manifest)
        remove_tree(self.root)
        return self._report(FeatureStore.open(self.out), skipped)

    def _make_visible(self, manifest: dict[str, Any]) -> None:
        is_new = self.base is None or {**manifest, "snapshot": self.base.snapshot} != self.base.manifest
        if self.upload is not None:
            if is_new:
                self.upload.publish(self.root, manifest)
            return self.upload.clear()
        digests = {source.path: source.sha256 for source in self.inventory.sources}
        seen.write(self.root if self.base is None else self.base.folder, digests, self.journal.begun)
        if self.base is not None:
            if self.finished or is_new:
                adopt(self.base, self.root, manifest)
            else:
                retire(self.base)  # what a crash just after the last change left
            return
        stores.write_manifest(self.root, manifest)
        for folder in (JOURNAL, SPILL, FETCHED):
            remove_tree(self.root / folder)
        for path in FeatureStore.open(self.root).strays():
            path.unlink()
        publish_folder(self.root, self.request.place, replace=self.request.replace, synced=True)

    def _report(self, store: FeatureStore, skipped: int) -> BuildReport:
        manifest = store.manifest
        read = [source for source in self.inventory.sources if source.entry["mode"] != "broken"]
        described = [(source.path.name, source.entry.get("description", "known")) for source in read]
        return BuildReport(
            store=store,
            rows_in=manifest["rows_in"],
            rows_out=manifest["rows_out"],
            quarantined=manifest["quarantined"],
            feature_rows=sum(file["rows"] for file in manifest["files"]),
            files=len(manifest["files"]),
            partitions=len(manifest["partitions"]),
            skipped=skipped,
            taken=self.taken,
            described=described,
            passed_over=passed_over([source for source in self.request.sources if not is_remote(source)]),
            broken=self.inventory.problems,
        )


def _without(records: Sequence[Record], source: Sequence[str]) -> list[Record]:
    """The records before the first one that rows of a source went into."""
    for number, record in enumerate(records):
        if any([item["name"], item["sha256"]] == list(source) for item in record["inputs"]):
            return list(records[:number])
    return list(records)
