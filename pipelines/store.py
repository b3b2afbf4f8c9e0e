"""The feature store: Hive-partitioned Parquet whose manifest says which files it is made of, and their hashes.

    manifest.json  feature_columns.json  config.yaml  quarantine/rejected-<hash>.parquet
    quality/quality-<hash>.parquet         the ledger: rows, findings and gaps of each partition
    symbol=<symbol>/date=<first day of the period>/part-<hash>.parquet
    input/symbol=<symbol>/date=.../part-<hash>.parquet      of a store that keeps its input alone: docs/computed.md
    _state/symbol=<symbol>-<hash>.npz      the engine's state after the last input of a partition
    _sources.json                          which sources need not be hashed again: `seen`; not part of the store

Data files carry a hash of their content in their name and are never changed: a new manifest is what makes new
files part of the store, so a reader sees the old store or the new one and nothing between. Files that a new manifest
no longer names stay in `_retired/` until the one after it, for readers that opened the store before.
"""

import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from kernels.arrays import Floats, Integers
from pipelines import journal, ledger, parts, seen, sessions
from pipelines.bars import BarSpec
from pipelines.errors import DataError
from pipelines.files import canonical_json, lines_json, read_json, sha256_bytes, write_atomic
from pipelines.objects import Location, ObjectPath, located
from pipelines.parquet_writer import Columns
from pipelines.parts import RETIRED, Entry, retired_path
from pipelines.schema import empty_rejected

if TYPE_CHECKING:
    from pipelines.computed import ComputedRows

SCHEMA_VERSION = 6  # raised with every change of the manifest's layout, which tests/pipelines/test_build.py pins
KEYS = {
    "schema", "snapshot", "features", "bars", "source_kind", "period", "columns", "hints", "encoding", "sources",
    "rows_in", "rows_out", "quarantined", "files", "symbols", "partitions", "documents", "quality",
    "max_gap_ns", "materialize",
}  # fmt: skip
MANIFEST = "manifest.json"
FEATURE_COLUMNS = "feature_columns.json"
CONFIG = "config.yaml"

_OUR_NAME = re.compile(
    r"(part|rejected|quality)-[0-9a-f]{12}\.parquet|(feature_columns|config)-[0-9a-f]{12}\.(json|yaml)"
    r"|symbol=.*-[0-9a-f]{12}\.npz|\.tmp-[0-9a-f]{8}-.*"
)

BASE_COLUMNS = ["timestamp", "last_timestamp", "open", "high", "low", "close", "volume"]
# What a column of a row that is one tick equals: files of ticks leave it out.
_EQUALS = {"last_timestamp": "timestamp", "open": "close", "high": "close", "low": "close"}


def written_columns(kind: str, bars: BarSpec) -> list[str]:
    """The columns of a data file before its features: all of `BASE_COLUMNS`, or those of a tick.

    Args:
        kind: of the source, ticks or candles.
    """
    one_tick = kind == "ticks" and bars.kind == "none"
    return [name for name in BASE_COLUMNS if not (one_tick and name in _EQUALS)]


def write_manifest(root: Path, manifest: dict[str, Any]) -> None:
    """Seal the store: the manifest carries the hash of the rest of itself, which is the snapshot's name."""
    sealed = {**manifest, "snapshot": sha256_bytes(canonical_json(manifest))}
    write_atomic(root / MANIFEST, lines_json(sealed))


