"""From an archive of any size to a feature store: surveyed, streamed symbol by symbol, resumed, brought up to date.

What a build makes lies in a hidden folder beside the store until all of it is there, with a journal of what is done.
A new store is that folder under its final name; a store that is brought up to date takes over its new files.
"""

import json
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl

from pipelines import store as stores
from pipelines.bars import BarSpec
from pipelines.build import BuildReport, Progress, adopt, engine_columns, measured_tail, settings_documents
from pipelines.density import Density
from pipelines.errors import DamagedError, DataError
from pipelines.features import FeaturePlan
from pipelines.fetched import FETCHED, at_hand, copy_of, objects_of, origin_of, told
from pipelines.files import canonical_json, make_folder, publish_folder, remove_tree, sha256_bytes, sole_writer
from pipelines.ingest import check_needs, check_table, copies, no_usable_row
from pipelines.journal import FOLDER as JOURNAL
from pipelines.journal import Journal
from pipelines.making import Kind, Making, Record
from pipelines.manifest import add_unplaced, manifest_of, records_of
from pipelines.objects import Location, ObjectPath, is_remote, located
from pipelines.planning import Work, is_below, work_due
from pipelines.runs import DisorderError, UnreadableError, read_spilled
from pipelines.schema import SourceHints
from pipelines.sources.cadence import check_one_length
from pipelines.sources.paths import expand_sources, passed_over
from pipelines.sources.zones import check_zone
from pipelines.store import FeatureStore
from pipelines.streaming import LASTS, Task, build_symbol, journal_name
from pipelines.survey import SPILL, Source, digest, digests, look_into
from pipelines.uploads import Upload

_SOURCES = "sources"

