"""Bytes of a source: what a file is by its first bytes, and the texts inside gz and zip."""

import gzip
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pipelines.errors import DamagedError, DataError
from pipelines.sources.paths import is_document

Format = Literal["text", "gzip", "zip", "sqlite", "parquet", "arrow"]

_MAGIC: tuple[tuple[bytes, Format], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"SQLite format 3\x00", "sqlite"),
    (b"PAR1", "parquet"),
    (b"ARROW1", "arrow"),
    (b"FEA1", "arrow"),
)
_UNSUPPORTED: tuple[tuple[bytes, str], ...] = (
    (b"\x89HDF", "HDF5"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ", "xz"),
    (b"BZh", "bzip2"),
    (b"\xd0\xcf\x11\xe0", "Excel"),
)
_ACCEPTED = "expected CSV text (plain, gz or zip), SQLite, Parquet or Arrow/Feather"


def detect_format(path: Path) -> Format:
    """Return the format of a file by its first bytes, whatever its name says.

    Raises
    ------
    DataError : the file is missing, empty, or of a kind that is not read.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(16)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    if not head:
        raise DamagedError(f"{path}: the file is empty (0 bytes); {_ACCEPTED}")
    for magic, name in _UNSUPPORTED:
        if head.startswith(magic):
            raise DamagedError(f"{path}: is a {name} file, which is not read; {_ACCEPTED}: convert it first")
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), "text")


def text_members(path: Path, kind: Format) -> Iterator[tuple[str, bytes]]:
    """Yield (origin, bytes without a byte order mark) of each text in a plain, gz or zip file.

    Raises
    ------
    DataError : a damaged or encrypted archive, an empty member, or a text that is not UTF-8.
    """
    if kind == "zip":
        members = _zip_members(path)
    else:
        members = [(str(path), _gunzipped(path) if kind == "gzip" else path.read_bytes())]
    for origin, data in members:
        yield origin, _checked_text(origin, data)


def _gunzipped(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes())
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DamagedError(
            f"{path}: the gzip data is truncated or damaged ({_one_line(error)}); fetch the file again"
        ) from error


def _zip_members(path: Path) -> list[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in _visible_names(archive) if not is_document(_base(name))]
            contents = [archive.read(name) for name in names]
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise DamagedError(
            f"{path}: the zip file is damaged, encrypted or truncated ({_one_line(error)}); fetch it again"
        ) from error
    if not names:
        raise DamagedError(f"{path}: the zip file holds no file of data; {_ACCEPTED}")
    single = len(names) == 1
    return [(str(path) if single else f"{path}!{name}", data) for name, data in zip(names, contents, strict=True)]


def documents_in(path: Path) -> list[str]:
    """Return the members of a zip file that are no data by their names, such as a readme; of any other file none."""
    if detect_format(path) != "zip":
        return []
    with zipfile.ZipFile(path) as archive:
        return [name for name in _visible_names(archive) if is_document(_base(name))]


def _visible_names(archive: zipfile.ZipFile) -> list[str]:
    hidden = (".", "__MACOSX")
    names = archive.namelist()
    return [name for name in names if _base(name) and not any(part.startswith(hidden) for part in name.split("/"))]


def _base(name: str) -> str:
    return name.rpartition("/")[2]


def _checked_text(origin: str, data: bytes) -> bytes:
    text = first_text(origin, data)
    check_characters(origin, text, len(data) - len(text))
    return text


def first_text(origin: str, data: bytes) -> bytes:
    """Return the beginning of a text without its byte order mark.

    Raises
    ------
    DataError : an empty text, or an archive inside the archive.
    """
    packed = next((kind for magic, kind in (*_MAGIC, *_UNSUPPORTED) if data.startswith(magic)), None)
    if packed is not None:
        raise DamagedError(f"{origin}: holds a {packed} file inside the archive; expected text: unpack it first")
    mark = b"\xef\xbb\xbf" if data.startswith(b"\xef\xbb\xbf") else b""
    data = data[len(mark) :]
    if not data or data.isspace():
        raise DamagedError(f"{origin}: the file is empty; expected a table of market data")
    return data


def check_characters(origin: str, data: bytes, offset: int) -> None:
    """Raise DataError unless whole lines, which begin at a byte offset of their text, are UTF-8."""
    if data.isascii() and b"\x00" not in data:
        return
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DamagedError(
            f"{origin}: not UTF-8: byte 0x{data[error.start]:02x} at byte offset {error.start + offset}; "
            "expected UTF-8 text: convert the file first (for example with iconv)"
        ) from error
    if b"\x00" in data:
        raise DamagedError(f"{origin}: not a text: zero byte at byte offset {data.index(0) + offset}; {_ACCEPTED}")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
