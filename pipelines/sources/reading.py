"""One file to canonical rows and rejected rows: the steps between the raw tables and the archive."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from pipelines.errors import DataError
from pipelines.quality import FileOrder, parted, repeated_identity, row_findings
from pipelines.reasons import NON_MONOTONIC, Action
from pipelines.schema import CANDLE_SCHEMA, REJECTED_SCHEMA, TICK_SCHEMA, SourceHints, empty_rejected
from pipelines.sources.cadence import measure_steps
from pipelines.sources.columnar import read_columnar
from pipelines.sources.columns import ColumnMap, map_columns
from pipelines.sources.databases import read_sqlite
from pipelines.sources.paths import day_of, plain_stem, symbol_of
from pipelines.sources.payloads import detect_format, documents_in, text_members
from pipelines.sources.selection import select_rows
from pipelines.sources.table import RawTable
from pipelines.sources.text import read_text
from pipelines.sources.timestamps import TimeContext, Times, join_date_and_time, parse_times
from pipelines.sources.values import read_values, to_canonical
from pipelines.sources.wide import unpivot
from pipelines.sources.zones import states_utc


@dataclass(frozen=True)
class Part:
    """Rows of one file; `frame` has, beside the canonical columns, `_file` and `_line` of each row.

    steps : of candles, what `measure_steps` found in the tables of the file
    """

    path: Path
    flavour: str
    frame: pl.DataFrame
    rejected: pl.DataFrame
    rows_in: int
    description: str
    steps: pl.DataFrame


def open_tables(path: Path, hints: SourceHints) -> Iterator[RawTable]:
    """Yield the raw tables of a file: one, or one for each member of a zip."""
    kind = detect_format(path)
    if kind == "sqlite":
        yield read_sqlite(path, hints)
    elif kind in ("parquet", "arrow"):
        yield read_columnar(path, kind)
    else:
        for origin, data in text_members(path, kind):
            yield read_text(origin, data, hints)


def read_file(path: Path, hints: SourceHints) -> Part:
    """Read one file into canonical rows in time order.

    Raises
    ------
    DataError : the file as a whole cannot be read or understood.
    """
    parts = [_read_table(path, table, hints) for table in open_tables(path, hints)]
    part = parts[0] if len(parts) == 1 else _joined(path, parts, hints)
    documents = documents_in(path)
    if documents:
        part = replace(part, description=f"{part.description}; passed over: {', '.join(map(printable, documents))}")
    return part


def _joined(path: Path, parts: list[Part], hints: SourceHints) -> Part:
    for part in parts[1:]:
        check_same_flavour(parts[0], part)
    if hints.symbol is None:
        _refuse_mixed_members(path, parts)
    return Part(
        path,
        parts[0].flavour,
        pl.concat([part.frame for part in parts], how="diagonal"),
        pl.concat([part.rejected for part in parts]),
        sum(part.rows_in for part in parts),
        f"{len(parts)} members, the first: {parts[0].description}",
        pl.concat([part.steps for part in parts]),
    )


def check_same_flavour(one: Part, other: Part) -> None:
    """Refuse to put trades, quotes and candles into one archive.

    Raises
    ------
    DataError : the flavours differ.
    """
    if one.flavour != other.flavour:
        raise DataError(
            f"{other.path}: holds {other.flavour}, but {one.path} holds {one.flavour}; expected one kind of row in an "
            "archive: name the files of one kind only (a glob helps)"
        )


def _refuse_mixed_members(path: Path, parts: list[Part]) -> None:
    """Members without a symbol column take the archive's name: refused when their own names tell them apart."""
    origins = {origin for part in parts for origin in part.frame["_file"].unique().cast(pl.String)}
    named = sorted({symbol_of(path.parent / origin.rpartition("!")[2]) for origin in origins})
    symbols = {symbol for part in parts for symbol in part.frame["symbol"].unique()}
    if symbols == {symbol_of(path)} and len(named) > 1:
        raise DataError(
            f"{path}: its members name several symbols ({', '.join(named)}), and rows of several are never mixed; "
            "unpack them, or give --symbol if they are one"
        )


def _read_table(path: Path, table: RawTable, hints: SourceHints) -> Part:
    table = unpivot(table)
    mapping = map_columns(table, hints, file_name=plain_stem(path))
    if table.frame.is_empty():
        return _without_rows(path, table, mapping)
    table = select_rows(table, mapping, hints)
    times = read_times(path, table, mapping, hints)
    rows = read_values(table, mapping, symbol=symbol_in(path, table, hints), rename=hints.symbol)
    canonical, reasons = checked_rows(table, rows, times, mapping, hints)
    steps = measure_steps(canonical, table.origin) if "candles" in mapping.flavour else pl.DataFrame()
    good, back, order = _in_time_order(canonical, hints.quality.policy)
    repeated, reason = repeated_identity(good, mapping.flavour)
    good, again = parted(good, repeated, reason, hints.quality.policy)
    rejected = [table.rejected, rejected_rows(table, table.lines, reasons)]
    for rows, why in filter(lambda found: len(found[0]), ((back, NON_MONOTONIC), (again, reason))):
        rejected.append(rejected_rows(table, rows["_line"], pl.repeat(why, len(rows), eager=True, dtype=pl.String)))
    return Part(
        path,
        mapping.flavour,
        good.with_columns(pl.lit(table.origin).cast(pl.Categorical).alias("_file")),
        pl.concat(rejected).sort("line", maintain_order=True),
        table.frame.height + table.rejected.height,
        describe(table, mapping, times, good, order),
        steps,
    )