# Builds symbols, tells of rows and partitions since the last time, and returns the records of each symbol.
Builder = Callable[[Sequence[Task], Callable[[int, int], None]], dict[str, list[Record]]]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is to be built of what, and where.

    Attributes:
        replace: a store that is there is replaced; else it is brought up to date.
        strict: a source that cannot be read stops the build; else it is left out and told.
        workers: symbols that are built at once. elsewhere: builds them in the place of threads of this process.
        surveyed: called with files done and in all. advanced: with rows done, rows in all as far as they are known, and
            partitions finished; from any thread, one at a time.
        scratch: folder in which a store in a bucket is built before it is put there.
        accept: called with the kind of rows and the first file when both are known; may raise.
    """

    sources: Sequence[str | Path]
    hints: SourceHints
    bars: BarSpec
    plan: FeaturePlan
    out: Location
    config_text: str
    scratch: Path = Path()
    replace: bool = False
    strict: bool = False
    workers: int = 1
    elsewhere: Builder | None = None
    accept: Callable[[Kind, Path], None] = lambda kind, path: None
    surveyed: Progress = lambda done, total: None
    advanced: Callable[[int, int, int], None] = lambda done, total, partitions: None


def build_archive(request: Request) -> BuildReport:
    """Build a store of an archive, go on with a build that was interrupted, or bring a store up to date.

    The store appears, or changes, when all of it is there; what an interrupted build had finished is kept beside it.

    Raises:
        DataError: the sources cannot be read as they are; something is in the way at `out`, or another writer at work.
    """
    paths = _paths(request)
    with sole_writer(_place(request), "building"):
        build = _ArchiveBuild(request, paths)
        try:
            return build.run()
        except DataError as error:
            build.forget_unless_worth_keeping()
            raise DataError(told(str(error), build.root)) from error


def plan_archive(request: Request) -> list[Work]:
    """What `build_archive` would do for each symbol, and why; nothing is built."""
    paths = _paths(request)
    with sole_writer(_place(request), "building"):
        build = _ArchiveBuild(request, paths)
        try:
            return build.plan()
        finally:
            build.forget_unless_worth_keeping()


def _paths(request: Request) -> list[Path]:
    if request.hints.timezone is not None:
        check_zone(request.hints.timezone)
    remote = [source for source in request.sources if is_remote(source)]
    local = [source for source in request.sources if not is_remote(source)]
    paths = expand_sources(local) if local or not remote else []
    if not remote:
        check_table(paths, request.hints)
    objects = {one for source in remote for one in objects_of(source)}
    return paths + [copy_of(one, _root(request)) for one in sorted(objects)]


def _place(request: Request) -> Path:
    """A path on this machine that stands for the store."""
    out = located(request.out)
    return out if isinstance(out, Path) else request.scratch / quote(f"{out.bucket}/{out.key}", safe="")


def _root(request: Request) -> Path:
    """The folder in which it is built."""
    place = _place(request)
    return place.with_name(f".{place.name}.building")


@dataclass
class _ArchiveBuild:
    request: Request
    paths: list[Path]
    base: FeatureStore | None = None
    sources: list[Source] = field(default_factory=list)

    def __post_init__(self) -> None:
        request = self.request
        self.root, self.out = _root(request), located(request.out)
        self.journal = Journal(self.root)
        # Before the store is looked at: what is published after that is noticed.
        version = (self.out / stores.MANIFEST).version() if isinstance(self.out, ObjectPath) else None
        if not request.replace and (self.out / stores.MANIFEST).is_file():
            self.base = FeatureStore.open(self.out)
            self._require_same_settings(self.base)
        self.upload: Upload | None = None
        self.taken = self.finished = 0
        self._lock = threading.Lock()
        self._begin(version)

    def _require_same_settings(self, base: FeatureStore) -> None:
        request, held = self.request, base.manifest
        asked = {"features": list(request.plan.names), "hints": _plain(asdict(request.hints))}
        if held["source_kind"] == "ticks":
            asked["bars"] = _plain(asdict(request.bars))
        other = [name for name, value in asked.items() if held[name] != value]
        if other:
            raise DataError(
                f"{request.out}: holds a feature store made with other {', '.join(sorted(other))}; give --overwrite to "
                "replace it, or another --out"
            )

    def _begin(self, version: str | None) -> None:
        """Keep what an interrupted build of this very plan left; anything else goes."""
        request = self.request
        plan = {
            "features": list(request.plan.names),
            "engine": float(request.plan.new_state()[0]).hex(),
            "bars": asdict(request.bars),
            "hints": _plain(asdict(request.hints)),
            "schema": stores.SCHEMA_VERSION,
            "base": self.base.snapshot if self.base else None,
        }
        identity = sha256_bytes(canonical_json(plan))
        if isinstance(self.out, ObjectPath):
            self.upload = Upload(self.out, identity, version)
            if version is None:
                self.upload.require_vacant()
        if not self.journal.is_of(identity):
            remove_tree(self.root)
            make_folder(self.root)
            self.journal.begin(identity)
            for name, record in self.upload.entered() if self.upload else ():
                self.journal.add(name, record)

    def forget_unless_worth_keeping(self) -> None:
        """Remove what was begun, unless partitions are finished: the next try goes on from them."""
        if not any(name.startswith(journal_name("")) for name in self.journal.names()):
            remove_tree(self.root)

    def run(self) -> BuildReport:
        """Do what is due until all is done; files that turn out otherwise than they began change the plan."""
        self._survey()
        making = self._making()
        while True:
            records, due = self._plan(making)
            try:
                records |= self._build(making, due)
            except DisorderError as error:
                self._read_whole(self.sources[error.source])
            except UnreadableError as error:
                self._set_aside(self.sources[error.source], error)
            else:
                skipped = sum(len(records[symbol]) for symbol in records) - self._built(records, due)
                return self._publish(making, records, skipped)

    def _built(self, records: Mapping[str, Sequence[Record]], due: Sequence[Work]) -> int:
        return sum(len(records[work.symbol]) - len(work.standing) for work in due)

    def plan(self) -> list[Work]:
        """What is due for each symbol."""
        self._survey()
        making = self._making()
        return self._works(making)

    # -- the sources

    def _survey(self) -> None:
        known = self._known_entries()
        for number, (path, counted) in enumerate(zip(self.paths, digests(self.paths), strict=True)):
            self.sources.append(self._surveyed(number, path, counted, known))
            if self.sources[-1].entry["mode"] != "broken":
                self._check_source(self.sources[-1])
            self.request.surveyed(number + 1, len(self.paths))
        readable = [source for source in self.sources if source.entry["mode"] != "broken"]
        if not readable:
            raise DataError(self.sources[0].entry["problem"])
        _refuse_copies(readable)
        if not any(source.symbols for source in readable):
            raise DataError(no_usable_row(self.paths[0], self._unplaced_rows()))
        self.request.accept(self._kind(), readable[0].path)

    def _surveyed(
        self, number: int, path: Path, counted: tuple[int, str] | None, known: Mapping[tuple[str, str], dict[str, Any]]
    ) -> Source:
        origin = origin_of(path)
        version = origin.version() if origin else None
        entry = known.get((path.name, version)) if version else None
        if entry is not None:  # an object of the same version is the same, and need not be fetched
            return Source(number, path, entry["sha256"], entry["size"], entry)
        with at_hand(path):
            size, sha256 = counted or digest(path)
            entry = known.get((path.name, sha256))
            stated = {"version": version, "size": size} if version else {}
            source = Source(number, path, sha256, size, stated)
            return replace(source, entry={**entry, **stated}) if entry else self._look_into(source)

    def _known_entries(self) -> dict[tuple[str, str], dict[str, Any]]:
        known = {}
        if self.base is not None:
            for entry in self.base.manifest["sources"]:
                if "spans" in entry:
                    known[entry["name"], entry["sha256"]] = {**entry, "mode": entry.get("mode", "known")}
        for entry in self.journal.values(_SOURCES):
            known[entry["name"], entry["sha256"]] = entry
        known |= {(entry["name"], entry["version"]): entry for entry in known.values() if entry.get("version")}
        for last in self.journal.values(LASTS):
            known[last["name"], last["sha256"]]["spans"][last["symbol"]][1] = last["last"]
        return known

    def _look_into(self, source: Source, *, streams: bool = True) -> Source:
        try:
            with at_hand(source.path):
                found = look_into(source, self.request.hints, self.root, streams=streams)
            return self._entered(found, source.entry)
        except DamagedError as error:
            if self.request.strict:
                raise
            return self._entered(self._without(source, error), source.entry)

    def _without(self, source: Source, error: DataError) -> Source:
        problem = told(str(error), self.root)
        entry: dict[str, Any] = {"mode": "broken", "problem": problem, "spans": {}, "unplaced": None, "rows_in": 0}
        return replace(source, entry=entry)

    def _entered(self, source: Source, before: Mapping[str, Any]) -> Source:
        stated = {name: before[name] for name in ("version", "size") if name in before}
        entry = {**source.entry, **stated, "name": source.path.name, "sha256": source.sha256}
        self.journal.add(_SOURCES, entry)
        return replace(source, entry=entry)

    def _check_source(self, source: Source) -> None:
        first = next(one for one in self.sources if one.entry["mode"] != "broken")
        if source.entry["flavour"] != first.entry["flavour"]:
            raise DataError(
                f"{source.path}: holds {source.entry['flavour']}, but {first.path} holds {first.entry['flavour']}; "
                "expected one kind of row in an archive: name the files of one kind only (a glob helps)"
            )
        check_needs(source.path, source.entry["columns"], self.request.plan.quotes_needed if source.symbols else {})

    def _unplaced_rows(self) -> pl.DataFrame:
        items = [source.entry["unplaced"] for source in self.sources if source.entry["unplaced"]]
        return pl.concat([pl.read_parquet(self.root / item["entry"]["path"]) for item in items])

    def _read_whole(self, source: Source) -> None:
        """A file that was out of order, or of several symbols, is sorted first; what was made of it does not stand."""
        for symbol in source.symbols:
            self.journal.add(journal_name(symbol), {"without": [source.path.name, source.sha256]})
        self.sources[source.number] = self._look_into(source, streams=False)

    def _set_aside(self, source: Source, error: DataError) -> None:
        if self.request.strict:
            raise error
        self.sources[source.number] = self._entered(self._without(source, error), source.entry)
        if all(one.entry["mode"] == "broken" for one in self.sources):
            remove_tree(self.root)
            raise error

    # -- the plan

    def _kind(self) -> Kind:
        flavours = {source.entry["flavour"] for source in self.sources if source.entry["mode"] != "broken"}
        return "candles" if any("candles" in flavour for flavour in flavours) else "ticks"

    def _making(self) -> Making:
        request, kind = self.request, self._kind()
        if kind == "candles":
            self._check_lengths()
        found = {name for source in self.sources for name in source.entry.get("columns", ())}
        columns = engine_columns(found)
        if self.base is not None:
            return replace(Making.of(self.base.manifest), columns=columns)
        density = sum(
            (Density(*source.entry["density"]) for source in self.sources if source.symbols), Density(0, 0, 0.0, 0.0)
        )
        period = density.period(kind, request.bars)
        return Making(request.plan.names, request.bars, kind, period, columns, _plain(asdict(request.hints)))

    def _check_lengths(self) -> None:
        looked_into = [source for source in self.sources if source.entry.get("steps")]
        measured = [read_spilled(self.root / source.entry["steps"]) for source in looked_into]
        if self.base is not None:
            symbols = {symbol for source in looked_into for symbol in source.symbols}
            measured += [measured_tail(self.base, symbol) for symbol in sorted(symbols & set(self.base.symbols))]
        if measured:
            check_one_length(pl.concat(measured))

    def _plan(self, making: Making) -> tuple[dict[str, list[Record]], list[Work]]:
        """The records of symbols that are up to date, and what is due for the others."""
        works = self._works(making)
        due = [work for work in works if work.reason is not None]
        return {work.symbol: list(work.standing) for work in works if work.reason is None}, due

    def _works(self, making: Making) -> list[Work]:
        self.sizes = self.upload.out.sizes() if self.upload else {}
        symbols = {symbol for source in self.sources for symbol in source.symbols}
        return [self._work(symbol, making) for symbol in sorted(symbols)]

    def _work(self, symbol: str, making: Making) -> Work:
        sources = [source for source in self.sources if symbol in source.entry["spans"]]
        folders = [self.root] if self.base is None or self.upload else [self.root, self.base.folder]
        known = self._known_records(symbol, making)
        return work_due(symbol, known, sources, making.period, lambda record: is_below(record, folders, self.sizes))

    def _known_records(self, symbol: str, making: Making) -> list[Record]:
        known: list[Record] = []
        if self.base is not None and self.base.manifest["columns"] == list(making.columns):
            known = records_of(self.base.manifest).get(symbol, [])
        settings = sha256_bytes(canonical_json(making.settings()))
        for record in self.journal.values(journal_name(symbol)):
            if "without" in record:
                known = _without(known, record["without"])
            elif record.pop("making") == settings:
                known = [one for one in known if one["date"] < record["date"]] + [record]
        return known

    # -- the work

    def _build(self, making: Making, due: Sequence[Work]) -> dict[str, list[Record]]:
        """Build symbols side by side, each by one thread: kernels, decoders and encoders let go of the interpreter."""
        tasks = [self._task(work, making) for work in due]
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
            done, waiting = wait(futures.values(), return_when=FIRST_EXCEPTION)
            for future in waiting:
                future.cancel()
            for future in done:
                future.result()
            return {symbol: future.result() for symbol, future in futures.items()}

    def _advance(self, rows: int, finished: int, total: int) -> None:
        with self._lock:
            self.taken += rows
            self.finished += finished
            self.request.advanced(self.taken, max(total, self.taken), self.finished)

    def _rows_due(self, due: Sequence[Work]) -> int:
        symbols = {work.symbol for work in due}
        sources = [source for source in self.sources if symbols & set(source.symbols)]
        return self.taken + sum(int(source.entry["rows_in"] or source.entry.get("rows", 0)) for source in sources)

    def _task(self, work: Work, making: Making) -> Task:
        sources = [self._readable(source, work) for source in self.sources if work.symbol in source.entry["spans"]]
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

    def _readable(self, source: Source, work: Work) -> Source:
        """The source with all that reading it takes, which a store does not keep of those that it holds."""
        last = source.entry["spans"][work.symbol][1]
        if source.entry["mode"] != "known" or (work.start is not None and last is not None and last < work.start):
            return source
        self.sources[source.number] = self._look_into(source)
        return self.sources[source.number]

    # -- the end

    def _publish(self, making: Making, records: Mapping[str, list[Record]], skipped: int) -> BuildReport:
        unplaced = [source.entry["unplaced"] for source in self.sources if source.entry.get("unplaced")]
        if self.base is not None:
            kept = [item for item in self.base.manifest["documents"] if not item["path"].startswith("quarantine/")]
        else:
            text = self.request.config_text
            kept = list(settings_documents(self.root, making.features, text, by_content=self.upload is not None))
        documents = [*kept, *(item["entry"] for item in unplaced)]
        sources = [_stated(source, self._span_ends(source), records) for source in self.sources]
        manifest = manifest_of(making, records, sources=sources, documents=documents)
        for item in unplaced:
            add_unplaced(manifest, item["counts"])
        if not manifest["rows_out"]:
            raise DataError(f"{self.paths[0]}: no row was accepted; quarantined: {manifest['quarantined']}")
        self._make_visible(manifest)
        remove_tree(self.root)
        return self._report(FeatureStore.open(self.out), skipped)

    def _make_visible(self, manifest: dict[str, Any]) -> None:
        if self.upload is not None:
            return self.upload.publish(self.root, manifest)
        if self.base is not None:
            return adopt(self.base, self.root, manifest)
        stores.write_manifest(self.root, manifest)
        for folder in (JOURNAL, SPILL, FETCHED):
            remove_tree(self.root / folder)
        for path in FeatureStore.open(self.root).strays():
            path.unlink()
        publish_folder(self.root, _place(self.request), replace=self.request.replace, synced=True)

    def _span_ends(self, source: Source) -> dict[str, int]:
        lasts = self.journal.values(LASTS)
        return {
            last["symbol"]: last["last"]
            for last in lasts
            if (last["name"], last["sha256"]) == (source.path.name, source.sha256)
        }

    def _report(self, store: FeatureStore, skipped: int) -> BuildReport:
        manifest = store.manifest
        broken = [source.entry["problem"] for source in self.sources if source.entry["mode"] == "broken"]
        described = [(source.path.name, source.entry.get("description", "known")) for source in self.sources]
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
            broken=broken,
        )


def _plain(value: Any) -> Any:
    """A value as it comes back from JSON."""
    return json.loads(canonical_json(value))


def _without(records: Sequence[Record], source: Sequence[str]) -> list[Record]:
    """The records before the first one that rows of a source went into."""
    for number, record in enumerate(records):
        if any([item["name"], item["sha256"]] == list(source) for item in record["inputs"]):
            return list(records[:number])
    return list(records)


def _stated(source: Source, ends: Mapping[str, int], records: Mapping[str, Sequence[Record]]) -> dict[str, Any]:
    """What the manifest says of a source."""
    key, entry = (source.path.name, source.sha256), source.entry
    made = [item for symbol in source.symbols for record in records[symbol] for item in record["inputs"]]
    rows = sum(item.get("rows", 0) for item in made if (item["name"], item["sha256"]) == key)
    unplaced = sum(entry["unplaced"]["counts"].values()) if entry.get("unplaced") else 0
    if entry["mode"] == "spilled" and entry["rows_in"] != rows + unplaced:
        raise RuntimeError(f"{source.path}: {entry['rows_in']} rows in, but {rows + unplaced} accounted for")
    kept = ("flavour", "columns", "description", "unplaced", "problem", "version", "size")
    spans = {symbol: [first, ends.get(symbol, last)] for symbol, (first, last) in entry["spans"].items()}
    stated = {"name": key[0], "sha256": key[1], "rows_in": rows + unplaced, "spans": spans}
    stated |= {name: entry[name] for name in kept if entry.get(name) is not None}
    return stated | ({"mode": "broken"} if entry["mode"] == "broken" else {})


def _refuse_copies(sources: Sequence[Source]) -> None:
    """Refuse files of the same rows, as far as they were looked into; those that stream are told by their beginning."""
    seen: dict[int, Source] = {}
    for source in sources:
        begins = source.entry.get("beginning")
        if not begins:
            continue
        other = seen.setdefault(begins, source)
        contents = [one.entry["content"] for one in (source, other)]
        if other is not source and (None in contents or contents[0] == contents[1]):
            raise DataError(copies(source.path, other.path))
