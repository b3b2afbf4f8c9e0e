"""From validated rows to a feature store: build one, or append to one for the cost of what is new."""

import contextlib
import copy
import dataclasses
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from pipelines import parts
from pipelines import store as stores
from pipelines.bars import Bars, BarSpec, tick_arrays
from pipelines.errors import DataError
from pipelines.features import FeaturePlan, FeatureStream
from pipelines.files import pretty_json, publish_folder, staging_beside
from pipelines.ingest import Ingested
from pipelines.parts import STAMP, Entry, Period
from pipelines.quality import LATE, reason_counts
from pipelines.schema import OHLC
from pipelines.sources.cadence import check_one_length, measure_steps
from pipelines.store import FeatureStore, by_symbol

Progress = Callable[[int, int], None]
Part = tuple[Bars, NDArray[np.float32]]

# Input rows pushed through the engine between two reports of progress. Not a power of two: columns of ticks as rows
# would lie so many bytes apart that they evict each other from every cache, at twice the time.
_PUSH = 1_000_000
_DAY_NS = 86_400 * 10**9
_TELLING = 1_000  # last candles of a store, which tell how long they are
_DENSE = 150  # rows a day from which a file a day is worth having


@dataclass(frozen=True)
class BuildReport:
    """What a build or an append did; `rows_in == rows_out + sum(quarantined.values())` was checked.

    Attributes:
        held: rows of a growing source that the store held already; they are not part of `rows_in`.
    """

    store: FeatureStore
    rows_in: int
    rows_out: int
    quarantined: dict[str, int]
    feature_rows: int
    files: int
    held: int = 0


def build_store(
    ingested: Ingested,
    *,
    bars: BarSpec,
    plan: FeaturePlan,
    out: Path,
    config_text: str,
    replace: bool = False,
    progress: Progress | None = None,
) -> BuildReport:
    """Write a new feature store; it appears under `out` whole or not at all.

    Raises:
        DataError: no row was accepted, `out` exists and `replace` is false, or it cannot be written.
    """
    require_vacant(out, replace)
    if ingested.frame.is_empty():
        counts = reason_counts(ingested.rejected)
        raise DataError(f"no row was accepted of {ingested.rows_in} read; quarantined: {counts}; check the hints")
    with staging_beside(out) as staging:
        builder = _Builder(staging, _new_manifest(ingested, bars, plan))
        builder.add(ingested, progress)
        builder.manifest["documents"] = [
            vars(Entry.write(staging, stores.FEATURE_COLUMNS, pretty_json(plan.names))),
            vars(Entry.write(staging, stores.CONFIG, config_text.encode("utf-8"))),
            parts.write_rejected(staging, ingested.rejected),
        ]
        stores.write_manifest(staging, builder.manifest)
        publish_folder(staging, out, replace=replace)
    return _report(FeatureStore.open(out), ingested)


def append_store(store: FeatureStore, ingested: Ingested, *, progress: Progress | None = None) -> BuildReport:
    """Add newer rows to a store, going on from its saved states; the result equals a full rebuild to the bit
    unless the new rows begin at the very instant where the store ends.

    Rows that are not newer than the last one of their symbol in the store are quarantined as `late`; if every source
    was appended before under the same name, as with a file that grows, they are the store's own and only counted.

    Raises:
        DataError: ticks into a store of candles or the other way round, an altered store, or another writer at work.
    """
    lock = FileLock(store.path.with_name(f".{store.path.name}.lock"), timeout=0)
    try:
        with lock:
            return _append(FeatureStore.open(store.path), ingested, progress)
    except Timeout:
        raise DataError(f"{store.path}: another process is appending to it; try again when it is done") from None


def _append(store: FeatureStore, ingested: Ingested, progress: Progress | None) -> BuildReport:
    if ingested.kind != store.manifest["source_kind"]:
        raise DataError(f"{store.path}: holds {store.manifest['source_kind']}, received {ingested.kind}")
    if ingested.kind == "candles":
        _check_candle_length(store, ingested.frame)
    _clear_leftovers(store)
    fresh, late = _split_late(store, ingested.frame)
    held = len(late) if _all_known(store, ingested) else 0
    rejected = pl.concat([ingested.rejected, late.clear() if held else late])
    ingested = Ingested(ingested.kind, fresh, rejected, ingested.rows_in - held, ingested.sources)
    manifest = copy.deepcopy({name: value for name, value in store.manifest.items() if name != "snapshot"})
    builder = _Builder(store.path, manifest, store)
    builder.add(ingested, progress)
    if len(rejected):
        builder.manifest["documents"].append(parts.write_rejected(store.path, rejected))
    stores.write_manifest(store.path, builder.manifest)
    appended = FeatureStore.open(store.path)
    _retire(appended)
    return dataclasses.replace(_report(appended, ingested), held=held)


