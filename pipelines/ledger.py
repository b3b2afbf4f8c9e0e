"""The quality ledger: what came in, what went out, what was found in it, and where it has gaps.

Each partition's record keeps its findings and its steps; the ledger is a table made of them, so that a store has the
same one however it was built: at once, in pieces, or day by day.
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pipelines.making import Named, Record
from pipelines.parts import Entry
from pipelines.reasons import KEPT, KEPT_BITS
from pipelines.schema import TIMESTAMP

# rows out: action `out`, no reason, with the gaps. Rows in = sum of `out` and `quarantine`; rows kept are among `out`.
SCHEMA: dict[str, pl.DataType] = {
    "symbol": pl.String(),
    "date": pl.String(),  # first day of the period; null, as the symbol, for rows of files without one good row
    "reason": pl.String(),
    "action": pl.String(),  # out | keep | quarantine
    "rows": pl.Int64(),
    "first": TIMESTAMP,
    "last": TIMESTAMP,
    "file": pl.String(),  # of the first of these rows
    "line": pl.Int64(),
    "gaps": pl.Int64(),  # steps to a row that are longer than the limit
    "longest_gap_ns": pl.Int64(),
    "longest_gap_end": TIMESTAMP,
}
OUT = "out"
FOLDER = "quality"

Finding = dict[str, Any]


def of_rejected(rejected: pl.DataFrame) -> list[Finding]:
    """What was found in rejected rows, a reason each; `first` and `last` are null where rows do not say their times."""
    stamp = pl.col("_stamp") if "_stamp" in rejected.columns else pl.lit(None, pl.Int64).alias("_stamp")
    found = rejected.select("reason", stamp, "file", "line").with_columns(action=pl.lit("quarantine"))
    return _grouped(found)


def of_kept(rows: pl.DataFrame, names: Mapping[int, Named]) -> list[Finding]:
    """What was found in rows that are kept."""
    if KEPT not in rows.columns:
        return []
    odd = rows.filter(pl.col(KEPT).fill_null(0) > 0)
    if odd.is_empty():
        return []
    line = pl.col("_line") if "_line" in rows.columns else pl.lit(None, pl.Int64)
    found = odd.select(KEPT, _file_of(odd, names), _stamp=pl.col("timestamp").to_physical(), line=line)
    return [
        finding
        for reason, bit in KEPT_BITS.items()
        for finding in _grouped(
            found.filter(pl.col(KEPT) & bit > 0).with_columns(reason=pl.lit(reason), action=pl.lit("keep"))
        )
    ]


def _file_of(rows: pl.DataFrame, names: Mapping[int, Named]) -> pl.Expr:
    if "_source" in rows.columns:
        named = {number: name for number, (name, _) in names.items()}
        return pl.col("_source").cast(pl.Int64).replace_strict(named, return_dtype=pl.String).alias("file")
    return (
        pl.col("_file").cast(pl.String).alias("file")
        if "_file" in rows.columns
        else pl.lit(None, pl.String).alias("file")
    )


def _grouped(found: pl.DataFrame) -> list[Finding]:
    """One finding for each reason, with the first row of it, whatever order the rows came in."""
    named = found.with_columns(pl.col("file").str.extract(r"([^/\\]*)$")).sort("_stamp", "file", "line")
    groups = named.group_by("reason", "action", maintain_order=True).agg(
        rows=pl.len(),
        first=pl.col("_stamp").first(),
        last=pl.col("_stamp").last(),
        file=pl.col("file").first(),
        line=pl.col("line").first(),
    )
    return groups.sort("reason", "action").to_dicts()


def joined(known: Iterable[Finding], more: Iterable[Finding]) -> list[Finding]:
    """The findings of rows and of more rows."""
    found = {(one["reason"], one["action"]): one for one in known}
    for one in more:
        key = (one["reason"], one["action"])
        found[key] = _sum(found[key], one) if key in found else one
    return [found[key] for key in sorted(found)]


def _sum(one: Finding, other: Finding) -> Finding:
    first = min(one, other, key=_place)
    last = max((each["last"] for each in (one, other) if each["last"] is not None), default=None)
    return {**first, "rows": one["rows"] + other["rows"], "last": last}


def _place(finding: Finding) -> tuple[int, str, int]:
    return finding["first"] or 0, finding["file"] or "", finding["line"] or 0


def no_steps() -> dict[str, Any]:
    """The steps of no rows."""
    return {"first": None, "gaps": 0, "longest": None, "longest_end": None}


def with_steps(known: Mapping[str, Any], stamps: pl.Series, before: int | None, max_gap_ns: int) -> dict[str, Any]:
    """The steps of a partition's rows with those of more rows.

    Args:
        stamps: of the further rows, in time order, ns. before: of the row before them, where there is one.
    """
    if stamps.is_empty():
        return dict(known)
    times = stamps.to_numpy()
    steps = times[1:] - times[:-1]
    into = 0 if before is None else int(times[0]) - before
    longest = max(into, int(steps.max(initial=0)))
    found = {**known, "first": int(times[0]) if known["first"] is None else known["first"]}
    if longest > max_gap_ns:
        found["gaps"] += int(np.count_nonzero(steps > max_gap_ns)) + (into > max_gap_ns)
    if longest > (known["longest"] or 0):
        found |= {"longest": longest, "longest_end": int(times[0 if into == longest else steps.argmax() + 1])}
    return found


def of_records(records: Mapping[str, Sequence[Record]], unplaced: Iterable[Finding]) -> pl.DataFrame:
    """The ledger of a store.

    Args:
        unplaced: what was found in rows that belong to no partition.
    """
    rows = [row for symbol in sorted(records) for record in records[symbol] for row in _rows(record)]
    rows += [{"symbol": None, "date": None, **finding} for finding in unplaced]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row", infer_schema_length=None)


def _rows(record: Record) -> list[dict[str, Any]]:
    place = {"symbol": record["symbol"], "date": record["date"]}
    steps = record["steps"]
    out = {
        **place,
        "action": OUT,
        "rows": record["rows_out"],
        "first": steps["first"],
        "last": record["last_input"] if record["rows_out"] else None,
        "gaps": steps["gaps"],
        "longest_gap_ns": steps["longest"],
        "longest_gap_end": steps["longest_end"],
    }
    return [out, *({**place, **finding} for finding in record["findings"])]


def unplaced_in(ledger: pl.DataFrame) -> list[Finding]:
    """The findings of a ledger that belong to no partition, as `of_records` takes them."""
    own = ledger.filter(pl.col("symbol").is_null()).with_columns(pl.col("first", "last").to_physical())
    return own.select("reason", "action", "rows", "first", "last", "file", "line").to_dicts()


def write(root: Path, ledger: pl.DataFrame) -> dict[str, Any]:
    """Write a ledger below the folder of a store; returns the manifest entry."""
    buffer = io.BytesIO()
    ledger.write_parquet(buffer)
    return vars(Entry.write(root, f"{FOLDER}/quality-{{hash}}.parquet", buffer.getvalue()))


def summary(ledger: pl.DataFrame) -> pl.DataFrame:
    """Each reason of a ledger with its action, rows, symbols, first and last time, and a sample; most rows first."""
    found = ledger.filter(pl.col("reason").is_not_null()).with_columns(reason=pl.col("reason").str.extract("^([^:]*)"))
    groups = found.group_by("reason", "action").agg(
        rows=pl.col("rows").sum(),
        symbols=pl.col("symbol").n_unique(),
        first=pl.col("first").min(),
        last=pl.col("last").max(),
        file=pl.col("file").sort_by("first").first(),
        line=pl.col("line").sort_by("first").first(),
    )
    return groups.sort("rows", "reason", descending=[True, False])
