"""`signals.txt`: append-only, one line a signal, each line with a sequence number, an id and a checksum.

A line is one `write` and reaches the disk before it is announced, so a crash can only tear the last line.
What is torn is cut at the next start and kept in `<name>.torn`; a bad line with good ones behind it was
altered, and is an error.
"""

import hashlib
import os
import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Literal, Self
from urllib.parse import quote, unquote

import polars as pl
from filelock import FileLock, Timeout

from pipelines.errors import DataError
from pipelines.files import fsync_folder
from stockbot.errors import StockbotError, UsageError

Mode = Literal["DRY", "LIVE"]
Action = Literal["LONG", "SHORT", "FLAT", "EXPIRED"]

ID_DIGITS = 16  # of SHA-256: enough to be unique, short enough to read
COMMIT_DIGITS = 12
TIME_FORMAT = "%Y-%m-%dT%H:%M:%S%.9fZ"
_SAFE = "!#$&'()*+,/:;=?@[]^{}|~"  # symbols may hold blanks or any script; a column may not
_COLUMNS = (
    ("seq", 10), ("signal_id", ID_DIGITS), ("mode", 4), ("known_at", 30), ("symbol", 12), ("action", 7),
    ("prediction", 15), ("threshold", 14), ("price", 14), ("bar", 30), ("model", ID_DIGITS),
    ("commit", COMMIT_DIGITS),
)  # fmt: skip
SCHEMA = {
    "seq": pl.Int64, "signal_id": pl.String, "mode": pl.String, "known_at": pl.Datetime("ns", "UTC"),
    "symbol": pl.String, "action": pl.String, "prediction": pl.Float64, "threshold": pl.Float64,
    "price": pl.Float64, "bar": pl.Datetime("ns", "UTC"), "model": pl.String, "commit": pl.String,
}  # fmt: skip
HEADER = (" ".join(name.ljust(width) for name, width in _COLUMNS) + " crc32\n").encode()


@dataclass(frozen=True, kw_only=True)
class Signal:
    """One decision of the model: what it saw, what it said, and who said it.

    Attributes:
        known_at: ns UTC, when the bar was complete; nothing before it may act on the signal.
        bar: ns UTC, the label of the bar.
        prediction: log return over the horizon, or P(up); the log keeps 12 decimals.
        ordinal: how many bars of the symbol ended at the same instant before this one.
    """

    symbol: str
    bar: int
    known_at: int
    action: Action
    prediction: float
    threshold: float
    price: float
    horizon: int
    model: str
    commit: str
    ordinal: int = 0

    @property
    def id(self) -> str:
        """Depends on model, symbol, bar end and horizon alone: a replay gives the same id."""
        text = f"{self.model}|{self.symbol}|{self.known_at}|{self.ordinal}|{self.horizon}"
        return hashlib.sha256(text.encode()).hexdigest()[:ID_DIGITS]


