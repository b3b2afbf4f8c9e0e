"""What of which source came into a partition: rows, first and last line."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from pipelines.making import Named

Input = dict[str, Any]


def inputs_of(rows: pl.DataFrame, sources: Mapping[int, Named]) -> list[Input]:
    """What of which source is among rows; the sources alone where rows do not say."""
    if "_source" not in rows.columns or rows["_source"].null_count():
        return [{"name": name, "sha256": sha256} for name, sha256 in sources.values() if len(rows)]
    line = "_line" if "_line" in rows.columns else "line"
    if len(rows) and rows["_source"].min() == rows["_source"].max():  # as nearly always: no expression is run for it
        name, sha256 = sources[rows["_source"][0]]
        first, last = rows[line].min(), rows[line].max()
        return [{"name": name, "sha256": sha256, "rows": len(rows), "first": first, "last": last}]
    counts = (pl.len().alias("rows"), pl.col(line).min().alias("first"), pl.col(line).max().alias("last"))
    spans = rows.group_by("_source", maintain_order=True).agg(*counts)
    named = [(sources[row.pop("_source")], row) for row in spans.iter_rows(named=True)]
    return [{"name": name, "sha256": sha256, **row} for (name, sha256), row in named]


def joined_inputs(known: Sequence[Input], more: Sequence[Input]) -> list[Input]:
    """Both, by source; in one order, whatever order they came in."""
    found = {(item["name"], item["sha256"]): item for item in known}
    for item in more:
        key = (item["name"], item["sha256"])
        other = found.get(key)
        if other is not None and "rows" in other and "rows" in item:
            first, last = min(other["first"], item["first"]), max(other["last"], item["last"])
            item = {**item, "rows": other["rows"] + item["rows"], "first": first, "last": last}
        found[key] = item
    return [found[key] for key in sorted(found)]
