"""Market data files of any common form to canonical ticks or candles; no row is lost in silence."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import polars as pl

from pipelines.errors import DataError
from pipelines.files import sha256_file
from pipelines.quality import parted, refuse, repeated_identity
from pipelines.reasons import KEPT, UNPARSABLE_NUMBER, Quality
from pipelines.schema import SourceHints, empty_rejected
from pipelines.sessions import check_calendar
from pipelines.sources.cadence import check_one_length
from pipelines.sources.paths import expand_sources, passed_over
from pipelines.sources.payloads import detect_format
from pipelines.sources.reading import Part, check_same_flavour, open_tables, read_file, rejected_rows
from pipelines.sources.zones import check_zone

__all__ = ["Ingested", "SourceHints", "SourceReport", "expand_sources", "read_archive", "read_source"]

Progress = Callable[[int, int], None]

_EXPECTED = {UNPARSABLE_NUMBER: "numbers such as 1234.5 (no decimal comma, no currency, nothing between thousands)"}


@dataclass(frozen=True)
class SourceReport:
    """What one file gave; `description` is one printable line of what was detected in it."""

    path: Path
    rows_in: int
    rows_out: int
    sha256: str
    description: str


@dataclass(frozen=True)
class Ingested:
    """Canonical rows in time order, file order among equal stamps, and every row that was rejected.

    rows_in : rows of the sources; equals the rows of `frame` plus the rows of `rejected`
    origins : `_file` and `_line` of each row, and `_kept`, what was found in rows that are kept
    quality : what was held against the rows
    passed_over : documents and feature stores in the folders that were read, which are no data by their names
    """

    kind: Literal["ticks", "candles"]
    frame: pl.DataFrame
    rejected: pl.DataFrame
    rows_in: int
    sources: list[SourceReport]
    passed_over: Sequence[Path] = ()
    origins: pl.DataFrame = field(default_factory=pl.DataFrame)
    quality: Quality = field(default_factory=Quality)

    def with_origins(self) -> pl.DataFrame:
        """Return the rows with their origins beside them, where they are known."""
        return self.frame.hstack(self.origins) if self.origins.width else self.frame


def read_source(path: str | Path, hints: SourceHints | None = None) -> Ingested:
    """Read one file.

    Raises
    ------
    DataError : the file as a whole cannot be read, understood, or is ambiguous; one line that says the mend.
    """
    return read_archive([path], hints)


def read_archive(
    sources: Sequence[str | Path],
    hints: SourceHints | None = None,
    *,
    needs: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Ingested:
    """Read files, folders and globs as one archive, in stable time order.

    needs : columns that each file must have, with what asks for it; checked after the first file already
    progress : called with (files done, files in all) after each file

    Raises
    ------
    DataError : as `read_source`; sources that mix trades, quotes, candles or their lengths; no usable row.
    RuntimeError : rows in differ from rows out plus rows rejected, which is a fault of this program.
    """
    hints = hints or SourceHints()
    if hints.timezone is not None:
        check_zone(hints.timezone)
    paths = expand_sources(sources)
    check_table(paths, hints)
    if hints.quality.calendar is not None:
        check_calendar(hints.quality.calendar)
    digests: dict[Path, str] = {}
    parts: list[Part] = []
    for done, path in enumerate(paths, 1):
        digests[path] = sha256_file(path)  # before: rows written while it is read are for the next time
        parts.append(read_file(path, hints))
        check_same_flavour(parts[0], parts[-1])
        check_needs(path, parts[-1].frame.columns, needs or {})
        if progress is not None:
            progress(done, len(paths))
    _refuse_copies(parts)
    candles = "candles" in parts[0].flavour
    if candles:
        check_one_length(pl.concat([part.steps for part in parts]))
    frame, repeated = _merged(parts, hints)
    rejected = pl.concat([*(part.rejected for part in parts), repeated])
    refuse(rejected, hints.quality.policy)
    origins = [name for name in ("_file", "_line", KEPT) if name in frame.columns]
    ingested = Ingested(
        kind="candles" if candles else "ticks",
        frame=frame.drop(origins),
        rejected=rejected,
        rows_in=sum(part.rows_in for part in parts),
        sources=[_report(part, repeated, digests[part.path]) for part in parts],
        passed_over=passed_over(sources),
        origins=frame.select(origins),
        quality=hints.quality,
    )
    _check(ingested, paths)
    return ingested


def check_needs(path: Path, columns: Collection[str], needs: Mapping[str, str]) -> None:
    """Raise DataError when a source lacks columns that features need."""
    missing = [column for column in needs if column not in columns]
    if missing:
        raise DataError(
            f"{path}: feature {needs[missing[0]]} needs {', '.join(missing)}, which this source does not have; "
            f"name the column with --column {missing[0]}=NAME if it is there, or take the feature out of `features`"
        )


def check_table(paths: Sequence[Path], hints: SourceHints) -> None:
    """Raise DataError when a table is named and no source has tables."""
    if hints.table is not None and not any(detect_format(path) == "sqlite" for path in paths):
        raise DataError(
            f"{paths[0]}: --table {hints.table} names a table of a SQLite file, but no source is one; leave it out"
        )


def _refuse_copies(parts: list[Part]) -> None:
    """Refuse a file whose rows were read from another one, as from `a.csv` beside `a.csv.gz`: they would count twice.

    The names of files and symbols do not count, times do: files that count from midnight are told apart by their days.
    """
    seen: dict[tuple[int, int], Path] = {}
    for part in parts:
        if not part.frame.height:
            continue
        rows = part.frame.drop("_line", "_file", "symbol", KEPT, strict=False).hash_rows().to_numpy()
        other = seen.setdefault((len(rows), int(rows.sum())), part.path)
        if other != part.path:
            raise DataError(copies(part.path, other))


def copies(one: Path, other: Path) -> str:
    """What is said of two files with the same rows."""
    return (
        f"{one}: holds the same rows as {other}, which would count twice; expected each file once: remove one of them"
    )


def _merged(parts: list[Part], hints: SourceHints) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return all rows in time order and those that repeat the identity of a row of another member or file."""
    frame = pl.concat([part.frame for part in parts], how="diagonal") if len(parts) > 1 else parts[0].frame
    if not frame["timestamp"].is_sorted():
        frame = frame.sort("timestamp", maintain_order=True)
    if frame["_file"].n_unique() < 2:
        return frame, empty_rejected()
    mask, reason = repeated_identity(frame, parts[0].flavour)
    frame, repeated = parted(frame, mask, reason, hints.quality.policy)
    if repeated.is_empty():
        return frame, empty_rejected()
    again = repeated.select(pl.col("_file").cast(pl.String), "_line")
    found = []
    for part in parts:
        for table in open_tables(part.path, hints) if again["_file"].is_in(_origins(part)).any() else ():
            lines = again.filter(pl.col("_file") == table.origin)["_line"].sort()
            found.append(rejected_rows(table, lines, pl.repeat(reason, len(lines), eager=True)))
    return frame, pl.concat(found)


