"""What the place of a file says: which files a source names, the symbol, the day."""

import glob
import re
from collections.abc import Collection, Sequence
from datetime import date
from pathlib import Path

from pipelines.errors import DataError

SUFFIXES = (
    ".csv", ".tsv", ".txt", ".gz", ".zip", ".parquet", ".pq", ".feather", ".arrow", ".ipc",
    ".sqlite", ".sqlite3", ".db",
)  # fmt: skip
_DOCUMENT = re.compile(
    r"(readme|licen[cs]e|copying|notice|authors|contributing|changelog|manifest|(check|sha\d*|md5)sums?)([-_. ].*)?"
    r"|.*\.(md|rst|pdf|html?|json|xml|ya?ml|md5|sha\d+|checksum)",
    re.IGNORECASE,
)
_STORE = ("manifest.json", "feature_columns.json")
_RESOLUTIONS = ("tick", "second", "minute", "hour", "daily")
_DAY = re.compile(r"(?<!\d)((?:19|20)\d{2})([-_]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])(?!\d)")
_DATED = re.compile(r"(?<![A-Za-z0-9])(?:19|20)\d{2}(?:[-_.]?\d{2}){0,2}(?![A-Za-z0-9])")


def expand_sources(sources: Sequence[str | Path]) -> list[Path]:
    """Return the files that files, folders (searched to the bottom) and globs name, sorted, each once.

    What a folder or a glob holds beside data is passed over: see `passed_over`. Of several paths of one file (links,
    spellings) one is returned.

    Raises
    ------
    DataError : a source does not exist, a glob matches nothing, or a folder holds no readable kind of file.
    """
    found = [path for source in sources for path in _expand(source)]
    if not found:
        raise DataError("no sources given; expected files, folders or globs of market data")
    once: dict[Path, Path] = {}
    for path in sorted(found, key=lambda path: (path.is_symlink(), path)):
        once.setdefault(path.resolve(), path)
    return sorted(once.values())


def passed_over(sources: Sequence[str | Path]) -> list[Path]:
    """Return the documents and the feature stores among the files of folders and globs: no data by their names."""
    matched = {file for source in sources if not Path(source).expanduser().is_file() for file in _matches(source)}
    stores = _stores_of(matched)
    documents = {file for file in matched if _is_document_path(file) and stores[file.parent] is None}
    return sorted({store for store in stores.values() if store is not None} | documents)


def is_document(name: str) -> bool:
    """Tell whether a file name is that of a text about data and not of data: a readme, a licence, a checksum."""
    return _DOCUMENT.fullmatch(name) is not None


def _is_document_path(file: Path) -> bool:
    return is_document(file.name) or is_document(file.parent.name.rstrip("sS"))


def _expand(source: str | Path) -> list[Path]:
    path = Path(source).expanduser()
    if path.is_file():
        return [path]
    if not path.is_dir() and not glob.has_magic(str(path)):
        raise DataError(f"{source}: no such file or folder")
    matched = _matches(source)
    stores = _stores_of(matched)
    files = [file for file in matched if not _is_document_path(file) and stores[file.parent] is None]
    if files:
        return files
    if matched:
        raise DataError(
            f"{source}: holds no market data, only documents or a feature store ({matched[0].name}, ...); expected "
            "files of ticks or candles"
        )
    if path.is_dir():
        raise DataError(f"{path}: the folder holds no market data; expected files named {' '.join(SUFFIXES)}")
    raise DataError(f"{source}: the glob matches no file; expected at least one")


def _matches(source: str | Path) -> list[Path]:
    path = Path(source).expanduser()
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if _is_readable(file, path))
    # Path.glob takes no absolute pattern.
    names = glob.glob(str(path), recursive=True)  # noqa: PTH207
    return sorted(Path(name) for name in names if Path(name).is_file())


def _stores_of(files: Collection[Path]) -> dict[Path, Path | None]:
    """Return the feature store, or the bundle, that holds the folder of each file."""

    def store_of(folder: Path) -> Path | None:
        above = (folder, *folder.parents)
        return next((one for one in above if all((one / name).is_file() for name in _STORE)), None)

    return {folder: store_of(folder) for folder in {file.parent for file in files}}


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
