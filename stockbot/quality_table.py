"""What a store's ledger says, for people: rows in and out, findings by reason, gaps."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import polars as pl
from rich.console import Console, RenderableType
from rich.table import Table

from pipelines import ledger
from pipelines.store import FeatureStore

_WIDTH = 1000  # where output is no terminal: nothing is wrapped, for who looks for a line wants all of it
_DAY = len("2024-03-07")


def print_quality(store: FeatureStore) -> None:
    """Print it to stdout."""
    console = Console()
    console = console if console.is_terminal else Console(width=_WIDTH)
    for part in _said(store):
        console.print(part, highlight=False, soft_wrap=isinstance(part, str))


def _said(store: FeatureStore) -> Iterator[RenderableType]:
    found, manifest = store.quality(), store.manifest
    quarantined = sum(manifest["quarantined"].values())
    yield f"rows in {manifest['rows_in']:,} = rows out {manifest['rows_out']:,} + quarantined {quarantined:,}"
    reasons = ledger.summary(found)
    if len(reasons):
        yield _reasons(reasons)
    gaps = found.filter(pl.col("gaps") > 0).sort("longest_gap_ns", descending=True)
    if len(gaps):
        yield _gaps(gaps, manifest["max_gap_ns"])


def _reasons(reasons: pl.DataFrame) -> Table:
    table = Table(box=None)
    for column in ("reason", "action", "rows", "symbols", "first", "last", "the first of them"):
        table.add_column(
            column,
            justify="right" if column in ("rows", "symbols") else "left",
            no_wrap=column in ("reason", "action", "rows", "symbols"),
            min_width=_DAY if column in ("first", "last") else None,
            overflow="fold",
        )
    for row in reasons.iter_rows(named=True):
        sample = "-" if row["file"] is None else f"{row['file']}: line {row['line']}"
        stamps = (_time(row["first"]), _time(row["last"]))
        table.add_row(row["reason"], row["action"], f"{row['rows']:,}", f"{row['symbols']:,}", *stamps, sample)
    return table


def _gaps(gaps: pl.DataFrame, max_gap_ns: int) -> str:
    longest: dict[str, Any] = gaps.row(0, named=True)
    return (
        f"gaps longer than {_duration(max_gap_ns)}: {gaps['gaps'].sum():,}; the longest, {longest['symbol']} until "
        f"{_time(longest['longest_gap_end'])}: {_duration(longest['longest_gap_ns'])}"
    )


def _time(stamp: datetime | None) -> str:
    return "-" if stamp is None else f"{stamp:%Y-%m-%d %H:%M:%S}"


def _duration(ns: int) -> str:
    return str(timedelta(seconds=ns // 10**9))