def _origins(part: Part) -> list[str]:
    return part.frame["_file"].unique().cast(pl.String).to_list()


def _report(part: Part, repeated: pl.DataFrame, digest: str) -> SourceReport:
    again = int(repeated["file"].is_in(_origins(part)).sum())
    return SourceReport(part.path, part.rows_in, part.frame.height - again, digest, part.description)


def _check(ingested: Ingested, paths: list[Path]) -> None:
    out, rejected = ingested.frame.height, ingested.rejected.height
    if ingested.rows_in != out + rejected:
        raise RuntimeError(f"{ingested.rows_in} rows in, but {out} out and {rejected} rejected: rows were lost")
    if not out:
        raise DataError(no_usable_row(paths[0], ingested.rejected))


def no_usable_row(path: Path, rejected: pl.DataFrame) -> str:
    """What is said of an archive, its first file at `path`, of which every row was rejected, if there was any."""
    if rejected.is_empty():
        return f"{path}: no rows below its header, or in any other file; expected at least one row of data"
    reason, count = Counter(rejected["reason"].to_list()).most_common(1)[0]
    row = rejected.row(0, named=True)
    return (
        f"{path}: no usable row: all {len(rejected)} were rejected, {count} as {reason}; expected "
        f"{_EXPECTED.get(reason.partition(':')[0], 'market data')}, received at line {row['line']}: "
        f"{row['raw'][:80]!r}; correct the file, or choose another column with --column"
    )
