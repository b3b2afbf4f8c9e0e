"""The feature store: Hive-partitioned Parquet whose manifest says which files it is made of, and their hashes.

    manifest.json  feature_columns.json  config.yaml  quarantine/rejected-<hash>.parquet
    symbol=<symbol>/date=<first day of the period>/part-<hash>.parquet
    _state/symbol=<symbol>-<hash>.npz      the engine's state after the last closed row

Data files carry a hash of their content in their name and are never changed: a new manifest is what makes new
files part of the store, so a reader sees the old store or the new one and nothing between. Files that a new manifest
no longer names stay in `_retired/` until the one after it, for readers that opened the store before.
"""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from urllib.parse import quote

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from kernels.arrays import Floats, Integers
from pipelines.bars import BarSpec
from pipelines.errors import DataError
from pipelines.files import canonical_json, make_folder, pretty_json, read_json, sha256_bytes, sha256_file, write_atomic

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
FEATURE_COLUMNS = "feature_columns.json"
CONFIG = "config.yaml"
RETIRED = "_retired"

_OUR_NAME = re.compile(r"(part|rejected)-[0-9a-f]{12}\.parquet|symbol=.*-[0-9a-f]{12}\.npz|\.tmp-[0-9a-f]{8}-.*")

Period = Literal["day", "month", "year"]
STAMP = pa.timestamp("ns", tz="UTC")
BASE_COLUMNS = ["timestamp", "last_timestamp", "open", "high", "low", "close", "volume"]


@dataclass(frozen=True)
class Entry:
    """One file of the store, as its manifest describes it; `path` is relative to the store."""

    path: str
    sha256: str
    size: int  # bytes

    @classmethod
    def write(cls, root: Path, path: str, data: bytes) -> "Entry":
        """Write `data` durably below `root`."""
        target = root / path
        make_folder(target.parent)
        write_atomic(target, data)
        return cls(path, sha256_bytes(data), len(data))

    def problem_at(self, path: Path) -> str | None:
        """What is wrong with the file at `path`, or None."""
        if not path.is_file():
            return f"{path}: missing"
        if path.stat().st_size != self.size:
            return f"{path}: expected {self.size} bytes, received {path.stat().st_size}"
        received = sha256_file(path)
        return None if received == self.sha256 else f"{path}: expected SHA-256 {self.sha256}, received {received}"


def symbol_folder(symbol: str) -> str:
    """The Hive folder of a symbol; characters that a path cannot hold are percent-encoded."""
    return f"symbol={quote(symbol, safe='^')}"


def parquet_bytes(table: pa.Table) -> bytes:
    """A table as Parquet. Byte-stream split and no dictionary: float columns barely repeat, and pyarrow's defaults
    write about three times slower for larger files."""
    floats = {field.name for field in table.schema if pa.types.is_floating(field.type)}
    encodings = {
        field.name: "BYTE_STREAM_SPLIT" if field.name in floats else "DELTA_BINARY_PACKED" for field in table.schema
    }
    buffer = io.BytesIO()
    pq.write_table(
        table,
        buffer,
        compression="zstd",
        compression_level=1,
        use_dictionary=False,
        column_encoding=encodings,
        write_statistics=["timestamp"],
    )
    return buffer.getvalue()


def write_rows(root: Path, symbol: str, table: pa.Table, period: Period) -> list[dict[str, Any]]:
    """Write one symbol's rows below `root`, one file a period; returns their manifest entries."""
    stamps = table["timestamp"].cast(pa.int64()).to_numpy()
    entries: list[dict[str, Any]] = []
    for key, start, stop in _periods(stamps, period):
        data = parquet_bytes(table.slice(start, stop - start))
        path = f"{symbol_folder(symbol)}/date={key}/part-{sha256_bytes(data)[:12]}.parquet"
        entry = Entry.write(root, path, data)
        span = {"rows": stop - start, "first": int(stamps[start]), "last": int(stamps[stop - 1])}
        entries.append({**vars(entry), "symbol": symbol, "date": key, **span})
    return entries


