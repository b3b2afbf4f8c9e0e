"""How a file is read that is taken batch by batch: settled on its first rows, and held against all that follow."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import polars as pl

from pipelines.errors import DataError
from pipelines.schema import SourceHints
from pipelines.sources.columns import ColumnMap, map_columns
from pipelines.sources.paths import plain_stem
from pipelines.sources.reading import checked_rows, describe, read_times, rejected_rows, symbol_in
from pipelines.sources.selection import select_rows
from pipelines.sources.streams import Columns
from pipelines.sources.table import RawTable
from pipelines.sources.text import TextLayout
from pipelines.sources.values import read_values


@dataclass(frozen=True)
class Settled:
    """How the rows of a file are read batch by batch, as its first rows tell.

    numbers : columns of numbers that hold any
    form : of its times
    symbol : of a file without a column of symbols
    chosen : symbol and timeframe of the rows to read, where the column has them
    layout : of a text, where this process has looked into it
    """

    path: Path
    hints: SourceHints
    mapping: ColumnMap
    numbers: tuple[str, ...]
    form: str
    symbol: str
    chosen: Mapping[str, str]
    description: str
    layout: TextLayout | None = None


def settle(path: Path, table: RawTable, hints: SourceHints) -> tuple[Settled, pl.DataFrame]:
    """Return how a file is read, from the table of its first rows, and those that are good, in their order.

    Raises
    ------
    DataError : as `read_file`.
    """
    mapping = map_columns(table, hints, file_name=plain_stem(path))
    chosen = _chosen(table, mapping, hints)
    table = select_rows(table, mapping, hints)
    times = read_times(path, table, mapping, hints)
    symbol = symbol_in(path, table, hints)
    rows = read_values(table, mapping, symbol=symbol, rename=hints.symbol)
    canonical, _ = checked_rows(table, rows, times, mapping, hints)
    settled = Settled(
        path,
        replace(hints, date_order=hints.date_order or _date_order(times.form)),
        mapping,
        tuple(name for name in rows.columns if f"{name}?" in rows.columns),
        times.form,
        symbol,
        chosen,
        describe(table, mapping, times, canonical, "read in batches"),
    )
    return settled, canonical


def columns_of(settled: Settled) -> Columns:
    """The columns that are in use, and what those of a text hold."""
    positions = settled.mapping.positions
    floats = {positions[name] for name in settled.numbers}
    integers = {positions["timestamp"]} if settled.form.startswith("epoch") else set()
    return Columns(sorted(set(positions.values())), floats - integers, integers)


def without_symbols(settled: Settled, constants: Mapping[int, str]) -> Settled:
    """The same without a look at the column of symbols, where the file itself says that it holds but one."""
    position = settled.mapping.positions.get("symbol", -1)
    if position not in constants or "symbol" in settled.chosen:
        return settled
    rest = {name: at for name, at in settled.mapping.positions.items() if name != "symbol"}
    return replace(settled, mapping=replace(settled.mapping, positions=rest), symbol=constants[position].strip())


def _date_order(form: str) -> Literal["ymd", "dmy", "mdy"] | None:
    order = re.match(r"date(?:s|-times) (dmy|mdy)\b", form)
    return None if order is None else "dmy" if order[1] == "dmy" else "mdy"


def _chosen(table: RawTable, mapping: ColumnMap, hints: SourceHints) -> dict[str, str]:
    chosen = {}
    for name in ("timeframe", "symbol"):
        values = table.text(mapping.positions[name], name).drop_nulls() if name in mapping.positions else None
        wanted = getattr(hints, name)
        if values is not None and (wanted is not None or name == "timeframe"):
            chosen[name] = wanted if values.n_unique() > 1 else str(values.first() or "")
    return chosen


def read_batch(settled: Settled, table: RawTable) -> tuple[pl.DataFrame, pl.DataFrame, int]:
    """Return the good rows of a batch in the order of the file, the rejected ones, and how many rows there were.

    Raises
    ------
    DataError : the batch contradicts what the first rows of the file told.
    """
    hints, mapping = settled.hints, settled.mapping
    for name, wanted in settled.chosen.items():
        table = _only(table, mapping.positions[name], name, wanted, selects=getattr(hints, name) == wanted)
    if table.frame.is_empty():
        return pl.DataFrame(), table.rejected, len(table.rejected)
    times = read_times(settled.path, table, mapping, hints, settled=settled.form)
    rows = read_values(table, mapping, symbol=settled.symbol, rename=hints.symbol, filled=settled.numbers)
    canonical, reasons = checked_rows(table, rows, times, mapping, hints)
    rejected = pl.concat([table.rejected, rejected_rows(table, table.lines, reasons)])
    return canonical, rejected.sort("line", maintain_order=True), len(reasons) + len(table.rejected)


def _only(table: RawTable, position: int, name: str, wanted: str, *, selects: bool) -> RawTable:
    values = table.text(position, name)
    other = (values != wanted).fill_null(False)
    if selects:
        return table.rows_where((values == wanted).fill_null(False))
    if other.any():
        raise DataError(
            f"{table.origin}: line {table.lines.filter(other)[0]}: {name} {values.filter(other).to_list()[0]}, where "
            f"rows before have {wanted}; they are never mixed: choose one with --{name}"
        )
    return table
