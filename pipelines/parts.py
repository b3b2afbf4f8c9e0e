"""The files that a feature store is made of: how each is named, written, and proven when it is read."""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from kernels.arrays import Floats
from pipelines.errors import DataError
from pipelines.fetched import prefix_told
from pipelines.files import HashedFile, make_folder, sha256_bytes, sha256_file, write_atomic
from pipelines.objects import Location
from pipelines.parquet_writer import Columns, Encoding, Kind, ParquetWriter

RETIRED = "_retired"
_LONGEST = 220  # bytes of a symbol's folder: names of files add up to 31, and most systems end them at 255

Period = Literal["day", "month", "year"]

_EPOCH, _DAY_NS = date(1970, 1, 1), 86_400 * 10**9


@dataclass(frozen=True)
class Entry:
    """One file of the store, as its manifest describes it; `path` is relative to the store."""

    path: str
    sha256: str
    size: int  # bytes

    @classmethod
    def write(cls, root: Path, path: str, data: bytes) -> "Entry":
        """Write `data` durably below `root`; `{hash}` in its path becomes the beginning of its hash."""
        entry = cls.named(path, data)
        target = root / entry.path
        make_folder(target.parent)
        write_atomic(target, data)
        return entry

    @classmethod
    def named(cls, path: str, data: bytes) -> "Entry":
        """The entry that `write` would return."""
        sha256 = sha256_bytes(data)
        return cls(path.replace("{hash}", sha256[:12]), sha256, len(data))

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> "Entry":
        """The entry in a manifest's item, which may say more."""
        return cls(item["path"], item["sha256"], item["size"])

    def problem_at(self, path: Location) -> str | None:
        """What is wrong with the file at `path`, or None."""
        if not path.is_file():
            return f"{path}: missing"
        if path.stat().st_size != self.size:
            return f"{path}: expected {self.size} bytes, received {path.stat().st_size}"
        try:
            received = sha256_file(path)
        except DataError as error:
            return str(error)
        return None if received == self.sha256 else self._altered(path, received)

    def read(self, path: Location) -> bytes:
        """The bytes of the file at `path`, hashed: what is parsed is what was proven.

        Measured: 12 ms for a part of 14 MB whose 20 columns take 130 ms to decode; a read of 2 columns, 6 ms without
        the hash and from a mapped file, takes 20.

        Raises:
            DataError: the file is missing, or not what was written.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror}; rebuild the store") from None
        received = sha256_bytes(data)
        if received != self.sha256:
            raise DataError(f"{self._altered(path, received)}; rebuild the store")
        return data

    def _altered(self, path: Location, received: str) -> str:
        return f"{path}: expected SHA-256 {self.sha256}, received {received}"


def symbol_folder(symbol: str) -> str:
    """The Hive folder of a symbol; characters that a path cannot hold are percent-encoded."""
    return f"symbol={quote(symbol, safe='^')}"


def require_short(symbol: str, path: Path) -> None:
    """Raises DataError when no file can be named after a symbol of the source at `path`."""
    if len(symbol_folder(symbol)) > _LONGEST:
        raise DataError(
            f"{path}: a symbol of {len(symbol)} characters, {symbol[:40]!r} ..., is too long to name a file; expected "
            f"at most {_LONGEST - len(symbol_folder(''))} bytes, percent-encoded: is it the column of symbols? choose "
            "another one with --column symbol=NAME"
        )


class PartFile:
    """A data file of one symbol and period under way: rows are encoded, hashed and written group by group.

    Attributes:
        rows: written so far.
    """

    def __init__(self, root: Path, symbol: str, key: str, encoding: Encoding, *, below: str = "") -> None:
        self._folder = f"{below}{symbol_folder(symbol)}/date={key}"
        make_folder(root / self._folder)
        self._file = HashedFile(root / self._folder)
        self._told = {"symbol": symbol, "date": key}
        self._encoding = encoding
        self._writer: ParquetWriter | None = None
        self._span: list[int] = []
        self.rows = 0

    def write(self, columns: Columns) -> None:
        """Write rows, `timestamp` among their columns; every call but the last takes whole row groups.

        Raises:
            DataError: other columns than before, or they cannot be written; the file is to be abandoned then.
        """
        if self._writer is None:
            self._writer = ParquetWriter(self._file, kinds_of(columns), self._encoding)
        self._writer.write(columns)
        self._span = [self._span[0] if self._span else int(columns["timestamp"][0]), int(columns["timestamp"][-1])]
        self.rows += len(columns["timestamp"])

    def finish(self) -> dict[str, Any]:
        """Make the file durable; returns its manifest entry."""
        if self._writer is None:
            raise RuntimeError(f"{self._folder}: a part without rows")
        self._writer.finish()
        name = f"part-{self._file.sha256[:12]}.parquet"
        self._file.publish(name)
        entry = {"path": f"{self._folder}/{name}", "sha256": self._file.sha256, "size": self._file.size}
        return {**entry, **self._told, "rows": self.rows, "first": self._span[0], "last": self._span[1]}

    def abandon(self) -> None:
        """Remove what was written."""
        self._file.abandon()


class Tally:
    """Finished rows of one symbol and period that no file is written of: counted, and handed on.

    Attributes:
        rows: so far.
    """

    def __init__(self, symbol: str, key: str, deliver: Callable[[Columns], None]) -> None:
        self._told = {"symbol": symbol, "date": key}
        self._deliver = deliver
        self._span: list[int] = []
        self.rows = 0

    def go_on(self, item: Mapping[str, Any]) -> None:
        """Take what an entry counted as the rows so far."""
        self._span, self.rows = [item["first"], item["last"]], item["rows"]

    def write(self, columns: Columns) -> None:
        """Take rows that come next, in any number."""
        if len(columns["timestamp"]):
            self._span = [self._span[0] if self._span else int(columns["timestamp"][0]), int(columns["timestamp"][-1])]
            self.rows += len(columns["timestamp"])
            self._deliver(columns)

    def finish(self) -> dict[str, Any]:
        """The manifest entry of the rows so far, that of a file without one; what follows is counted anew."""
        entry = {**self._told, "rows": self.rows, "first": self._span[0], "last": self._span[1]}
        self._span, self.rows = [], 0
        return entry


_TIMES = ("timestamp", "last_timestamp")
_KIND_OF: dict[np.dtype[Any], Kind] = {np.dtype(np.float32): "float32", np.dtype(np.float64): "float64"}


def kinds_of(columns: Columns) -> dict[str, Kind]:
    """What the columns of a data file hold."""
    return {name: "timestamp" if name in _TIMES else _KIND_OF[column.dtype] for name, column in columns.items()}


def dtypes_of(names: Sequence[str]) -> dict[str, np.dtype[Any]]:
    """What columns of bars are kept as."""
    return {name: np.dtype(np.int64 if name in _TIMES else np.float64) for name in names}


def read_part(root: Location, item: Mapping[str, Any]) -> Columns:
    """The columns of a manifest's data file.

    Raises:
        DataError: it is missing or not what was written.
    """
    return plain_columns(pq.read_table(pa.BufferReader(Entry.of(item).read(root / item["path"]))))


def plain_columns(table: pa.Table) -> Columns:
    """A table as arrays; times as ns."""
    times = {name: table[name].cast(pa.int64()) for name in _TIMES if name in table.column_names}
    return {name: times.get(name, table[name]).to_numpy() for name in table.column_names}


def period_key(stamp: int, period: Period) -> str:
    """The first day of the period of a stamp in ns: the name of its folder."""
    return _bounds(stamp, period)[0]


def period_end(key: str, period: Period) -> int:
    """The time, in ns, at which the period of a folder's name ends."""
    return period_bounds(key, period)[1]


