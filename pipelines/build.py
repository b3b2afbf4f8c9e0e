"""From validated rows to a feature store: build one, or append to one for the cost of what is new."""

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from pipelines import ledger, parts
from pipelines import store as stores
from pipelines.bars import BarSpec
from pipelines.density import Density
from pipelines.errors import DataError
from pipelines.features import FeaturePlan
from pipelines.files import move_into, pretty_json, publish_folder, remove_tree, sole_writer, staging_beside
from pipelines.ingest import Ingested
from pipelines.making import Batch, Making, Record
from pipelines.manifest import Records, add_unplaced, manifest_of, records_of
from pipelines.parquet_writer import Encoding
from pipelines.partitions import Place, SymbolBuild
from pipelines.parts import Entry
from pipelines.quality import canonical_rejected, reason_counts, refuse
from pipelines.reasons import LATE, Quality
from pipelines.schema import OHLC, OPTIONAL_TICK_SCHEMA, REJECTED_SCHEMA
from pipelines.sessions import DAY_NS
from pipelines.sources.cadence import check_one_length, measure_steps
from pipelines.splits import AUTO_GAP_FACTOR, AUTO_GAP_FLOOR_NS
from pipelines.store import FeatureStore, listed

Progress = Callable[[int, int], None]

_TELLING = 1_000  # last candles of a store, which tell how long they are
_NONE_REJECTED = pl.DataFrame(schema={**REJECTED_SCHEMA, "_stamp": pl.Int64()})


@dataclass(frozen=True)
class BuildReport:
    """What a build or an append did; `rows_in == rows_out + sum(quarantined.values())` was checked.

    Attributes:
        held: rows of a growing source that the store held already; they are not part of `rows_in`.
        partitions: of the store. skipped: those that were up to date.
        taken: input rows that were run through the engine.
        described: name of each source, and what was detected in it.
        passed_over: documents and feature stores in the folders that were read, which are no data by their names.
        broken: sources that could not be read, each with the reason; the store is made of the others.
    """

    store: FeatureStore
    rows_in: int
    rows_out: int
    quarantined: dict[str, int]
    feature_rows: int
    files: int
    held: int = 0
    partitions: int = 0
    skipped: int = 0
    taken: int = 0
    described: Sequence[tuple[str, str]] = ()
    passed_over: Sequence[Path] = ()
    broken: Sequence[str] = ()


def build_store(
    ingested: Ingested,
    *,
    bars: BarSpec,
    plan: FeaturePlan,
    out: Path,
    config_text: str,
    encoding: Encoding | None = None,
    replace: bool = False,
    progress: Progress | None = None,
) -> BuildReport:
    """Write a new feature store of rows in memory; it appears under `out` whole or not at all.

    Raises:
        DataError: no row was accepted, `out` exists and `replace` is false, or it cannot be written.
    """
    require_vacant(out, replace)
    if ingested.frame.is_empty():
        counts = reason_counts(ingested.rejected)
        raise DataError(f"no row was accepted of {ingested.rows_in} read; quarantined: {counts}; check the hints")
    measured = _measured(ingested)
    check_sessions(ingested.quality, measured, ingested.sources[0].path)
    making = Making(
        plan.names,
        bars,
        ingested.kind,
        Density.of(ingested.frame).period(ingested.kind, bars),
        engine_columns(ingested.frame.columns),
        None,
        encoding or Encoding(),
        ingested.quality,
        ingested.quality.max_gap_ns or usual_max_gap(bars, measured),
    )
    with staging_beside(out) as staging:
        records = _run(ingested, making, plan, Place(staging, staging, *_telling(ingested, progress)), {})
        documents = [*settings_documents(staging, plan.names, config_text)]
        documents.append(parts.write_rejected(staging, ingested.rejected))
        unplaced = ledger.of_rejected(ingested.rejected)
        documents.append(ledger.write(staging, ledger.of_records(records, unplaced)))
        manifest = manifest_of(making, records, sources=_sources(ingested), documents=documents)
        add_unplaced(manifest, reason_counts(ingested.rejected))
        stores.write_manifest(staging, manifest)
        publish_folder(staging, out, replace=replace, synced=True)
    return _report(FeatureStore.open(out), ingested, None)


def append_store(store: FeatureStore, ingested: Ingested, *, progress: Progress | None = None) -> BuildReport:
    """Add newer rows to a store, going on from its saved states; the result equals a full rebuild to the bit
    unless the new rows begin at the very instant where the store ends.

    Rows that are not newer than the last one of their symbol in the store are quarantined as `late`; if every source
    was appended before under the same name, as with a file that grows, they are the store's own and only counted.

    Raises:
        DataError: ticks into a store of candles or the other way round, an altered store, or another writer at work.
    """
    with sole_writer(store.folder, "appending to"):
        return _append(FeatureStore.open(store.path), ingested, progress)


