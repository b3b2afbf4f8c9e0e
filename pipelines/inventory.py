"""The files of an archive that is being built, each with what was found in it: looked into once, known afterwards."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.build import measured_tail
from pipelines.density import Density
from pipelines.errors import DamagedError, DataError
from pipelines.fetched import at_hand, origin_of, told
from pipelines.files import remove_tree, sha256_file
from pipelines.ingest import check_needs, copies, no_usable_row
from pipelines.journal import Journal
from pipelines.making import Kind, Named, Record
from pipelines.parts import Entry
from pipelines.planning import Work
from pipelines.runs import UnreadableError, read_spilled
from pipelines.schema import SourceHints, empty_rejected
from pipelines.seen import unchanged
from pipelines.sources.cadence import check_one_length
from pipelines.store import FeatureStore
from pipelines.streaming import LASTS, journal_name
from pipelines.survey import Source, Stamp, digests, key_of, look_into

_SOURCES = "sources"  # under which the journal has what was found in files


@dataclass
class Inventory:
    """The sources of a build, in the order of their paths.

    Attributes:
        root: where the build is under way. base: the store that is brought up to date.
        strict: whether a file that cannot be read is an error.
        in_place: whether the store will be read from the sources, so that each must be fit for it.
    """

    paths: Sequence[Path]
    hints: SourceHints
    root: Path
    journal: Journal
    base: FeatureStore | None
    strict: bool
    in_place: bool = False
    sources: list[Source] = field(default_factory=list)

    def survey(self, needs: Mapping[str, str], surveyed: Callable[[int, int], None]) -> None:
        """Look into every file that is not known.

        Raises:
            DataError: a file cannot be understood, several do not go together, or there is no usable row.
        """
        known = self._known_entries()
        for number, (path, stamp, sha256) in enumerate(digests(self.paths, self._hashed())):
            self.sources.append(self._surveyed(Source(number, path, sha256 or "", stamp, {}), known))
            if self.sources[-1].entry["mode"] != "broken":
                self._check_source(self.sources[-1], needs)
            elif self.strict:
                raise DataError(self.sources[-1].entry["problem"])
            surveyed(number + 1, len(self.paths))
        readable = [source for source in self.sources if source.entry["mode"] != "broken"]
        if not readable:
            raise DataError(self.sources[0].entry["problem"])
        self._look_closer(readable)
        _refuse_copies([self.sources[source.number] for source in readable])
        if not any(source.symbols for source in readable):
            raise DataError(no_usable_row(self.paths[0], self._unplaced_rows()))

    def _look_closer(self, sources: Sequence[Source]) -> None:
        """Small files that begin alike are looked into whole: only their contents tell whether they are copies."""
        begins = Counter(source.entry.get("beginning") for source in sources)
        for source in sources:
            if source.entry.get("is_small") and begins[source.entry["beginning"]] > 1:
                self.sources[source.number] = self._look_into(source, streams=False)

    def _surveyed(self, source: Source, known: Mapping[tuple[str, str], dict[str, Any]]) -> Source:
        """The source with what is known of it, or is found; one in a bucket is fetched only if its version is new."""
        origin = origin_of(source.path)
        version = origin.version() if origin else None
        entry = known.get((source.path.name, version or source.sha256))
        if entry is not None:
            return replace(source, sha256=entry["sha256"], entry=entry)
        if origin is None:
            return self._look_into(source)
        with at_hand(source.path):
            source = replace(source, sha256=sha256_file(source.path), entry={"version": version})
            entry = known.get((source.path.name, source.sha256))
            return replace(source, entry={**entry, "version": version}) if entry else self._look_into(source)

    def _hashed(self) -> dict[tuple[str, Stamp], str]:
        """SHA-256 of the files that the try before this one hashed, by path, size and time of their last change; and of
        those that look as they did when the store was brought up to date last."""
        store = self.base.path if self.base else None
        seen = unchanged(store, self.paths) if isinstance(store, Path) else {}
        known = {(str(path), Stamp(*look[:2])): sha256 for path, (sha256, look) in seen.items()}
        entries = self.journal.values(_SOURCES)
        return known | {(entry["path"], Stamp(*entry["stamp"])): entry["sha256"] for entry in entries}

    def _known_entries(self) -> dict[tuple[str, str], dict[str, Any]]:
        known = {}
        if self.base is not None:
            for entry in self.base.manifest["sources"]:
                if "spans" in entry:
                    known[entry["name"], entry["sha256"]] = {**entry, "mode": entry.get("mode", "known")}
        for entry in self.journal.values(_SOURCES):
            known[entry["name"], entry["sha256"]] = entry
        known |= {(entry["name"], entry["version"]): entry for entry in known.values() if "version" in entry}
        for last in self.journal.values(LASTS):
            span = known.get((last["name"], last["sha256"]), {"spans": {}})["spans"].get(last["symbol"], [0, 0])
            span[1] = span[1] if span[1] is not None else last["last"]
        return known

    def _look_into(self, source: Source, *, streams: bool = True) -> Source:
        try:
            with at_hand(source.path):
                return self._entered(self._found_in(source, streams), source)
        except DamagedError as error:
            if self.strict:
                raise
            return self._entered(self._without(source, error), source)

    def _found_in(self, source: Source, streams: bool) -> Source:
        return look_into(source, self.hints, self.root, streams=streams, in_place=self.in_place)

    def _without(self, source: Source, error: DataError) -> Source:
        problem = told(str(error), self.root)
        entry: dict[str, Any] = {"mode": "broken", "problem": problem, "spans": {}, "unplaced": None, "rows_in": 0}
        return replace(source, entry=entry)

    def _entered(self, source: Source, before: Source) -> Source:
        version = {"version": before.entry["version"]} if "version" in before.entry else {}
        place = {"path": str(source.path), "stamp": [source.stamp.size, source.stamp.changed]}
        entry = {**source.entry, **version, "name": source.path.name, "sha256": source.sha256, **place}
        self.journal.add(_SOURCES, entry)
        return replace(source, entry=entry)

    def _check_source(self, source: Source, needs: Mapping[str, str]) -> None:
        first = next(one for one in self.sources if one.entry["mode"] != "broken")
        if source.entry["flavour"] != first.entry["flavour"]:
            raise DataError(
                f"{source.path}: holds {source.entry['flavour']}, but {first.path} holds {first.entry['flavour']}; "
                "expected one kind of row in an archive: name the files of one kind only (a glob helps)"
            )
        check_needs(source.path, source.entry["columns"], needs if source.symbols else {})

    def _unplaced_rows(self) -> pl.DataFrame:
        items = [source.entry["unplaced"]["entry"] for source in self.sources if source.entry.get("unplaced")]
        there = self.base.path if self.base else self.root
        folders = [self.root if (self.root / item["path"]).exists() else there for item in items]
        contents = [Entry.of(item).read(folder / item["path"]) for folder, item in zip(folders, items, strict=True)]
        return pl.concat([empty_rejected(), *(pl.read_parquet(content) for content in contents)])

    def read_whole(self, source: Source) -> None:
        """A file that was out of order, or of several symbols, is sorted first; what was made of it does not stand."""
        for symbol in source.symbols:
            self.journal.add(journal_name(symbol), {"without": [source.path.name, source.sha256]})
        self.sources[source.number] = self._look_into(source, streams=False)

    def set_aside(self, source: Source, error: DataError) -> None:
        """A file turned out to be damaged: the store is made of the others."""
        if self.strict:
            raise error
        self.sources[source.number] = self._entered(self._without(source, error), source)
        if all(one.entry["mode"] == "broken" for one in self.sources):
            remove_tree(self.root)
            raise error

    @property
    def kind(self) -> Kind:
        """What a row is."""
        flavours = {source.entry["flavour"] for source in self.sources if source.entry["mode"] != "broken"}
        return "candles" if any("candles" in flavour for flavour in flavours) else "ticks"

    @property
    def columns(self) -> set[str]:
        """Of the rows of any source."""
        return {name for source in self.sources for name in source.entry.get("columns", ())}

    @property
    def density(self) -> Density:
        """Of all sources that were looked into."""
        found = (Density(*source.entry["density"]) for source in self.sources if source.symbols)
        return sum(found, Density(0, 0, 0.0, 0.0))

    @property
    def problems(self) -> list[str]:
        """Why files could not be read, a line each."""
        return [source.entry["problem"] for source in self.sources if source.entry["mode"] == "broken"]

    def check_lengths(self) -> pl.DataFrame:
        """What the steps of the candles look like.

        Raises:
            DataError: candles of a symbol are of two lengths, here or in the store.
        """
        looked_into = [source for source in self.sources if source.entry.get("steps")]
        measured = [read_spilled(self.root / source.entry["steps"]) for source in looked_into]
        if self.base is not None:
            symbols = {symbol for source in looked_into for symbol in source.symbols}
            measured += [measured_tail(self.base, symbol) for symbol in sorted(symbols & set(self.base.symbols))]
        found = pl.concat([frame for frame in measured if len(frame)] or [pl.DataFrame()])
        if len(found):
            check_one_length(found)
        return found

    def by_symbol(self) -> dict[str, list[Source]]:
        """The sources that have rows of each symbol."""
        found: dict[str, list[Source]] = {}
        for source in self.sources:
            for symbol in source.entry["spans"]:
                found.setdefault(symbol, []).append(source)
        return dict(sorted(found.items()))

    def readable(self, source: Source, work: Work) -> Source:
        """The source with all that reading it takes, which a store does not keep of those that it holds."""
        last = source.entry["spans"][work.symbol][1]
        if source.entry["mode"] != "known" or (work.start is not None and last is not None and last < work.start):
            return source
        found = self.sources[source.number] = self._look_into(source)
        if found.entry["mode"] == "broken":
            raise UnreadableError(source.number, found.entry["problem"])
        return found

    def stated(self, records: Mapping[str, Sequence[Record]]) -> list[dict[str, Any]]:
        """What the manifest of a store of these partitions says of the sources.

        Raises:
            RuntimeError: rows of a source were lost, which is a fault of this program.
        """
        rows = _rows_of_sources(records)
        ends: dict[Named, dict[str, int]] = {}
        for last in self.journal.values(LASTS):
            ends.setdefault((last["name"], last["sha256"]), {})[last["symbol"]] = last["last"]
        return [
            _stated(one, ends.get(key_of(one), {}), rows.get(key_of(one), 0)) | (_place(one) if self.in_place else {})
            for one in self.sources
        ]


def _rows_of_sources(records: Mapping[str, Sequence[Record]]) -> dict[Named, int | None]:
    """How many rows of each source went into partitions; None where a partition does not say it."""
    rows: dict[Named, int | None] = {}
    for item in (item for symbol in records for record in records[symbol] for item in record["inputs"]):
        key = item["name"], item["sha256"]
        known = rows.get(key, 0)
        rows[key] = None if known is None or "rows" not in item else known + item["rows"]
    return rows


def _place(source: Source) -> dict[str, Any]:
    """Where it is to be read again, and what it looked like from outside."""
    return {"path": str(source.path.absolute()), "stamp": list(source.stamp)}


def _stated(source: Source, ends: Mapping[str, int], rows: int | None) -> dict[str, Any]:
    """What the manifest says of a source."""
    entry = source.entry
    unplaced = sum(entry["unplaced"]["counts"].values()) if entry.get("unplaced") else 0
    rows_in = entry["rows_in"] if rows is None else rows + unplaced
    if entry["mode"] == "spilled" and entry["rows_in"] != rows_in:
        raise RuntimeError(f"{source.path}: {entry['rows_in']} rows in, but {rows_in} accounted for")
    kept = ("flavour", "columns", "description", "unplaced", "problem", "version")
    spans = {symbol: [first, ends.get(symbol, last)] for symbol, (first, last) in entry["spans"].items()}
    stated = {"name": source.path.name, "sha256": source.sha256, "rows_in": rows_in, "spans": spans}
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
