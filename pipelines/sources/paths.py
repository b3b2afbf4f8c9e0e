"""What the place of a file says: which files a source names, the symbol, the day."""

import glob
import os
import re
from collections.abc import Collection, Iterator, Sequence
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
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")  # the last: bytes that are not UTF-8
_RESOLUTIONS = ("tick", "second", "minute", "hour", "daily")
_DAY = re.compile(r"(?<!\d)((?:19|20)\d{2})([-_]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])(?!\d)")
_DATED = re.compile(r"(?<![A-Za-z0-9])(?:19|20)\d{2}(?:[-_.]?\d{2}){0,2}(?![A-Za-z0-9])")


def expand_sources(sources: Sequence[str | Path]) -> list[Path]:
    """Return the files that files, folders (searched to the bottom) and globs name, sorted, each once.

    What a folder or a glob holds beside data is passed over: see `passed_over`. Of several paths of one file (links,
    spellings) one is returned.

    Raises
    ------
    DataError : a source does not exist, a glob matches nothing, or a folder holds no readable kind of file; a folder
        cannot be read, a link leads nowhere, or a name cannot be printed.
    """
    found = [path for source in sources for path in _expand(source)]
    if not found:
        raise DataError("no sources given; expected files, folders or globs of market data")
    for path in found:
        _check_name(path)
    once: dict[Path, Path] = {}
    for path in sorted(found, key=lambda path: (path.is_symlink(), path)):
        once.setdefault(path.resolve(), path)
    return sorted(once.values())


def passed_over(sources: Sequence[str | Path]) -> list[Path]:
    """Return what folders and globs hold that is no data by its name: documents, feature stores, unknown endings."""
    places = [source for source in sources if not Path(source).expanduser().is_file()]
    return sorted({other for source in places for other in _sorted_out(source)[1]})


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
    files, others = _sorted_out(source)
    if files:
        return files
    if others:
        raise DataError(
            f"{source}: holds no market data, only documents or a feature store or other files ({others[0].name}, "
            f"...); expected files of ticks or candles named {' '.join(SUFFIXES)}"
        )
    if path.is_dir():
        raise DataError(f"{path}: the folder holds no market data; expected files named {' '.join(SUFFIXES)}")
    raise DataError(f"{source}: the glob matches no file; expected at least one")


def _sorted_out(source: str | Path) -> tuple[list[Path], list[Path]]:
    """Return the files of data, and what else there is: stores as one."""
    matched = _matches(source)
    stores = _stores_of(matched)
    files = [file for file in matched if stores[file.parent] is None and _is_data(file, source)]
    return files, sorted({stores[file.parent] or file for file in set(matched).difference(files)})


def _matches(source: str | Path) -> list[Path]:
    path = Path(source).expanduser()
    if path.is_dir():
        return sorted(_files_below(path))
    # Path.glob takes no absolute pattern.
    names = glob.glob(str(path), recursive=True)  # noqa: PTH207
    return sorted(Path(name) for name in names if Path(name).is_file())


def _files_below(root: Path) -> Iterator[Path]:
    """All files but the hidden ones; a linked folder is entered, and none a second time.

    Raises
    ------
    DataError : a folder cannot be read, or a file of data is a link to nothing.
    """
    entered: set[str] = set()
    for folder, below, names in os.walk(root, onerror=_refuse_folder, followlinks=True):
        real = os.path.realpath(folder)
        below[:] = [] if real in entered else [name for name in below if not _is_hidden(name)]
        visible = [] if real in entered else [Path(folder, name) for name in names if not _is_hidden(name)]
        entered.add(real)
        for file in visible:
            if file.is_file():
                yield file
            elif file.is_symlink() and _has_known_ending(file):
                raise DataError(f"{file}: a link to no file; expected a file of data: mend the link, or remove it")


def _refuse_folder(error: OSError) -> None:
    raise DataError(f"{error.filename}: cannot be read: {error.strerror}; check the folder and its rights") from error


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "_"))


def _is_data(file: Path, source: str | Path) -> bool:
    """Tell by names: what a glob matches may have any ending."""
    is_known = _has_known_ending(file) or not Path(source).expanduser().is_dir()
    return is_known and not _is_document_path(file)


def _has_known_ending(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES


def _check_name(path: Path) -> None:
    """Messages, manifests and ledgers name files: in a line, as UTF-8."""
    if _UNPRINTABLE.search(str(path)):
        raise DataError(
            f"{_UNPRINTABLE.sub('?', str(path))}: its name has control characters, or bytes that are not UTF-8, where "
            "the question marks are; expected a name in UTF-8: rename it"
        )


def _stores_of(files: Collection[Path]) -> dict[Path, Path | None]:
    """Return the feature store, or the bundle, that holds the folder of each file."""

    def store_of(folder: Path) -> Path | None:
        above = (folder, *folder.parents)
        return next((one for one in above if all((one / name).is_file() for name in _STORE)), None)

    return {folder: store_of(folder) for folder in {file.parent for file in files}}


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