def _without_rows(path: Path, table: RawTable, mapping: ColumnMap) -> Part:
    """Return what a header with nothing below it is: a day without trades, not damage."""
    is_candles = "candles" in mapping.flavour
    schema = CANDLE_SCHEMA if is_candles else TICK_SCHEMA
    rows = pl.DataFrame(schema={**schema, "_line": pl.Int64, "_file": pl.Categorical})
    steps = measure_steps(rows, table.origin) if is_candles else pl.DataFrame()
    described = printable(f"{mapping.flavour}; {table.layout}; {mapping.describe(table.columns)}; no rows")
    return Part(path, mapping.flavour, rows, empty_rejected(), 0, described, steps)


def symbol_in(path: Path, table: RawTable, hints: SourceHints) -> str:
    """Return the symbol of a table that has no column of symbols."""
    return hints.symbol or table.symbol or symbol_of(path)


def checked_rows(
    table: RawTable, rows: pl.DataFrame, times: Times, mapping: ColumnMap, hints: SourceHints
) -> tuple[pl.DataFrame, pl.Series]:
    """Return the canonical good rows in the order of the table, and the reason of each row of it that is none."""
    rows = rows.with_columns(times.stamps.alias("timestamp"), times.reasons.alias("reason"), table.lines.alias("_line"))
    reasons, kept = row_findings(rows, mapping.flavour, hints.quality.policy)
    rows = rows if kept is None else rows.with_columns(kept)
    good = rows if reasons.null_count() == len(rows) else rows.filter(reasons.is_null())
    return to_canonical(good, mapping.flavour), reasons


def read_times(
    path: Path, table: RawTable, mapping: ColumnMap, hints: SourceHints, settled: str | None = None
) -> Times:
    names = [name for name in ("timestamp", "date", "time") if name in mapping.positions]
    columns = [table.column(mapping.positions[name]) for name in names]
    titles = [table.columns[mapping.positions[name]] for name in names]
    shown = " + ".join(repr(title) if table.header else title for title in titles)
    context = TimeContext(
        where=f"{table.origin}: column {shown}",
        hints=hints,
        file_date=day_of(table.origin.rpartition("!")[2] if "!" in table.origin else path.name, path.name),
        states_utc=any(states_utc(text) for text in (*table.notes, *(titles if table.header else ()))),
        settled=settled,
    )
    column = columns[0] if len(columns) == 1 else join_date_and_time(columns[0], columns[1])
    return parse_times(column, context)


def rejected_rows(table: RawTable, lines: pl.Series, reasons: pl.Series) -> pl.DataFrame:
    """Return the rejected rows of a table: those of `lines` whose reason is not null."""
    if reasons.null_count() == len(reasons):
        return empty_rejected()
    bad = reasons.is_not_null()
    at = lines.filter(bad)
    columns = {
        "file": pl.repeat(table.origin, len(at), eager=True, dtype=pl.String),
        "line": at,
        "reason": reasons.filter(bad),
        "raw": table.raw_rows(at),
    }
    return pl.DataFrame(columns, schema=REJECTED_SCHEMA)


def _in_time_order(rows: pl.DataFrame, policy: Mapping[str, Action]) -> tuple[pl.DataFrame, pl.DataFrame, str]:
    """Return the rows in time order, those rejected since their time steps back, and what the order was.

    A newest-first file is turned round, so that ties turn round too.
    """
    if rows["timestamp"].is_sorted():
        return rows, rows.clear(), "in time order"
    steps = rows.select(pl.col("timestamp").diff().over("symbol").cast(pl.Int64)).to_series()
    back, forth = int((steps < 0).sum()), int((steps > 0).sum())
    done = "sorted" if policy[NON_MONOTONIC] == "keep" else "rejected"
    rows, rejected = parted(rows, FileOrder(newest_first=back > forth).steps_back(rows), NON_MONOTONIC, policy)
    if back > forth:
        left = f", {forth} forward steps {done}" if forth else ""
        return rows.reverse().sort("timestamp", maintain_order=True), rejected, f"newest first -> reversed{left}"
    told = f"{back} backward steps {done}" if back else "grouped by symbol -> sorted"
    return rows.sort("timestamp", maintain_order=True), rejected, told


def describe(table: RawTable, mapping: ColumnMap, times: Times, rows: pl.DataFrame, order: str) -> str:
    symbols = rows["symbol"].unique(maintain_order=True).to_list()
    shown = ", ".join(symbols[:4]) + (f" and {len(symbols) - 4} more" if len(symbols) > 4 else "")
    header = "" if table.header else ", no header"
    line = (
        f"{mapping.flavour}; {table.layout}{header}; {mapping.describe(table.columns)}; {times.form}; "
        f"symbol {shown or 'none'}; {order}"
    )
    return printable(line)


def printable(text: str) -> str:
    """Return a text from a file or a name with a question mark for each character that no terminal should see."""
    return "".join(char if char.isprintable() else "?" for char in text)
