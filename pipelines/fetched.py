"""Sources in a bucket: each is fetched to the build's own folder when its turn comes, and removed when it was read.

The path of the copy says where it came from, so that a worker can fetch it again, and what people read names it.
"""

import glob
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from pipelines.errors import DataError
from pipelines.files import make_folder, staging_file
from pipelines.objects import SCHEME, ObjectPath, Stat, located, matching
from pipelines.sources.paths import SUFFIXES, is_document

FETCHED = "_fetched"
_MANIFEST = "manifest.json"
_MARK = f"/{FETCHED}/s3:/"


def objects_of(source: str | Path) -> list[ObjectPath]:
    """The objects that a source names: one, the data below a prefix, or what a glob matches; as of files, documents
    and feature stores are passed over.

    Raises:
        DataError: it names none.
    """
    place = located(source)
    if not isinstance(place, ObjectPath):
        raise DataError(f"{source}: expected an address such as s3://BUCKET/PREFIX")
    if glob.has_magic(place.key):
        found = [path for path in matching(place) if not is_document(path.name)]
    elif place.key and place.is_file():
        return [place]
    else:
        names = sorted(place.sizes())
        stores = {name.removesuffix(_MANIFEST) for name in names if PurePosixPath(name).name == _MANIFEST}
        kept = [name for name in names if _is_data(name) and not any(name.startswith(store) for store in stores)]
        found = [place / name for name in kept]
    if not found:
        raise DataError(f"{place}: names no object with market data; check the bucket, the prefix or the glob")
    return found


def _is_data(name: str) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith((".", "_")) for part in path.parts)
    return path.suffix.lower() in SUFFIXES and not hidden and not is_document(path.name)


def copy_of(source: ObjectPath, root: Path) -> Path:
    """Where the copy of an object is, while there is one."""
    return root / FETCHED / "s3:" / source.bucket / source.key


def origin_of(path: Path) -> ObjectPath | None:
    """The object that a path is the copy of."""
    _, mark, rest = path.as_posix().partition(_MARK)
    origin = located(f"{SCHEME}{rest}") if mark else None
    return origin if isinstance(origin, ObjectPath) else None


def told(text: str, root: Path) -> str:
    """A text for people, with the address of each object in the place of the path of its copy."""
    return text.replace(*prefix_told(root))


def prefix_told(root: Path) -> tuple[str, str]:
    """With what the path of a copy begins, and what is said in its place."""
    return f"{root / FETCHED / 's3:'}/", SCHEME


@contextmanager
def at_hand(path: Path) -> Iterator[None]:
    """The file is there while the block runs, whether it is a copy or not.

    Raises:
        DataError: the object cannot be fetched.
    """
    origin = origin_of(path)
    found = None if origin is None else origin.stat()
    if origin is None or found is None or (path.exists() and _looks_like(path, found)):
        yield
        return
    make_folder(path.parent)
    with staging_file(path) as file:
        for chunk in origin.chunks():
            file.write(chunk)
    os.utime(path, ns=(found.st_mtime_ns, found.st_mtime_ns))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _looks_like(path: Path, found: Stat) -> bool:
    """Whether a copy is of the object as it is now: one that a killed try left may not be."""
    copy = path.stat()
    return (copy.st_size, copy.st_mtime_ns) == (found.st_size, found.st_mtime_ns)