def _append(store: FeatureStore, ingested: Ingested, progress: Progress | None) -> BuildReport:
    if store.manifest["materialize"] == "none":
        raise DataError(
            f"{store.path}: holds no rows, they are computed from its sources (materialize: none), and new ones cannot "
            "be added by themselves: bring it up to date by build-features with the whole archive first"
        )
    if ingested.kind != store.manifest["source_kind"]:
        raise DataError(f"{store.path}: holds {store.manifest['source_kind']}, received {ingested.kind}")
    if ingested.kind == "candles":
        check_candle_length(store, ingested.frame)
    clear_leftovers(store)
    if asdict(ingested.quality) != store.manifest["quality"]:
        raise DataError(
            f"{store.path}: was made with other quality settings than these; expected the same: use those in its "
            f"{stores.CONFIG}, or build it again"
        )
    fresh, late = _split_late(store, ingested.with_origins())
    held = len(late) if _all_known(store, ingested) else 0
    rejected = pl.concat([ingested.rejected, late.clear() if held else late])
    refuse(rejected, ingested.quality.policy)
    ingested = dataclasses.replace(
        ingested, frame=fresh, origins=pl.DataFrame(), rejected=rejected, rows_in=ingested.rows_in - held
    )
    making = Making.of(store.manifest)
    place = Place(store.folder, store.folder, *_telling(ingested, progress))
    records = _run(ingested, making, FeaturePlan(making.features), place, records_of(store.manifest))
    documents = [item for item in store.manifest["documents"] if not item["path"].startswith(f"{ledger.FOLDER}/")]
    if len(rejected):
        documents.append(parts.write_rejected(store.folder, rejected))
    unplaced = ledger.joined(ledger.unplaced_in(store.quality()), ledger.of_rejected(rejected))
    documents.append(ledger.write(store.folder, ledger.of_records(records, unplaced)))
    sources = [*store.manifest["sources"], *_sources(ingested)]
    manifest = manifest_of(making, records, sources=sources, documents=documents)
    add_unplaced(manifest, _unplaced(store, ingested))
    stores.write_manifest(store.folder, manifest)
    appended = FeatureStore.open(store.path)
    retire(appended)
    return dataclasses.replace(_report(appended, ingested, store), held=held)


def _unplaced(store: FeatureStore, ingested: Ingested) -> dict[str, int]:
    """Rejected rows of the store and the new ones that no partition counts."""
    placed = manifest_of(Making.of(store.manifest), records_of(store.manifest), sources=(), documents=())
    counts = {name: count - placed["quarantined"].get(name, 0) for name, count in store.manifest["quarantined"].items()}
    for reason, count in reason_counts(ingested.rejected).items():
        counts[reason] = counts.get(reason, 0) + count
    return counts


def _run(
    ingested: Ingested, making: Making, plan: FeaturePlan, place: Place, known: Records
) -> dict[str, list[Record]]:
    """The records of every symbol, each going on from its known ones."""
    records = {symbol: list(known[symbol]) for symbol in known}
    sources = {number: (source.path.name, source.sha256) for number, source in enumerate(ingested.sources)}
    for (symbol,), rows in sorted(ingested.with_origins().partition_by("symbol", as_dict=True).items()):
        build = SymbolBuild(place, str(symbol), making, plan, records.get(str(symbol), ()))
        records[str(symbol)] = build.run([Batch(rows, _NONE_REJECTED)], sources, grows=True)
    return records


def _telling(ingested: Ingested, progress: Progress | None) -> tuple[Callable[[Record], None], Callable[[int], None]]:
    done = 0

    def advanced(rows: int) -> None:
        nonlocal done
        done += rows
        if progress is not None:
            progress(done, len(ingested.frame))

    return lambda record: None, advanced


def engine_columns(columns: Collection[str]) -> list[str]:
    """Columns of ticks beside price and volume that the engine reads."""
    return [name for name in OPTIONAL_TICK_SCHEMA if name in columns and name != "trade_id"]


def adopt(store: FeatureStore, folder: Path, manifest: dict[str, Any]) -> None:
    """Make the files of a folder part of a store by a new manifest; what the manifest leaves out is put aside.

    Those that a try before this one had moved are there already.
    """
    clear_leftovers(store, kept={store.folder / item["path"] for item in listed(manifest)})
    for item in listed(manifest):
        source, target = folder / item["path"], store.folder / item["path"]
        if source.exists() and not target.exists():
            move_into(source, target)
    stores.write_manifest(store.folder, manifest)
    retire(FeatureStore.open(store.path))


def settings_documents(
    root: Path, features: Sequence[str], config_text: str, *, by_content: bool = False
) -> Iterator[dict[str, Any]]:
    """Write what says how a store was made, under names of their content if asked; yields the manifest entries."""
    texts = {stores.FEATURE_COLUMNS: pretty_json(list(features)), stores.CONFIG: config_text.encode("utf-8")}
    for name, text in texts.items():
        yield vars(Entry.write(root, name.replace(".", "-{hash}.") if by_content else name, text))


def settings_in(store: FeatureStore) -> list[dict[str, Any]]:
    """The manifest entries of what says how a store was made."""
    others = ("quarantine/", f"{ledger.FOLDER}/")
    return [item for item in store.manifest["documents"] if not item["path"].startswith(others)]


