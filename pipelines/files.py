"""The few file operations that durability rests on: everything that becomes visible goes through here."""

import ctypes
import glob
import hashlib
import json
import os
import secrets
import shutil
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock, Timeout

from pipelines.errors import DataError
from pipelines.objects import Location

RESERVED = 16 << 20  # bytes
_HEX = "[0-9a-f]" * 8


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system says of a failed write, a full disk most often, into one line that names `path`."""
    try:
        yield
    except OSError as error:
        raise _not_written(path, error) from error


def _not_written(path: Path, error: OSError) -> DataError:
    reason = error.strerror or str(error).partition("\n")[0]
    return DataError(f"{path}: cannot be written: {reason}; free some space or give another folder")


@contextmanager
def reading(path: object) -> Iterator[None]:
    """Turn what the system says of a failed read into one line that names `path`."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}; check the file and its rights") from error


def write_atomic(path: Path, data: bytes | memoryview) -> None:
    """Write `data` so that `path` holds either its old content or all of the new, even after a power loss.

    Raises:
        DataError: it cannot be written.
    """
    staging = path.with_name(f".tmp-{secrets.token_hex(4)}-{path.name}")
    with writing(path):
        try:
            with open(staging, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            staging.replace(path)
        except BaseException:
            staging.unlink(missing_ok=True)
            raise
        fsync_folder(path.parent)


class HashedFile:
    """A file that is hashed while it is written, and appears under a name when all of it is durable."""

    def __init__(self, folder: Path) -> None:
        """
        Raises:
            DataError: it cannot be made.
        """
        self._staging = folder / f".tmp-{secrets.token_hex(4)}-"
        self._hash = hashlib.sha256()
        self.size = 0  # bytes
        self._reserved = RESERVED // 4  # small files ask for nothing
        with writing(self._staging):
            self._file = open(self._staging, "wb")  # noqa: SIM115 - closed by `publish` or `abandon`

    def write(self, data: Any) -> None:
        """Write bytes, or an array as it lies in memory.

        Raises:
            DataError: they cannot be written.
        """
        self._hash.update(data)  # first: it leaves the data in the cache
        self.size += memoryview(data).nbytes
        if self.size > self._reserved:
            self._reserve()
        try:
            self._file.write(data)
        except OSError as error:
            raise _not_written(self._staging, error) from error

    def _reserve(self) -> None:
        """Ask for the blocks of what follows at once, where the system can: 0.95 of a build to uncompressed files."""
        if hasattr(os, "posix_fallocate"):
            with suppress(OSError):  # a full disk, too: whether what is written fits is told when it is written
                os.posix_fallocate(self._file.fileno(), self._reserved, RESERVED)
        self._reserved += RESERVED

    @property
    def sha256(self) -> str:
        """Of what was written so far."""
        return self._hash.hexdigest()

    def publish(self, name: str) -> None:
        """Make the file durable and visible.

        Raises:
            DataError: that is not possible.
        """
        with writing(self._staging):
            self._file.truncate(self.size)
            os.fsync(self._file.fileno())
            self._file.close()
            self._staging.replace(self._staging.with_name(name))
            fsync_folder(self._staging.parent)

    def abandon(self) -> None:
        """Remove what was written."""
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._staging.unlink(missing_ok=True)


@contextmanager
def staging_beside(target: Path) -> Iterator[Path]:
    """A hidden folder beside `target` to build in; when the block ends it is gone, or published.

    Its lock, which the system frees when the process dies, tells it from what writers of `target` left here when
    they were killed: that is removed first.

    Raises:
        DataError: the folder cannot be made.
    """
    staging = target.with_name(f".tmp-{secrets.token_hex(4)}-{target.name}")
    lock = FileLock(f"{staging}.lock")
    try:
        try:
            _sweep(target)
            lock.acquire()  # makes the parents too
            staging.mkdir()
        except OSError as error:
            reason = error.strerror if target.parent.is_dir() else f"{target.parent} is not a folder"
            raise DataError(f"{target}: cannot create the output folder: {reason}; give a writable one") from error
        yield staging
    finally:
        _remove_staging(staging)
        lock.release()


def _sweep(target: Path) -> None:
    for path in target.parent.glob(f".tmp-{_HEX}-{glob.escape(target.name)}.lock"):
        with suppress(OSError), FileLock(path, timeout=0):  # a Timeout is an OSError too: its owner lives
            _remove_staging(path.with_suffix(""))


def _remove_staging(staging: Path) -> None:
    shutil.rmtree(staging, ignore_errors=True)
    with suppress(OSError):
        Path(f"{staging}.lock").unlink()


@contextmanager
def staging_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write what `path` will hold, when the block has ended, whole; not durable, for it can be made again."""
    staging = path.with_name(f".tmp-{secrets.token_hex(4)}-{path.name}")
    with writing(path):
        try:
            with open(staging, "wb") as file:
                yield file
            staging.replace(path)
        finally:
            staging.unlink(missing_ok=True)


def append_line(path: Path, line: bytes) -> None:
    """Add a line to a file, durably; a kill may leave a part of it, which the reader of the file must recognise.

    Raises:
        DataError: it cannot be written.
    """
    with writing(path):
        is_new = not path.exists()
        with open(path, "ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            fsync_folder(path.parent)


def cut_off(path: Path, size: int) -> None:
    """Shorten a file to its first `size` bytes, durably."""
    with writing(path), open(path, "rb+") as file:
        file.truncate(size)
        os.fsync(file.fileno())


@contextmanager
def sole_writer(target: Path, work: str) -> Iterator[None]:
    """Hold the lock of what is built at `target`; the system frees it when the process dies.

    Raises:
        DataError: another process holds it; names that process, its machine and since when.
    """
    path = target.with_name(f".{target.name}.lock")
    lock = FileLock(path, timeout=0)
    missing = [folder for folder in target.parents if not folder.exists()]
    try:
        make_folder(path.parent)
        lock.acquire()
    except Timeout:
        raise DataError(f"{target}: another process is {work} it{_holder(path)}; try again when it is done") from None
    except OSError as error:
        reason = error.strerror if target.parent.is_dir() else f"{target.parent} is not a folder"
        raise DataError(f"{target}: cannot create the output folder: {reason}; give a writable one") from error
    try:
        path.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        yield
    finally:
        with suppress(OSError):
            path.unlink()  # while it is held: who waits for it finds that its file is gone, and makes another
        lock.release()
        with suppress(OSError):  # folders that hold nothing but what was made for the lock
            for folder in missing:
                folder.rmdir()


def has_writer(target: Path) -> bool:
    """Whether a living process holds the lock that `sole_writer` takes; True where that cannot be told."""
    path = target.with_name(f".{target.name}.lock")
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0):
            return False
    except OSError:  # a Timeout is one too
        return True


def _holder(path: Path) -> str:
    """Who holds a lock, as it wrote itself; the file was touched when it took it."""
    try:
        since = datetime.fromtimestamp(int(path.stat().st_mtime), UTC)
        words = path.read_text(encoding="utf-8")
    except OSError:
        return ""
    return f" ({words} since {since:%Y-%m-%d %H:%M:%S} UTC)" if words else ""


def move_into(source: Path, target: Path) -> None:
    """Move a file, whose content is durable, to a place of the same file system, durably."""
    make_folder(target.parent)
    with writing(target):
        source.replace(target)
        fsync_folder(target.parent)


def remove_tree(folder: Path) -> None:
    """Remove a folder with all it holds, as far as the system lets us."""
    shutil.rmtree(folder, ignore_errors=True)


def publish_folder(staging: Path, target: Path, *, replace: bool = False, synced: bool = False) -> None:
    """Make a finished folder visible under its final name; one that it replaces stays whole until that moment.

    Args:
        synced: every file below was written durably, so that nothing has to be synced again.

    Raises:
        DataError: `target` holds something and `replace` is false, or the disk is full.
    """
    with writing(target):
        if not synced:
            _fsync_tree(staging)
        if target.is_dir() and not any(target.iterdir()):
            target.rmdir()
        if not target.exists():
            staging.rename(target)
        elif not replace:
            raise DataError(f"{target}: already exists; give another folder or --overwrite")
        elif not _exchange(staging, target):
            _replace_in_two_steps(staging, target)
        fsync_folder(target.parent)
    for replaced in (staging, *target.parent.glob(f".old-{_HEX}-{glob.escape(target.name)}")):
        shutil.rmtree(replaced, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two folders in one step; False where the system has no such call, or not for this file system."""
    if sys.platform != "linux":
        return False
    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None)
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return renameat2 is not None and renameat2(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0


def _replace_in_two_steps(staging: Path, target: Path) -> None:
    """Put the old folder aside first; a kill between the two renames leaves it as `.old-*` until the next time."""
    retired = target.with_name(f".old-{secrets.token_hex(4)}-{target.name}")
    target.rename(retired)
    try:
        staging.rename(target)
    except OSError:
        retired.rename(target)
        raise


def make_folder(folder: Path) -> None:
    """Create a folder and its parents, each entry durable before anything is put into it."""
    if not folder.is_dir():
        make_folder(folder.parent)
        with writing(folder):
            folder.mkdir(exist_ok=True)
            fsync_folder(folder.parent)


def sha256_file(path: Location, size: int | None = None) -> str:
    """SHA-256 of a file's bytes, or of its first `size`, as 64 hex digits.

    Raises:
        DataError: it cannot be read.
    """
    with reading(path), path.open("rb") as file:
        if size is None:
            return hashlib.file_digest(file, "sha256").hexdigest()
        digest = hashlib.sha256()
        while size > 0 and (block := file.read(min(size, 1 << 20))):
            digest.update(block)
            size -= len(block)
        return digest.hexdigest()


def sha256_bytes(data: bytes) -> str:
    """SHA-256 of `data`, as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def canonical_json(value: Any) -> bytes:
    """The one JSON rendering of a value: sorted keys, no blanks, ASCII, a final newline; NaN is refused."""
    return (json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False) + "\n").encode("ascii")


def pretty_json(value: Any) -> bytes:
    """JSON for files that people open: sorted keys, two blanks of indent, a final newline."""
    return (json.dumps(value, sort_keys=True, indent=2, allow_nan=False) + "\n").encode("ascii")


def lines_json(value: Mapping[str, Any]) -> bytes:
    """JSON for files that people open and that grow: sorted keys, an item of a list a line, a final newline.

    A twentieth of the time of `pretty_json`: the indent is what Python's fast encoder does not know.
    """
    fields = (f"  {_ENCODER.encode(name)}: {_in_lines(value[name])}" for name in sorted(value))
    return ("{\n" + ",\n".join(fields) + "\n}\n").encode("ascii")


_ENCODER = json.JSONEncoder(sort_keys=True, allow_nan=False)


def _in_lines(value: Any) -> str:
    if not (isinstance(value, list) and value):
        return _ENCODER.encode(value)
    return "[\n    " + ",\n    ".join(map(_ENCODER.encode, value)) + "\n  ]"


def read_json(path: Location) -> Any:
    """The value in a JSON file.

    Raises:
        DataError: the file is missing or not JSON (names the line).
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        where = f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else f"byte {error.start}"
        raise DataError(f"{path}: not valid JSON at {where}; the file was altered or cut") from error


def fsync_folder(folder: Path) -> None:
    """Make renames inside `folder` durable; Windows has no such call and needs none for NTFS metadata."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fsync_tree(folder: Path) -> None:
    for parent, _, names in os.walk(folder):
        for name in names:
            with open(Path(parent) / name, "rb+") as file:
                os.fsync(file.fileno())
        fsync_folder(Path(parent))
