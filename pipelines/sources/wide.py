"""Wide tables, one group of columns a symbol (`BTC:open`, `EURUSD.bid`), to one row a symbol."""

import re
from collections import defaultdict
from dataclasses import replace

import polars as pl

from pipelines.schema import normalise
from pipelines.sources.columns import is_known_name
from pipelines.sources.table import RawTable

_PREFIXED = re.compile(r"^(?P<symbol>.+)[:.](?P<field>[^:.]+)$")


def unpivot(table: RawTable) -> RawTable:
    """Return one row for each symbol of a row; any other table comes back as it is.

    A symbol whose cells are all empty in a row was not listed then: that is no row, neither counted nor
    rejected. Every other (row, symbol) is a row, with the line and the raw text of the whole row.
    """
    groups = _groups(table)
    if not groups:
        return table
    shared = [i for i in range(len(table.columns)) if not any(i in fields.values() for fields in groups.values())]
    fields = list(dict.fromkeys(name for group in groups.values() for name in group))
    parts = [_part(table, symbol, group, shared, fields) for symbol, group in groups.items()]
    long = pl.concat(parts).sort("_line", maintain_order=True)
    absent = len(groups) * table.frame.height - long.height
    columns = (*(table.columns[i] for i in shared), "symbol", *fields)
    return replace(
        table,
        columns=columns,
        frame=long.drop("_line"),
        lines=long["_line"],
        layout=f"{table.layout}, wide ({', '.join(groups)}; {absent} absent symbol rows)",
    )


def _groups(table: RawTable) -> dict[str, dict[str, int]]:
    groups: dict[str, dict[str, int]] = defaultdict(dict)
    for i, name in enumerate(table.columns):
        match = _PREFIXED.match(name) if table.header else None
        if match and is_known_name(match["field"]):
            groups[match["symbol"]][normalise(match["field"])] = i
    return dict(groups)


def _part(table: RawTable, symbol: str, group: dict[str, int], shared: list[int], fields: list[str]) -> pl.DataFrame:
    frame = table.frame
    own = [pl.col(str(group[name])) if name in group else pl.lit(None) for name in fields]
    part = frame.select(
        *(pl.col(str(i)).alias(str(at)) for at, i in enumerate(shared)),
        pl.lit(symbol).alias(str(len(shared))),
        *(cell.alias(str(len(shared) + 1 + at)) for at, cell in enumerate(own)),
        table.lines.alias("_line"),
    )
    cells = [pl.col(str(i)) for i in group.values()]
    filled = frame.select(pl.any_horizontal(_is_filled(frame, cell) for cell in cells)).to_series()
    return part.filter(filled)


def _is_filled(frame: pl.DataFrame, cell: pl.Expr) -> pl.Expr:
    text = frame.select(cell).dtypes[0] == pl.String
    return cell.is_not_null() & (cell.str.strip_chars() != "") if text else cell.is_not_null()