def _check_candle_length(store: FeatureStore, fresh: pl.DataFrame) -> None:
    """Raises DataError when the new candles of a symbol are longer or shorter than those that the store ends with."""
    known = fresh["symbol"].unique().filter(fresh["symbol"].unique().is_in(store.symbols)).sort()
    columns = ["timestamp", *OHLC, "volume"]
    held = [store.tail(symbol, _TELLING)[0].select(columns).with_columns(symbol=pl.lit(symbol)) for symbol in known]
    measured = [measure_steps(rows.with_row_index("_line"), str(store.path)) for rows in held]
    check_one_length(pl.concat([*measured, measure_steps(fresh.with_row_index("_line"), "the new candles")]))


def _all_known(store: FeatureStore, ingested: Ingested) -> bool:
    known = {source["name"] for source in store.manifest["sources"]}
    return all(source.path.name in known for source in ingested.sources)


def _clear_leftovers(store: FeatureStore) -> None:
    """Remove what readers of the manifest before the present one needed, and what a crashed append left."""
    shutil.rmtree(store.path / parts.RETIRED, ignore_errors=True)
    for path in store.leftovers():
        path.unlink(missing_ok=True)


def _retire(store: FeatureStore) -> None:
    for path in store.leftovers():
        target = parts.retired_path(store.path, path.name)
        target.parent.mkdir(exist_ok=True)
        with contextlib.suppress(PermissionError):  # Windows: a reader has it open; the next append clears it
            path.replace(target)


class _Builder:
    """Runs symbols through the engine, writes their rows below `root`, and enters them in the manifest."""

    def __init__(self, root: Path, manifest: dict[str, Any], previous: FeatureStore | None = None) -> None:
        self.root = root
        self.manifest = manifest
        self.previous = previous
        self.plan = FeaturePlan(manifest["features"])
        self.bars = BarSpec(**manifest["bars"])
        self.files = by_symbol(manifest["files"])

    def add(self, ingested: Ingested, progress: Progress | None) -> None:
        """Process every symbol of the new rows, each going on from where the previous store ended."""
        _add_counts(self.manifest, ingested)
        done = 0
        for (symbol,), rows in sorted(ingested.frame.partition_by("symbol", as_dict=True).items()):
            stream = FeatureStream(self.bars, self.plan)
            if self._continues(symbol):
                stream.restore(self.previous.saved_state(symbol))  # type: ignore[union-attr]
            pieces = []
            for piece, taken in _push(stream, rows, is_candles=ingested.kind == "candles"):
                pieces.append(piece)
                done += taken
                if progress:
                    progress(done, len(ingested.frame))
            state = parts.write_state(self.root, symbol, stream.state)
            open_part = stream.flush()
            self._write(symbol, _table([*pieces, open_part], self.plan.names))
            self.manifest["symbols"][symbol] = {
                "open_bar": len(open_part[0]) > 0,
                "last_input": int(rows["timestamp"].to_physical()[-1]),
                "state": state,
            }
        self.manifest["files"] = [file for symbol in sorted(self.files) for file in self.files[symbol]]

    def _continues(self, symbol: str) -> bool:
        return self.previous is not None and symbol in self.previous.symbols

    def _write(self, symbol: str, table: pa.Table) -> None:
        """Write new rows; the last file of the symbol so far is written anew with them, less its open bar."""
        files = self.files.setdefault(symbol, [])
        if files:
            entry = Entry.of(files.pop())
            tail = pq.read_table(pa.BufferReader(entry.read(self.root / entry.path)))
            if self.manifest["symbols"][symbol]["open_bar"]:
                tail = tail.slice(0, len(tail) - 1)
            table = pa.concat_tables([tail.cast(table.schema), table])  # what is on disk says that nothing is null
        files += parts.write_rows(self.root, symbol, table, self.manifest["period"])


def _push(stream: FeatureStream, rows: pl.DataFrame, *, is_candles: bool) -> Iterator[tuple[Part, int]]:
    for start in range(0, len(rows), _PUSH):
        piece = rows.slice(start, _PUSH)
        if is_candles:
            yield stream.push_bars(Bars.from_candles(piece)), len(piece)
        else:
            yield stream.push_ticks(*tick_arrays(piece)), len(piece)


