"""The manifest of a store from the records of its partitions, and back."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines import store as stores
from pipelines.making import Making, Record

Records = Mapping[str, Sequence[Record]]


def manifest_of(
    making: Making, records: Records, *, sources: Sequence[Any], documents: Sequence[Any]
) -> dict[str, Any]:
    """What a manifest says of a store, its own hash and the rows outside all partitions apart."""
    made = [record for symbol in sorted(records) for record in records[symbol]]
    quarantined: Counter[str] = Counter()
    for record in made:
        quarantined.update(record["quarantined"])
    return {
        "schema": stores.SCHEMA_VERSION,
        **making.settings(),
        "sources": list(sources),
        "rows_in": sum(record["rows_in"] for record in made),
        "rows_out": sum(record["rows_out"] for record in made),
        "quarantined": dict(sorted(quarantined.items())),
        "files": [file for record in made for file in files_of(record)],
        "symbols": {symbol: _summary(records[symbol][-1]) for symbol in sorted(records) if records[symbol]},
        "partitions": [
            {**record, "files": len(record["files"]), "open": record["open"] is not None} for record in made
        ],
        "documents": list(documents),
    }


def add_unplaced(manifest: dict[str, Any], counts: Mapping[str, int]) -> None:
    """Count rejected rows that belong to no partition.

    Raises:
        RuntimeError: rows in differ from rows out plus rows quarantined, which is a fault of this program.
    """
    manifest["quarantined"] = dict(sorted((Counter(manifest["quarantined"]) + Counter(counts)).items()))
    manifest["rows_in"] += sum(counts.values())
    rejected = sum(manifest["quarantined"].values())
    if manifest["rows_in"] != manifest["rows_out"] + rejected:
        raise RuntimeError(f"rows in {manifest['rows_in']} != out {manifest['rows_out']} + quarantined {rejected}")


def records_of(manifest: Mapping[str, Any]) -> dict[str, list[Record]]:
    """The records of each symbol, as they were before the manifest was made."""
    files = iter(manifest["files"])
    found: dict[str, list[Record]] = {symbol: [] for symbol in manifest["symbols"]}
    for part in manifest["partitions"]:
        own = [next(files) for _ in range(part["files"])]
        opened = next(files) if part["open"] else None
        found[part["symbol"]].append({**part, "files": own, "open": opened})
    return found


def files_of(record: Record) -> list[dict[str, Any]]:
    """The data files of a partition, that of a bar still open the last; of rows that are computed, what is counted.

    What has no path was not written.
    """
    return [*record["files"], *([record["open"]] if record["open"] else [])]


def items_of(record: Record) -> list[dict[str, Any]]:
    """Every file that a partition is made of; rows that were not written have none."""
    items = (*files_of(record), *record["input_files"], record["state"], *record["quarantine"])
    return [item for item in items if "path" in item]


def _summary(last: Record) -> dict[str, Any]:
    return {"open_bar": last["open"] is not None, "last_input": last["last_input"], "state": last["state"]}