class FeatureStore:
    """A feature store on disk, read through its manifest.

    Attributes:
        path: the folder, or the place in a bucket. manifest: its manifest.
        features: feature columns, in order. symbols: sorted. bars: how its rows were made.
        snapshot: SHA-256 that names this exact content.
        is_computed: whether its rows are computed when they are read.
    """

    def __init__(self, path: Location, manifest: dict[str, Any]) -> None:
        self.path = path
        self.manifest = manifest
        self.features: list[str] = manifest["features"]
        self.symbols: list[str] = sorted(manifest["symbols"])
        self.bars = BarSpec(**manifest["bars"])
        self.snapshot: str = manifest["snapshot"]
        self._files_of = by_symbol(manifest["files"])
        written = {*written_columns(manifest["source_kind"], self.bars), *self.features}
        self._held_as = {name: name if name in written else _EQUALS[name] for name in (*BASE_COLUMNS, *self.features)}
        self.is_computed: bool = manifest["materialize"] != "all"

    @classmethod
    def open(cls, path: Location) -> "FeatureStore":
        """Open a store, also at s3://, and check its manifest (each file is checked when it is read).

        Raises:
            DataError: no store there, an altered manifest, another schema version, or a feature list that differs.
        """
        path = located(path)
        if not (path / MANIFEST).is_file():
            raise DataError(f"{path}: no {MANIFEST}; expected a feature store, make one with build-features")
        manifest = _read_manifest(path / MANIFEST)
        store = cls(path, manifest)
        outside = [entry.path for entry in store.entries() if not _is_inside(entry.path)]
        if outside:
            raise DataError(f"{path / MANIFEST}: names {outside[0]!r}, which lies outside the store; it was altered")
        columns = path / _list_of_features(manifest)
        if read_json(columns) != manifest["features"]:
            raise DataError(f"{columns}: differs from the features in {MANIFEST}; rebuild the store")
        return store

    def read(
        self,
        symbol: str,
        columns: list[str] | None = None,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        closed_only: bool = False,
    ) -> pl.DataFrame:
        """One symbol's rows in time order.

        Args:
            columns: default all: `timestamp last_timestamp open high low close volume` and the features.
            start, end: keep rows with start <= timestamp < end.
            closed_only: leave out a last bar that was still open when the archive ended.

        Raises:
            DataError: unknown symbol or column, or a file that is missing or not what was written.
        """
        wanted = list(columns or [*BASE_COLUMNS, *self.features])
        schema = {name: self._dtype(name) for name in wanted}
        runs = self.batches(symbol, wanted, start=start, end=end, closed_only=closed_only)
        frames = (
            pl.DataFrame(pl.from_arrow(pa.table(dict(run)))).select(pl.col(name).cast(schema[name]) for name in wanted)
            for run in runs
        )
        return pl.concat([pl.DataFrame(schema=schema), *frames])

    def batches(
        self,
        symbol: str,
        columns: Sequence[str] | None = None,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        closed_only: bool = False,
    ) -> Iterator[Columns]:
        """What `read` returns, as runs of rows: arrays under the names of their columns, times as ns since 1970, UTC.

        No more than some runs are in memory at once, and nothing is read beyond those that are taken. Of a store that
        is computed, a run is as long as it comes; else it is a row group.

        Raises:
            DataError: as `read`.
        """
        if symbol not in self.symbols:
            raise DataError(f"{self.path}: no symbol {symbol!r}; it holds {', '.join(self.symbols)}")
        known = [*BASE_COLUMNS, *self.features]
        missing = [column for column in columns or [] if column not in known]
        if missing:
            raise DataError(f"{self.path}: no column {', '.join(missing)}; it holds {', '.join(known)}")
        first = -(2**63) if start is None else _stamp(start)
        stop = 2**63 - 1 if end is None else _stamp(end)
        if closed_only and self.manifest["symbols"][symbol]["open_bar"]:
            stop = min(stop, max(file["last"] for file in self._files(symbol)))
        return self._between(first, stop, symbol, list(columns or known))

    def _between(self, first: int, stop: int, symbol: str, columns: Sequence[str]) -> Iterator[Columns]:
        """The rows from one time to before another; no more runs are taken than hold them."""
        held = {name: self._held_as[name] for name in ("timestamp", *columns)}
        for run in self._runs(symbol, list(dict.fromkeys(held.values())), first, stop):
            begin, end = np.searchsorted(run["timestamp"], (first, stop))
            if begin < end:
                yield {name: run[held[name]][begin:end] for name in columns}
            if end < len(run["timestamp"]):
                return

    def _runs(self, symbol: str, columns: Sequence[str], first: int, stop: int) -> Iterator[Columns]:
        """Runs among which these rows are, with at least these columns."""

        def is_wanted(file: Mapping[str, Any]) -> bool:
            return bool(file["last"] >= first and file["first"] < stop)

        if self.is_computed:
            return self._computed_rows.batches(symbol, is_wanted)
        files = (file for file in self._files(symbol) if is_wanted(file))
        return (run for file in files for run in self.read_part(file, columns))

    def rows_of(self, file: Mapping[str, Any], columns: Sequence[str]) -> Iterator[Columns]:
        """The rows that an entry of `files` in the manifest counts, as runs; columns as `batches`, read or computed."""
        if self.is_computed:
            return self._between(file["first"], file["last"] + 1, file["symbol"], columns)
        return self.read_part(file, columns)

    @cached_property
    def _computed_rows(self) -> "ComputedRows":
        from pipelines.computed import ComputedRows  # which is a build, and so imports this module

        return ComputedRows(self)

    def tail(self, symbol: str, rows: int) -> tuple[pl.DataFrame, int]:
        """The last finished rows of a symbol, oldest first, and how many finished rows lie before them.

        Only the files that hold them are read.
        """
        files = self._files(symbol)
        total = sum(file["rows"] for file in files) - self.manifest["symbols"][symbol]["open_bar"]
        first = len(files)
        held = 0
        while first > 0 and held <= rows:  # one more than asked: the last may be the open bar
            first -= 1
            held += files[first]["rows"]
        start = _moment(files[first]["first"]) if files else None
        tail = self.read(symbol, start=start, closed_only=True).tail(rows)
        return tail, total - len(tail)

    def _files(self, symbol: str) -> list[dict[str, Any]]:
        return self._files_of.get(symbol, [])

    def read_part(self, file: Mapping[str, Any], columns: Sequence[str] | None = None) -> Iterator[Columns]:
        """The row groups of a file that the manifest names; all columns unless told."""
        # pyarrow: Polars takes seven times as long on byte streams (`docs/encoding.md`)
        with pq.ParquetFile(pa.BufferReader(self._content(Entry.of(file)))) as content:
            for group in range(content.num_row_groups):
                # On one thread: with pyarrow's own, 7 of 90 processes aborted when they ended, with it 0 of 45.
                yield parts.plain_columns(content.read_row_group(group, columns, use_threads=False))

    def _content(self, entry: Entry) -> bytes:
        return entry.read(self.locate(entry.path))

    @property
    def folder(self) -> Path:
        """Where the store is on disk.

        Raises:
            DataError: it lies in a bucket, whose stores `build-features` alone changes.
        """
        if isinstance(self.path, ObjectPath):
            raise DataError(f"{self.path}: rows can be added to a store in a bucket by build-features alone")
        return self.path

    def locate(self, path: str) -> Location:
        """Where a file of this manifest is, also after a newer manifest has retired it."""
        if isinstance(self.path, ObjectPath):
            return self.path / path
        retired = retired_path(self.path, path)
        return retired if not (self.path / path).exists() and retired.exists() else self.path / path

    def _dtype(self, column: str) -> pl.DataType:
        if column in ("timestamp", "last_timestamp"):
            return pl.Datetime("ns", "UTC")
        return pl.Float32() if column in self.features else pl.Float64()

    def rejected(self) -> pl.DataFrame:
        """The quarantined rows: file, line, reason, raw."""
        listed = [*(item for part in self.manifest["partitions"] for item in part["quarantine"])]
        listed += [item for item in self.manifest["documents"] if item["path"].startswith("quarantine/")]
        contents = [self._content(Entry.of(item)) for item in listed]
        return pl.concat([empty_rejected(), *(pl.read_parquet(io.BytesIO(content)) for content in contents)])

    def quality(self) -> pl.DataFrame:
        """The ledger: rows out, findings and gaps by symbol and period, with the columns of `ledger.SCHEMA`."""
        entry = next(item for item in self.manifest["documents"] if item["path"].startswith(f"{ledger.FOLDER}/"))
        return pl.read_parquet(io.BytesIO(self._content(Entry.of(entry))))

    def session_edges(self) -> Integers:
        """Times at which a session begins, or the time outside one; none without a calendar."""
        return sessions.edges(session for part in self.manifest["partitions"] for session in part["sessions"])

    def saved_state(self, symbol: str) -> dict[str, Floats]:
        """The engine's state after the symbol's last closed row, for `FeatureStream.restore`."""
        return self.state_in(self.manifest["symbols"][symbol]["state"])

    def state_in(self, item: Mapping[str, Any]) -> dict[str, Floats]:
        """The engine's state in a file that the manifest names."""
        return parts.parsed_state(self._content(Entry.of(item)))

    def entries(self) -> list[Entry]:
        """Every file that the manifest names."""
        entries = [Entry.of(item) for item in listed(self.manifest)]
        return list({entry.path: entry for entry in entries}.values())  # equal states are one file

    def verify(self) -> list[str]:
        """Rehash everything, the sources of a computed store too; each problem is one line, and none means the store is
        whole."""
        entries = self.entries()
        problems = [problem for entry in entries if (problem := entry.problem_at(self.path / entry.path))]
        if self.is_computed:
            problems += self._computed_rows.problems()
        if isinstance(self.path, Path) and (self.path / seen.FILE).exists() and (problem := seen.problem(self.path)):
            problems.append(problem)
        return problems + [f"{path}: not named in {MANIFEST}" for path in self._foreign()]

    def strays(self) -> list[Path]:
        """Files in the folder that the manifest does not name, those kept for readers of the last one apart."""
        known = {str(self.folder / path) for path in (MANIFEST, seen.FILE, *(one.path for one in self.entries()))}
        found = {f"{folder}{os.sep}{name}" for folder, _, names in os.walk(self.folder) for name in names}
        return sorted(path for path in map(Path, found - known) if self.folder / RETIRED not in path.parents)

    def _foreign(self) -> list[Location]:
        """What has no place in the store. In a bucket our own files that the manifest does not name are no fault:
        readers of an earlier one may need them, or a writer that has not published yet."""
        if not isinstance(self.path, ObjectPath):
            return [*self.strays()]
        known = {entry.path for entry in self.entries()} | {MANIFEST}
        unknown = sorted(name for name in self.path.sizes() if name not in known and not is_ours(name))
        return [self.path / name for name in unknown]

    def leftovers(self) -> list[Path]:
        """Those of the strays that have the names of our own data files: retired, or left by a crash."""
        return [path for path in self.strays() if _OUR_NAME.fullmatch(path.name)]

    def span(self) -> tuple[date, date]:
        """First and last day (UTC) with rows."""
        stamps = [file[edge] for file in self.manifest["files"] for edge in ("first", "last")]
        first, last = (datetime.fromtimestamp(stamp // 10**9, UTC).date() for stamp in (min(stamps), max(stamps)))
        return first, last


def _read_manifest(path: Location) -> dict[str, Any]:
    manifest = read_json(path)
    schema = manifest.get("schema") if isinstance(manifest, dict) else None
    if schema != SCHEMA_VERSION or not manifest.keys() >= KEYS:
        raise DataError(
            f"{path}: made by another version (expected schema {SCHEMA_VERSION}, received {schema}); "
            f"rebuild it with build-features --overwrite"
        )
    body = {name: value for name, value in manifest.items() if name != "snapshot"}
    if manifest["snapshot"] != sha256_bytes(canonical_json(body)):
        raise DataError(f"{path}: its content does not match its own hash; it was altered, rebuild")
    return dict(manifest)


def listed(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """The entry of every file that a manifest names; equal states are named more than once."""
    groups = ("input_files", "quarantine")
    beside = [part["state"] for part in manifest["partitions"]]
    beside += [item for part in manifest["partitions"] for group in groups for item in part[group]]
    written = [item for item in manifest["files"] if "path" in item]
    return [*written, *beside, *manifest["documents"]]


def by_symbol(files: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Entries of data files under their symbols, in the order given."""
    found: dict[str, list[dict[str, Any]]] = {}
    for file in files:
        found.setdefault(file["symbol"], []).append(file)
    return found


def is_ours(path: str) -> bool:
    """Whether a path in a store is that of a file which builds write there."""
    return _OUR_NAME.fullmatch(PurePosixPath(path).name) is not None or path.startswith(f"{journal.FOLDER}/")


def _list_of_features(manifest: dict[str, Any]) -> str:
    """The document that lists the features; in a bucket its name has its hash."""
    names = [str(item["path"]) for item in manifest["documents"]]
    return next((name for name in names if name.startswith(FEATURE_COLUMNS.partition(".")[0])), FEATURE_COLUMNS)


def _is_inside(path: str) -> bool:
    names = set(path.split("/"))
    return bool(names - {"", "."}) and ".." not in names and not path.startswith("/")


def _stamp(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


def _moment(stamp_ns: int) -> datetime:
    """The UTC time, to the microsecond below."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=stamp_ns // 1000)