def _table(pieces: list[Part], names: list[str]) -> pa.Table:
    bars = Bars.concatenate([bars for bars, _ in pieces])
    features = np.concatenate([matrix.T for _, matrix in pieces], axis=1)
    columns: dict[str, Any] = {name: pa.array(getattr(bars, name), STAMP) for name in ("timestamp", "last_timestamp")}
    columns |= {name: getattr(bars, name) for name in ("open", "high", "low", "close", "volume")}
    columns |= dict(zip(names, features, strict=True))
    return pa.table(columns)


def _new_manifest(ingested: Ingested, bars: BarSpec, plan: FeaturePlan) -> dict[str, Any]:
    return {
        "schema": stores.SCHEMA_VERSION,
        "features": plan.names,
        "bars": vars(bars),
        "source_kind": ingested.kind,
        "period": _choose_period(ingested, bars),
        "sources": [],
        "rows_in": 0,
        "rows_out": 0,
        "quarantined": {},
        "files": [],
        "symbols": {},
    }


def _add_counts(manifest: dict[str, Any], ingested: Ingested) -> None:
    manifest["sources"] = manifest["sources"] + [
        {"name": source.path.name, "sha256": source.sha256, "rows_in": source.rows_in} for source in ingested.sources
    ]
    manifest["rows_in"] += ingested.rows_in
    manifest["rows_out"] += len(ingested.frame)
    counts = Counter(manifest["quarantined"]) + Counter(reason_counts(ingested.rejected))
    manifest["quarantined"] = dict(sorted(counts.items()))
    if manifest["rows_in"] != manifest["rows_out"] + counts.total():
        raise RuntimeError(f"rows in {manifest['rows_in']} != out {manifest['rows_out']} + quarantined {counts}")


def _choose_period(ingested: Ingested, bars: BarSpec) -> Period:
    """Days for dense rows, months or years for sparse ones: thousands of files of a few rows serve nobody."""
    frame = ingested.frame
    days = frame.select(pl.struct("symbol", pl.col("timestamp").dt.date()).n_unique()).item()
    rows = len(frame) / days
    if ingested.kind == "ticks" and bars.kind == "time":
        rows = min(rows, _DAY_NS / bars.size)
    elif ingested.kind == "ticks" and bars.kind == "tick":
        rows /= bars.size
    elif ingested.kind == "ticks" and bars.kind in ("volume", "dollar"):
        traded = frame["volume"] * (frame["price"] if bars.kind == "dollar" else 1.0)
        rows = float(traded.sum()) / days / bars.size
    return "day" if rows >= _DENSE else "month" if rows >= _DENSE / 30 else "year"


def _split_late(store: FeatureStore, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(rows that come after what the store holds, quarantine rows for the others)."""
    ends = {symbol: entry["last_input"] for symbol, entry in store.manifest["symbols"].items()}
    end = pl.col("symbol").replace_strict(ends, default=None, return_dtype=pl.Int64)
    stamp = pl.col("timestamp").to_physical()
    is_late = stamp <= end  # also at the very instant: those rows may be in the store already
    late = frame.filter(is_late.fill_null(False))
    raw = pl.concat_str([pl.col(name).cast(pl.String) for name in frame.columns], separator=",", ignore_nulls=True)
    rejected = late.select(
        pl.lit(None, pl.String).alias("file"),
        pl.lit(None, pl.Int64).alias("line"),
        pl.lit(LATE).alias("reason"),
        raw.alias("raw"),
    )
    return frame.filter(~is_late.fill_null(False)), rejected


def require_vacant(out: Path, replace: bool) -> None:
    """Raises DataError when something is at `out` that a build may not replace."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / stores.MANIFEST).is_file():
        raise DataError(f"{out}: exists and is not a feature store; give another folder with --out")
    if not replace:
        raise DataError(f"{out}: holds a feature store already; give --overwrite to replace it, or another --out")


def _report(store: FeatureStore, ingested: Ingested) -> BuildReport:
    return BuildReport(
        store=store,
        rows_in=ingested.rows_in,
        rows_out=len(ingested.frame),
        quarantined=reason_counts(ingested.rejected),
        feature_rows=sum(file["rows"] for file in store.manifest["files"]),
        files=len(store.manifest["files"]),
    )
