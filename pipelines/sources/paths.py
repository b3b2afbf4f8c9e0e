"""What the place of a file says: which files a source names, the symbol, the day."""

import glob
import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from pipelines.errors import DataError

SUFFIXES = (
    ".csv", ".tsv", ".txt", ".gz", ".zip", ".parquet", ".pq", ".feather", ".arrow", ".ipc",
    ".sqlite", ".sqlite3", ".db",
)  # fmt: skip
_RESOLUTIONS = ("tick", "second", "minute", "hour", "daily")
_DAY = re.compile(r"(?<!\d)((?:19|20)\d{2})([-_]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])(?!\d)")
_DATED = re.compile(r"(?<![A-Za-z0-9])(?:19|20)\d{2}(?:[-_.]?\d{2}){0,2}(?![A-Za-z0-9])")


def expand_sources(sources: Sequence[str | Path]) -> list[Path]:
    """Return the files that files, folders (searched to the bottom) and globs name, sorted, each once.

    Raises
    ------
    DataError : a source does not exist, a glob matches nothing, or a folder holds no readable kind of file.
    """
    found = {path for source in sources for path in _expand(source)}
    if not found:
        raise DataError("no sources given; expected files, folders or globs of market data")
    return sorted(found)


def _expand(source: str | Path) -> list[Path]:
    path = Path(source).expanduser()
    if path.is_file():
        return [path]
    if path.is_dir():
        files = [file for file in path.rglob("*") if _is_readable(file, path)]
        if not files:
            raise DataError(f"{path}: the folder holds no market data; expected files named {' '.join(SUFFIXES)}")
        return files
    if glob.has_magic(str(path)):
        # Path.glob takes no absolute pattern.
        names = glob.glob(str(path), recursive=True)  # noqa: PTH207
        files = [Path(name) for name in names if Path(name).is_file()]
        if not files:
            raise DataError(f"{source}: the glob matches no file; expected at least one")
        return files
    raise DataError(f"{source}: no such file or folder")


def _is_readable(file: Path, root: Path) -> bool:
    hidden = any(part.startswith((".", "_")) for part in file.relative_to(root).parts)
    return file.suffix.lower() in SUFFIXES and file.is_file() and not hidden


def plain_stem(path: Path) -> str:
    """Return the file name without the endings that say its format."""
    name = path.name
    while Path(name).suffix.lower() in SUFFIXES:
        name = Path(name).stem
    return name


def symbol_of(path: Path) -> str:
    """Return the symbol that a path names: LEAN's folder, or the file name without its date."""
    absolute = path.absolute()
    stem = plain_stem(path)
    bare = re.sub(r"_(quote|trade|openinterest)$", "", _DATED.sub("", stem), flags=re.IGNORECASE).strip("-_. ")
    if bare.lower() in ("", "quote", "trade"):
        bare = absolute.parent.name
    lean = any(part in _RESOLUTIONS for part in absolute.parts[-3:-1])
    return (bare.upper() if lean else bare) or "UNKNOWN"


def day_of(*names: str) -> date | None:
    """Return the first calendar day that one of the names states as YYYYMMDD or YYYY-MM-DD."""
    for name in names:
        match = _DAY.search(name)
        if match:
            try:
                return date(int(match[1]), int(match[3]), int(match[4]))
            except ValueError:
                continue
    return None