def _periods(stamps: Integers, period: Period) -> Iterator[tuple[str, int, int]]:
    """(first day, first row, row after the last) of each period with rows."""
    unit = {"day": "1d", "month": "1mo", "year": "1y"}[period]
    first_days = pl.Series(stamps).cast(pl.Datetime("ns")).dt.truncate(unit).dt.date()
    start = 0
    for rows, day in first_days.rle().struct.unnest().iter_rows():
        yield day.isoformat(), start, start + rows
        start += rows


def write_state(root: Path, symbol: str, state: dict[str, Floats]) -> dict[str, Any]:
    """Save an engine state below `root`; returns its manifest entry."""
    buffer = io.BytesIO()
    np.savez(buffer, **state)  # type: ignore[arg-type]
    data = buffer.getvalue()
    return vars(Entry.write(root, f"_state/{symbol_folder(symbol)}-{sha256_bytes(data)[:12]}.npz", data))


def write_rejected(root: Path, rejected: pl.DataFrame) -> dict[str, Any]:
    """Keep quarantined rows below `root`; returns the manifest entry."""
    buffer = io.BytesIO()
    rejected.write_parquet(buffer)
    name = f"quarantine/rejected-{sha256_bytes(buffer.getvalue())[:12]}.parquet"
    return vars(Entry.write(root, name, buffer.getvalue()))


def write_manifest(root: Path, manifest: dict[str, Any]) -> None:
    """Seal the store: the manifest carries the hash of the rest of itself, which is the snapshot's name."""
    sealed = {**manifest, "snapshot": sha256_bytes(canonical_json(manifest))}
    write_atomic(root / MANIFEST, pretty_json(sealed))


