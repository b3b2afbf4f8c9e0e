"""Whether a program computes what we do: its files against our store, column by column.

    python -m benchmarks.build.values STORE FOLDER          # prints one JSON object

Rows of a symbol and day are compared from the 1000th on. By then windows are full even where a program begins anew
with every file, and recursions that are seeded otherwise (by the first value in Polars and pandas, by a mean of the
first rows in TA-Lib and here) agree to 1e-9. A difference counts relative to the largest value of its column. Where
prices do not move for a whole window we say 0 for a z-score, and others NaN or what rounding left of 0 / 0: those
rows are left out for `z` and `percentb` of that window.
"""

import json
import re
import sys
from pathlib import Path

import numpy as np
import polars as pl

from pipelines.store import FeatureStore, written_columns

SETTLED = 1000  # rows
_TIMES = {"timestamp", "last_timestamp"}
_KEYS = {"symbol", "day", "file"}
_Z = re.compile(r"z(\d+)|percentb")


def differences(store: Path, folder: Path) -> dict[str, float | None]:
    """Largest difference of each column over all rows; None for one that the program does not make, inf for NaN.

    Raises:
        ValueError: other rows, told by their times, or columns that the store does not have.
    """
    ours, theirs = _our_rows(FeatureStore.open(store)), _their_rows(folder)
    worst: dict[str, float | None] = {}
    for key, expected in ours.items():
        received = theirs[key]
        if more := set(received.columns) - set(expected.columns) - _KEYS:
            raise ValueError(f"{folder}: has {', '.join(sorted(more))}, which the store has not")
        for name in _TIMES.intersection(expected.columns):
            if not expected[name].equals(received[name].cast(expected[name].dtype)):
                raise ValueError(f"{folder}: {name} of {key} is not that of the store")
        for name in set(expected.columns) - _TIMES - _KEYS:
            found = _difference(expected, received, name) if name in received.columns else None
            worst[name] = None if found is None else max(found, worst.get(name) or 0.0)
    return worst


def _difference(expected: pl.DataFrame, received: pl.DataFrame, name: str) -> float:
    if match := _Z.fullmatch(name):
        moving = expected[f"std{match[1] or 20}"] > 0.0
        expected, received = expected.filter(moving), received.filter(moving)
    a, b = (frame[name].to_numpy().astype(np.float64) for frame in (expected, received))
    gaps = np.abs(a - b) / np.abs(a).max()
    return float(np.where(np.isnan(gaps), np.inf, gaps).max())


def _our_rows(store: FeatureStore) -> dict[tuple[str, str], pl.DataFrame]:
    columns = [*written_columns(store.manifest["source_kind"], store.bars), *store.features]
    return _settled(pl.concat([store.read(name, columns).with_columns(symbol=pl.lit(name)) for name in store.symbols]))


def _their_rows(folder: Path) -> dict[tuple[str, str], pl.DataFrame]:
    rows = pl.read_parquet(sorted(folder.glob("*.parquet")), include_file_paths="file")
    if "symbol" not in rows.columns:
        rows = rows.with_columns(symbol=pl.col("file").str.extract(r"([^/\\]+)_[0-9-]+\.parquet$"))
    return _settled(rows)


def _settled(rows: pl.DataFrame) -> dict[tuple[str, str], pl.DataFrame]:
    days = rows.with_columns(day=pl.col("timestamp").dt.date().cast(pl.String))
    parts = days.partition_by("symbol", "day", as_dict=True)
    return {(str(symbol), str(day)): part[SETTLED:] for (symbol, day), part in parts.items()}


if __name__ == "__main__":
    print(json.dumps(differences(Path(sys.argv[1]), Path(sys.argv[2]))))