def period_bounds(key: str, period: Period) -> tuple[int, int]:
    """The times, in ns, at which the period of a folder's name begins and ends."""
    first = _midnight(date.fromisoformat(key))
    return first, _bounds(first, period)[1]


def periods(stamps: pl.Series, period: Period) -> Iterator[tuple[str, int, int]]:
    """(first day, first row, row after the last) of each period with rows, of rows in time order."""
    start = 0
    while start < len(stamps):
        day, end = _bounds(stamps[start], period)
        stop = start + int(stamps[start:].search_sorted(end))
        yield day, start, stop
        start = stop


def _bounds(stamp: int, period: Period) -> tuple[str, int]:
    """The first day of the period of a stamp, and the stamp at which the period ends."""
    day = _EPOCH + timedelta(days=stamp // _DAY_NS)
    if period == "day":
        return day.isoformat(), _midnight(day + timedelta(days=1))
    if period == "month":
        first = day.replace(day=1)
        return first.isoformat(), _midnight((first + timedelta(days=31)).replace(day=1))
    return f"{day.year:04}-01-01", _midnight(date(day.year + 1, 1, 1))


def _midnight(day: date) -> int:
    """When a day begins, in ns; of the last days that an int64 holds, no more than it holds."""
    return min((day - _EPOCH).days * _DAY_NS, 2**63 - 1)


def state_bytes(state: Mapping[str, Floats]) -> bytes:
    """An engine state as it is saved."""
    buffer = io.BytesIO()
    np.savez(buffer, **state)  # type: ignore[arg-type]
    return buffer.getvalue()


def state_path(symbol: str) -> str:
    """Where states of a symbol are saved."""
    return f"_state/{symbol_folder(symbol)}-{{hash}}.npz"


def read_state(root: Location, item: Mapping[str, Any]) -> dict[str, Floats]:
    """An engine state that was saved below `root`.

    Raises:
        DataError: it is missing or not what was written.
    """
    return parsed_state(Entry.of(item).read(root / item["path"]))


def parsed_state(data: bytes) -> dict[str, Floats]:
    """An engine state from the bytes that it was saved as."""
    with np.load(io.BytesIO(data)) as archive:
        return {name: archive[name] for name in archive.files}


def write_rejected(root: Path, rejected: pl.DataFrame) -> dict[str, Any]:
    """Keep quarantined rows below `root`; returns the manifest entry."""
    buffer = io.BytesIO()
    origin = pl.col("file").str.replace(*prefix_told(root), literal=True)
    rejected.with_columns(origin).write_parquet(buffer)
    return vars(Entry.write(root, "quarantine/rejected-{hash}.parquet", buffer.getvalue()))


def retired_path(root: Path, path: str) -> Path:
    """Where a data file goes that a newer manifest no longer names, for readers that hold the older one."""
    return root / RETIRED / Path(path).name