class FeatureStore:
    """A feature store on disk, read through its manifest.

    Attributes:
        path: the folder. manifest: its manifest. features: feature columns, in order. symbols: sorted.
        bars: how its rows were made. snapshot: SHA-256 that names this exact content.
    """

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path = path
        self.manifest = manifest
        self.features: list[str] = manifest["features"]
        self.symbols: list[str] = sorted(manifest["symbols"])
        self.bars = BarSpec(**manifest["bars"])
        self.snapshot: str = manifest["snapshot"]

    @classmethod
    def open(cls, path: Path) -> "FeatureStore":
        """Open a store and check its manifest (its files are checked by `verify`).

        Raises:
            DataError: no store there, an altered manifest, another schema version, or a feature list that differs.
        """
        if not (path / MANIFEST).is_file():
            raise DataError(f"{path}: no {MANIFEST}; expected a feature store, make one with build-features")
        manifest = read_json(path / MANIFEST)
        body = {name: value for name, value in manifest.items() if name != "snapshot"}
        if manifest.get("snapshot") != sha256_bytes(canonical_json(body)):
            raise DataError(f"{path / MANIFEST}: its content does not match its own hash; it was altered, rebuild")
        if manifest.get("schema") != SCHEMA_VERSION:
            raise DataError(f"{path / MANIFEST}: schema {manifest.get('schema')}, expected {SCHEMA_VERSION}; rebuild")
        store = cls(path, manifest)
        outside = [entry.path for entry in store.entries() if not _is_inside(entry.path)]
        if outside:
            raise DataError(f"{path / MANIFEST}: names {outside[0]!r}, which lies outside the store; it was altered")
        listed = read_json(path / FEATURE_COLUMNS)
        if listed != manifest["features"]:
            raise DataError(f"{path / FEATURE_COLUMNS}: differs from the features in {MANIFEST}; rebuild the store")
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
            DataError: unknown symbol or column, or a file that is missing or unreadable.
        """
        if symbol not in self.symbols:
            raise DataError(f"{self.path}: no symbol {symbol!r}; it holds {', '.join(self.symbols)}")
        known = [*BASE_COLUMNS, *self.features]
        missing = [column for column in columns or [] if column not in known]
        if missing:
            raise DataError(f"{self.path}: no column {', '.join(missing)}; it holds {', '.join(known)}")
        wanted = columns or known
        schema = {name: self._dtype(name) for name in dict.fromkeys(["timestamp", *wanted])}
        paths = [file["path"] for file in self._files(symbol) if _overlaps(file, start, end)]
        frame = pl.concat([pl.DataFrame(schema=schema), *(self._read_part(path, list(schema)) for path in paths)])
        last = max((file["last"] for file in self._files(symbol)), default=None)
        if closed_only and self.manifest["symbols"][symbol]["open_bar"]:
            frame = frame.filter(pl.col("timestamp").to_physical() < last)
        if start is not None:
            frame = frame.filter(pl.col("timestamp") >= start)
        if end is not None:
            frame = frame.filter(pl.col("timestamp") < end)
        return frame.select(wanted)

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
        return [file for file in self.manifest["files"] if file["symbol"] == symbol]

    def _read_part(self, path: str, columns: list[str]) -> pl.DataFrame:
        place = self._locate(path)
        try:
            return pl.read_parquet(place, columns=columns, hive_partitioning=False)
        except FileNotFoundError:
            raise DataError(f"{place}: missing, though the manifest names it; rebuild the store") from None
        except pl.exceptions.PolarsError as error:
            reason = str(error).splitlines()[0]
            raise DataError(f"{place}: cannot be read as Parquet ({reason}); run verify") from error

    def _locate(self, path: str) -> Path:
        """Where a file of this manifest is, also after a newer manifest has retired it."""
        retired = retired_path(self.path, path)
        return retired if not (self.path / path).exists() and retired.exists() else self.path / path

    def _dtype(self, column: str) -> pl.DataType:
        if column in ("timestamp", "last_timestamp"):
            return pl.Datetime("ns", "UTC")
        return pl.Float32() if column in self.features else pl.Float64()

    def rejected(self) -> pl.DataFrame:
        """The quarantined rows: file, line, reason, raw."""
        paths = [self.path / entry.path for entry in self.entries() if entry.path.startswith("quarantine/")]
        return pl.concat([pl.read_parquet(path, hive_partitioning=False) for path in paths])

    def saved_state(self, symbol: str) -> dict[str, Floats]:
        """The engine's state after the symbol's last closed row, for `FeatureStream.restore`."""
        entry = Entry(**self.manifest["symbols"][symbol]["state"])
        place = self._locate(entry.path)
        problem = entry.problem_at(place)
        if problem:
            raise DataError(f"{problem}; rebuild the store")
        with np.load(place) as archive:
            return {name: archive[name] for name in archive.files}

    def entries(self) -> list[Entry]:
        """Every file that the manifest names."""
        states = [symbol["state"] for symbol in self.manifest["symbols"].values()]
        listed = [*self.manifest["files"], *states, *self.manifest["documents"]]
        return [Entry(item["path"], item["sha256"], item["size"]) for item in listed]

    def verify(self) -> list[str]:
        """Rehash everything; each problem is one line, and none means the store is whole."""
        entries = self.entries()
        problems = [problem for entry in entries if (problem := entry.problem_at(self.path / entry.path))]
        return problems + [f"{path}: not named in {MANIFEST}" for path in self.strays()]

    def strays(self) -> list[Path]:
        """Files in the folder that the manifest does not name, those kept for readers of the last one apart."""
        known = {self.path / entry.path for entry in self.entries()} | {self.path / MANIFEST}
        found = (path for path in self.path.rglob("*") if path.is_file() and path not in known)
        return sorted(path for path in found if self.path / RETIRED not in path.parents)

    def leftovers(self) -> list[Path]:
        """Those of the strays that have the names of our own data files: retired, or left by a crash."""
        return [path for path in self.strays() if _OUR_NAME.fullmatch(path.name)]

    def span(self) -> tuple[date, date]:
        """First and last day (UTC) with rows."""
        stamps = [file[edge] for file in self.manifest["files"] for edge in ("first", "last")]
        first, last = (datetime.fromtimestamp(stamp // 10**9, UTC).date() for stamp in (min(stamps), max(stamps)))
        return first, last


def retired_path(root: Path, path: str) -> Path:
    """Where a data file goes that a newer manifest no longer names, for readers that hold the older one."""
    return root / RETIRED / Path(path).name


def _is_inside(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return bool(parts) and ".." not in parts and not PurePosixPath(path).is_absolute()


def _overlaps(file: dict[str, Any], start: datetime | None, end: datetime | None) -> bool:
    return (start is None or _moment(file["last"] + 999) >= start) and (end is None or _moment(file["first"]) < end)


def _moment(stamp_ns: int) -> datetime:
    """The UTC time, to the microsecond below."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=stamp_ns // 1000)