def usual_max_gap(bars: BarSpec, measured: pl.DataFrame) -> int:
    """The longest step between rows that is no gap, unless the settings say: ten bars or candles, 5 minutes at least.

    Args:
        measured: what the steps of candles look like; without rows for ticks.
    """
    if len(measured):
        usual = int(measured.select(pl.col("usual").min()).item())
    else:
        usual = int(bars.size) if bars.kind == "time" else 0
    return max(AUTO_GAP_FLOOR_NS, AUTO_GAP_FACTOR * usual)


def check_sessions(quality: Quality, measured: pl.DataFrame, path: Path) -> None:
    """Raise DataError when candles are too long to lie in a session."""
    longest = measured.select(pl.col("usual").max()).item() if len(measured) else None
    if quality.calendar is not None and longest is not None and longest >= DAY_NS:
        raise DataError(
            f"{path}: holds candles of {int(longest) / DAY_NS:g} days, which lie in no session; expected shorter ones "
            f"with source.calendar ({quality.calendar}): leave it out"
        )


def _measured(ingested: Ingested) -> pl.DataFrame:
    if ingested.kind == "ticks":
        return pl.DataFrame()
    return measure_steps(ingested.frame.with_columns(_line=pl.int_range(pl.len(), dtype=pl.Int64)), "")


def _sources(ingested: Ingested) -> list[dict[str, Any]]:
    return [
        {"name": source.path.name, "sha256": source.sha256, "rows_in": source.rows_in} for source in ingested.sources
    ]


def measured_tail(store: FeatureStore, symbol: str) -> pl.DataFrame:
    """What the steps of the candles look like with which a symbol of a store ends."""
    rows = store.tail(symbol, _TELLING)[0].select("timestamp", *OHLC, "volume").with_columns(symbol=pl.lit(symbol))
    return measure_steps(rows.with_columns(_line=pl.int_range(pl.len(), dtype=pl.Int64)), str(store.path))


def check_candle_length(store: FeatureStore, fresh: pl.DataFrame) -> None:
    """Raises DataError when the new candles of a symbol are longer or shorter than those that the store ends with."""
    known = fresh["symbol"].unique().filter(fresh["symbol"].unique().is_in(store.symbols)).sort()
    measured = [measured_tail(store, symbol) for symbol in known]
    fresh = fresh.with_columns(_line=pl.int_range(pl.len(), dtype=pl.Int64))
    check_one_length(pl.concat([*measured, measure_steps(fresh, "the new candles")]))


def _all_known(store: FeatureStore, ingested: Ingested) -> bool:
    known = {source["name"] for source in store.manifest["sources"]}
    return all(source.path.name in known for source in ingested.sources)


def clear_leftovers(store: FeatureStore, kept: Collection[Path] = ()) -> None:
    """Remove what readers of the manifest before the present one needed, and what a crashed append left."""
    remove_tree(store.folder / parts.RETIRED)
    for path in store.leftovers():
        if path not in kept:
            path.unlink(missing_ok=True)


def retire(store: FeatureStore) -> None:
    """Put aside the files that only the last manifest named."""
    for path in store.leftovers():
        target = parts.retired_path(store.folder, path.name)
        target.parent.mkdir(exist_ok=True)
        with contextlib.suppress(PermissionError):  # Windows: a reader has it open; the next append clears it
            path.replace(target)


def _split_late(store: FeatureStore, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(rows that come after what the store holds, quarantine rows for the others)."""
    ends = {symbol: entry["last_input"] for symbol, entry in store.manifest["symbols"].items()}
    end = pl.col("symbol").replace_strict(ends, default=None, return_dtype=pl.Int64)
    stamp = pl.col("timestamp").to_physical()
    is_late = stamp <= end  # also at the very instant: those rows may be in the store already
    late = frame.filter(is_late.fill_null(False))
    origin = (pl.col("_file").cast(pl.String) if "_file" in frame.columns else pl.lit(None, pl.String)).alias("file")
    rejected = late.select(origin).hstack(canonical_rejected(late, LATE)).select(*REJECTED_SCHEMA)
    return frame.filter(~is_late.fill_null(False)), rejected


def require_vacant(out: Path, replace: bool) -> None:
    """Raises DataError when something is at `out` that a build may not replace."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / stores.MANIFEST).is_file():
        raise DataError(f"{out}: exists and is not a feature store; give another folder with --out")
    if not replace:
        raise DataError(f"{out}: holds a feature store already; give --overwrite to replace it, or another --out")


def _report(store: FeatureStore, ingested: Ingested, before: FeatureStore | None) -> BuildReport:
    """What a store holds, without what it held before."""
    held: dict[str, Any] = before.manifest if before else {"rows_out": 0, "quarantined": {}}
    counts: Counter[str] = Counter(store.manifest["quarantined"])
    counts.subtract(held["quarantined"])
    return BuildReport(
        store=store,
        rows_in=ingested.rows_in,
        rows_out=store.manifest["rows_out"] - held["rows_out"],
        quarantined={reason: count for reason, count in sorted(counts.items()) if count},
        feature_rows=sum(file["rows"] for file in store.manifest["files"]),
        files=len(store.manifest["files"]),
        partitions=len(store.manifest["partitions"]),
    )
