"""The few file operations that durability rests on: everything that becomes visible goes through here."""

import hashlib
import json
import os
import secrets
import shutil
from pathlib import Path
from typing import Any

from pipelines.errors import DataError


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` so that `path` holds either its old content or all of the new, even after a power loss."""
    staging = path.with_name(f".tmp-{secrets.token_hex(4)}-{path.name}")
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


def publish_folder(staging: Path, target: Path, *, replace: bool = False) -> None:
    """Make a finished folder visible under its final name by a rename; one it replaces is put aside first.

    Raises:
        DataError: `target` holds something and `replace` is false.
    """
    _fsync_tree(staging)
    retired = target.with_name(f".old-{secrets.token_hex(4)}-{target.name}")
    if target.is_dir() and not any(target.iterdir()):
        target.rmdir()
    if target.exists():
        if not replace:
            raise DataError(f"{target}: already exists; give another folder or --overwrite")
        target.rename(retired)
    try:
        staging.rename(target)
    except OSError:
        if retired.exists():
            retired.rename(target)
        raise
    fsync_folder(target.parent)
    shutil.rmtree(retired, ignore_errors=True)


def make_folder(folder: Path) -> None:
    """Create a folder and its parents, each entry durable before anything is put into it."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        fsync_folder(folder.parent)


def make_staging(target: Path) -> Path:
    """A new hidden folder beside `target` to build in.

    Raises:
        DataError: the parent folder cannot be written.
    """
    staging = target.with_name(f".tmp-{secrets.token_hex(4)}-{target.name}")
    try:
        staging.mkdir(parents=True)
    except OSError as error:
        raise DataError(f"{target}: cannot create the output folder: {error.strerror}; give a writable one") from error
    return staging


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_bytes(data: bytes) -> str:
    """SHA-256 of `data`, as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def canonical_json(value: Any) -> bytes:
    """The one JSON rendering of a value: sorted keys, no blanks, ASCII, a final newline; NaN is refused."""
    return (json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False) + "\n").encode("ascii")


def pretty_json(value: Any) -> bytes:
    """JSON for files that people open: sorted keys, two blanks of indent, a final newline."""
    return (json.dumps(value, sort_keys=True, indent=2, allow_nan=False) + "\n").encode("ascii")


def read_json(path: Path) -> Any:
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
