"""Objects of an S3 bucket under the part of `pathlib.Path` that stores are read with, and the conditional puts.

The client is obstore, the Rust crate object_store: it has `If-Match` and `If-None-Match` on puts, tries again after
server errors and lost connections, and brings no other package. It takes credentials and endpoint from `AWS_*` in the
environment alone; none of them is ever part of a path, a message or a file.
"""

import errno
import fnmatch
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from pipelines.errors import DataError

SCHEME = "s3://"
_COLLAPSED = "s3:"  # what pathlib makes of the scheme


@dataclass(frozen=True)
class Stat:
    """What `stat` tells of an object."""

    st_size: int
    st_mtime_ns: int


@dataclass(frozen=True, order=True)
class ObjectPath:
    """An object of a bucket, or all objects whose keys begin with its key and a slash."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.key}"

    def __truediv__(self, name: str | PurePosixPath) -> "ObjectPath":
        return ObjectPath(self.bucket, f"{self.key}/{name}".lstrip("/"))

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition("/")[2]

    @property
    def parents(self) -> list["ObjectPath"]:
        """As of a path, nearest first."""
        return [ObjectPath(self.bucket, str(parent)) for parent in PurePosixPath(self.key).parents]

    def is_file(self) -> bool:
        """Whether the object is there."""
        return self._head() is not None

    exists = is_file

    def is_dir(self) -> bool:
        """Whether anything is below it."""
        return next(self.rglob("*"), None) is not None

    def stat(self) -> Stat:
        """Its size, and when it changed, to the second."""
        found = self._required()
        return Stat(found["size"], int(found["last_modified"].timestamp()) * 10**9)

    def version(self) -> str | None:
        """What names this very content of it; None when there is none."""
        found = self._head()
        return None if found is None else str(found["e_tag"])

    def _head(self) -> Any:
        import obstore

        with _told(self):
            try:
                return obstore.head(_bucket(self.bucket), self.key)
            except FileNotFoundError:
                return None

    def _required(self) -> Any:
        found = self._head()
        if found is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self))
        return found

    def read_bytes(self) -> bytes:
        """Its content.

        Raises:
            FileNotFoundError: it is not there.
        """
        import obstore

        with _told(self):
            try:
                return bytes(obstore.get(_bucket(self.bucket), self.key).bytes())
            except FileNotFoundError:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self)) from None

    def open(self, mode: str = "rb") -> io.BytesIO:
        """Its content as a file."""
        return io.BytesIO(self.read_bytes())

    def chunks(self) -> Iterator[bytes]:
        """Its content piece by piece."""
        import obstore

        with _told(self):
            for chunk in obstore.get(_bucket(self.bucket), self.key).stream(8 << 20):
                yield bytes(chunk)

    def rglob(self, pattern: str) -> Iterator["ObjectPath"]:
        """Every object below it, sorted by key."""
        for key in sorted(self.sizes()):
            if fnmatch.fnmatchcase(key, pattern):
                yield self / key

    def sizes(self) -> dict[str, int]:
        """The size of every object below it, under what follows its key."""
        import obstore

        prefix = f"{self.key}/" if self.key else ""
        with _told(self):
            listed = obstore.list(_bucket(self.bucket), prefix=prefix or None)
            return {item["path"].removeprefix(prefix): item["size"] for batch in listed for item in batch}

    def put(self, data: bytes) -> None:
        """Write it, whatever was there."""
        self._put(data, "overwrite")

    def put_if_absent(self, data: bytes) -> bool:
        """Write it unless it is there; whether it was written."""
        return self._put(data, "create")

    def put_if_still(self, data: bytes, version: str | None) -> bool:
        """Write it if what is there is still this version, None for nothing; whether it holds `data` now."""
        mode = "create" if version is None else {"e_tag": version}
        return self._put(data, mode) or (self.is_file() and self.read_bytes() == data)  # an answer may have been lost

    def _put(self, data: bytes, mode: Any) -> bool:
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with _told(self):
            try:
                obstore.put(_bucket(self.bucket), self.key, data, mode=mode, use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                return False
            return True

    def delete(self) -> None:
        """Remove it, and all that is below it."""
        import obstore

        keys = [f"{self.key}/{name}" for name in self.sizes()]
        with _told(self):
            for key in (*keys, self.key):
                obstore.delete(_bucket(self.bucket), key)


Location = Path | ObjectPath


def located(place: str | Path | ObjectPath) -> Location:
    """The place that a user named: s3:// and a bucket, also as pathlib writes it, or a path.

    Raises:
        DataError: an address without a bucket, or with parts that no key can have.
    """
    if isinstance(place, ObjectPath):
        return place
    text = Path(place).as_posix()
    if not is_remote(place):
        return Path(place)
    bucket, _, key = text.removeprefix(_COLLAPSED).lstrip("/").partition("/")
    if not bucket or ".." in key.split("/"):
        raise DataError(f"{place}: expected s3://BUCKET/PREFIX with plain names")
    return ObjectPath(bucket, key)


def is_remote(place: str | Path | ObjectPath) -> bool:
    """Whether a place lies in a bucket."""
    return isinstance(place, ObjectPath) or Path(place).parts[:1] == (_COLLAPSED,)


def matching(pattern: ObjectPath) -> list[ObjectPath]:
    """The objects that a glob names, as in a shell: `*` stays within a part of the key, `**` is any number of parts."""
    plain = pattern.key[: min(pattern.key.index(sign) for sign in "*?[" if sign in pattern.key)]
    root = ObjectPath(pattern.bucket, plain.rpartition("/")[0])
    return [path for path in root.rglob("*") if _match_parts(path.key.split("/"), pattern.key.split("/"))]


def _match_parts(parts: list[str], wanted: list[str]) -> bool:
    if not wanted or not parts:
        return not parts and all(part == "**" for part in wanted)
    if wanted[0] == "**":
        return _match_parts(parts, wanted[1:]) or _match_parts(parts[1:], wanted)
    return fnmatch.fnmatchcase(parts[0], wanted[0]) and _match_parts(parts[1:], wanted[1:])


@lru_cache(maxsize=16)
def _bucket(name: str) -> Any:
    from obstore.store import S3Store

    return S3Store(name, client_options={"allow_http": True}, retry_config={"max_retries": 8})


@contextmanager
def _told(path: ObjectPath) -> Iterator[None]:
    """Turn what the client says into one line."""
    try:
        from obstore.exceptions import BaseError
    except ImportError:
        raise DataError(f"{path}: s3:// needs obstore; install it: pip install 'stockbot-hp[s3]'") from None
    try:
        yield
    except BaseError as error:
        line = " ".join(str(error).partition("Debug source")[0].split())[:300]
        raise DataError(
            f"{path}: the object store refused or did not answer: {line}; check AWS_ENDPOINT_URL, AWS_REGION and the "
            "credentials in AWS_*"
        ) from error