class SignalLog:
    """The single writer of a signal log; entering it opens the file and takes the lock beside it.

    Entering raises:
        StockbotError: another process writes this log.
        UsageError: the file cannot be opened for writing.
        DataError: another kind of file, or a line that is not the torn tail fails its checksum.
    """

    def __init__(self, path: Path, *, mode: Mode) -> None:
        self.path = path
        self._mode = mode
        self._lock = FileLock(f"{path}.lock")

    def __enter__(self) -> Self:
        _require_log_or_nothing(self.path)
        self._lock_or_refuse()
        try:
            self._seq, self._seen = self._recover()
            self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0))
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)
        self._lock.release()

    def append(self, signal: Signal) -> bool:
        """Write the signal through to the disk; false when this mode's log has it already."""
        key = (self._mode, signal.id)
        if key in self._seen:
            return False
        self._write_through(render(signal, seq=self._seq + 1, mode=self._mode))
        self._seq += 1
        self._seen.add(key)
        return True

    def _write_through(self, line: bytes) -> None:
        try:
            written = os.write(self._file, line)
            getattr(os, "fdatasync", os.fsync)(self._file)
        except OSError as error:
            raise StockbotError(f"{self.path}: a line could not be written: {error.strerror}") from error
        if written != len(line):
            raise StockbotError(f"{self.path}: a line was written in part; is the disk full?")

    def _lock_or_refuse(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout:
            raise StockbotError(
                f"{self.path}: another runner writes this log; stop it or give another --signals"
            ) from None
        except OSError as error:
            raise UsageError(f"{self.path}: cannot be written: {error.strerror}") from error

    def _recover(self) -> tuple[int, set[tuple[str, str]]]:
        data = self.path.read_bytes() if self.path.exists() else b""
        good, rows = scan(data, origin=str(self.path))
        if good < len(data):
            with open(f"{self.path}.torn", "ab") as torn:
                torn.write(data[good:])
                os.fsync(torn.fileno())
        _truncate_and_head(self.path, good)
        return len(rows), {(row[2], row[1]) for row in rows}


def render(signal: Signal, *, seq: int, mode: Mode) -> bytes:
    """The line of a signal: blank-separated columns, and the CRC-32 of everything before it."""
    fields = (
        f"{seq:010d}", signal.id, mode, utc_text(signal.known_at), quote(signal.symbol, safe=_SAFE),
        signal.action, f"{signal.prediction:+.12f}", f"{signal.threshold:.12f}",
        repr(signal.price), utc_text(signal.bar),
        signal.model[:ID_DIGITS], signal.commit[:COMMIT_DIGITS] or "-",
    )  # fmt: skip
    columns = (text.ljust(width) for text, (_, width) in zip(fields, _COLUMNS, strict=True))
    body = (" ".join(columns) + " ").encode()
    return body + f"{zlib.crc32(body):08x}\n".encode()


def scan(data: bytes, *, origin: str) -> tuple[int, list[list[str]]]:
    """How many bytes of a log are whole lines, and the fields of those lines; the rest is a torn tail.

    Raises:
        DataError: a line fails its checksum or breaks the sequence and good lines follow: no crash does that.
    """
    lines = data.splitlines(keepends=True)
    if not lines or (lines[0] != HEADER and len(lines) == 1 and HEADER.startswith(lines[0])):
        return 0, []
    if lines[0] != HEADER:
        raise DataError(f"{origin} line 1: expected the header of a signal log; this is another file or an altered one")
    good, rows = len(HEADER), list[list[str]]()
    for number, line in enumerate(lines[1:], start=2):
        fields = _checked_fields(line, seq=len(rows) + 1)
        if fields is None:
            if number < len(lines):
                raise DataError(
                    f"{origin} line {number}: the checksum or sequence number does not fit; "
                    "the log was altered: restore it, or move it away to start a new one"
                )
            break
        rows.append(fields)
        good += len(line)
    return good, rows


def read_signals(path: Path) -> pl.DataFrame:
    """Every signal of a log, each line's checksum and sequence number checked.

    Raises:
        DataError: no such file, or a line that does not check (names the line; a torn tail included).
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}; expected a signal log") from error
    good, rows = scan(data, origin=str(path))
    if good < len(data) or not data:
        raise DataError(f"{path} line {len(rows) + 2}: torn or altered; the next `run` cuts it off")
    frame = pl.DataFrame(rows, schema=dict.fromkeys(SCHEMA, pl.String), orient="row")
    when = pl.col("known_at", "bar").str.to_datetime(TIME_FORMAT, time_unit="ns", time_zone="UTC")
    symbol = pl.Series("symbol", [unquote(text) for text in frame["symbol"]], pl.String)
    return frame.with_columns(when, symbol).cast(SCHEMA)  # type: ignore[arg-type]


def utc_text(ns: int) -> str:
    """A time in ISO 8601 with nine decimals and `Z`."""
    second = datetime(1970, 1, 1) + timedelta(seconds=ns // 10**9)
    return f"{second.isoformat()}.{ns % 10**9:09d}Z"


def _checked_fields(line: bytes, *, seq: int) -> list[str] | None:
    body, crc = line[:-9], line[-9:]
    if crc != f"{zlib.crc32(body):08x}\n".encode():
        return None
    fields = body.decode().split()
    return fields if len(fields) == len(_COLUMNS) and fields[0] == f"{seq:010d}" else None


def _require_log_or_nothing(path: Path) -> None:
    """Before the lock, so that a path given by mistake is left without a lock file beside it."""
    if not path.exists():
        return
    if not path.is_file():
        raise UsageError(f"{path}: expected a signal log or no file, received a folder or device; give another")
    try:
        with open(path, "rb") as file:
            scan(file.read(len(HEADER)), origin=str(path))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error


def _truncate_and_head(path: Path, size: int) -> None:
    file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
    try:
        os.ftruncate(file, size)
        if size == 0:
            os.write(file, HEADER)
        os.fsync(file)
    finally:
        os.close(file)
    fsync_folder(path.parent)
