"""What an archive holds, file by file, before anything is built: symbols, spans, and how each file is to be read.

A file of one symbol in time order, unless it is small, is streamed when its turn comes: only its first rows are looked
at here. The rows of every other file are sorted into the spill, canonical and by symbol, as runs that can be streamed
in turn.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines import ledger, parts
from pipelines.density import Density
from pipelines.errors import DataError
from pipelines.fetched import origin_of
from pipelines.files import make_folder, sha256_file, write_atomic
from pipelines.making import Named
from pipelines.quality import NONE_PLACED, FileOrder, canonical_rejected, parted, reason_counts, refuse
from pipelines.reasons import KEPT, NON_MONOTONIC, Action
from pipelines.runs import FileRun, Run, SpilledRun, canonical_batches, read_spilled
from pipelines.schema import SourceHints
from pipelines.sources.cadence import measure_steps
from pipelines.sources.payloads import Format, detect_format
from pipelines.sources.reading import read_file
from pipelines.sources.settled import Settled, settle
from pipelines.sources.streams import HEAD_BYTES, open_stream
from pipelines.sources.wide import unpivot

SPILL = "_spill"
STREAMED_BYTES = 1 << 20  # of a text
WHOLE_BYTES = 32 << 20  # of a text that is read whole where its first rows do not tell enough, or told wrong
STREAMED_GZIP_BYTES = 8 << 20
STREAMED_ROWS = 50_000  # of a columnar file
SPILLED_ROWS = 1_500_000  # sorted at once when a large file has to be sorted: 100 MB, held three times
_COLUMNAR = ("parquet", "arrow")
BEGINNING = 1_000  # rows that tell two files apart

Entry = dict[str, Any]


class Stamp(NamedTuple):
    """What a file looks like from outside: bytes, and when it changed, in ns."""

    size: int
    changed: int

    @classmethod
    def of(cls, path: Path) -> "Stamp":
        """Of a file, or of the object that it is the copy of, as it is now."""
        found = (origin_of(path) or path).stat()
        return cls(found.st_size, found.st_mtime_ns)


@dataclass(frozen=True)
class Source:
    """One file of the archive; `entry` is what was found in it, as plain values.

    Attributes:
        number: its place in the order of the paths, which rows of one time follow.
        settled: how it is streamed, where this process has looked into it.
    """

    number: int
    path: Path
    sha256: str
    stamp: Stamp
    entry: Entry
    settled: Settled | None = None

    @property
    def symbols(self) -> list[str]:
        """Of its rows, sorted."""
        return sorted(self.entry["spans"])

    def of_symbol(self, symbol: str) -> "Source":
        """The same, as far as it is about one symbol."""
        runs = [run for run in self.entry.get("runs", ()) if run[0] == symbol]
        return replace(self, entry={**self.entry, "spans": {symbol: self.entry["spans"][symbol]}, "runs": runs})


def key_of(source: Source) -> Named:
    """What names a source in a manifest."""
    return source.path.name, source.sha256


def digests(paths: Sequence[Path], known: Mapping[tuple[str, Stamp], str]) -> Iterator[tuple[Path, Stamp, str | None]]:
    """Each file with its SHA-256, of the bytes that were there when the counting began; known ones are not read.

    That of an object in a bucket is None unless it is known: it has to be fetched first.
    """

    def digest(path: Path) -> tuple[Path, Stamp, str | None]:
        stamp = Stamp.of(path)
        told = known.get((str(path), stamp))
        return path, stamp, told if told or origin_of(path) else sha256_file(path, stamp.size)

    with ThreadPoolExecutor(2, thread_name_prefix="hash") as pool:
        yield from pool.map(digest, paths)


def look_into(
    source: Source, hints: SourceHints, root: Path, *, streams: bool = True, in_place: bool = False
) -> Source:
    """The file with what it holds; the rows of one that cannot be streamed are in the spill below `root` then.

    Args:
        streams: whether it may be streamed; one that turned out to be out of order may not.
        in_place: whether it has to be, however small it is, and from a format that is read from any row on.

    Raises:
        DataError: the file as a whole cannot be read or understood, or it is damaged; or it cannot be read in place.
    """
    kind = detect_format(source.path)
    if in_place and (kind not in _COLUMNAR or not streams or origin_of(source.path)):
        raise _not_in_place(source.path)
    rows = _rows_of(source, kind)
    is_large = in_place or _is_large(source, kind, rows)
    begun = None
    if is_large or (streams and kind == "text" and source.stamp.size > STREAMED_BYTES):
        begun = _begun(source, kind, hints, is_large=is_large)
    if begun is not None:
        settled, head = begun
        told = {"flavour": settled.mapping.flavour, "description": settled.description}
        if kind == "text":  # whose lines are about as long as the first ones
            rows = source.stamp.size * len(head) // min(source.stamp.size, HEAD_BYTES)
        if streams and _can_stream(head):
            entry = _streamed(head, **told) | {"rows": rows, "is_small": not is_large}
            return replace(source, entry=entry, settled=settled)
        if is_large and not in_place:
            parts_read = _large_parts(source, hints, head, settled.mapping.flavour)
            return replace(source, entry=_spilled(source, root, parts_read, hints.quality.policy, **told))
    if in_place:
        raise _not_in_place(source.path)
    part = read_file(source.path, hints)
    found = iter([_Sorted(part.frame, part.rejected, part.steps, 0, part.rows_in)])
    told = {"flavour": part.flavour, "description": part.description}
    return replace(source, entry=_spilled(source, root, found, hints.quality.policy, **told))


def _not_in_place(path: Path) -> DataError:
    return DataError(
        f"{path}: cannot be read in place again and again: expected Parquet or Feather on a disk with the ticks of one "
        "symbol in time order, as store.materialize is none; give --materialize input, which keeps rows in the store"
    )


def _begun(source: Source, kind: Format, hints: SourceHints, *, is_large: bool) -> tuple[Settled, pl.DataFrame] | None:
    """How a file is read in batches, and its first rows; None for one that has to be read whole.

    Raises:
        DataError: the first rows of a large file tell too little. All rows of another may tell more.
    """
    try:
        stream = open_stream(source.path, kind, hints, size=source.stamp.size)
        if stream is None or unpivot(stream.head) is not stream.head:
            return None
        settled, head = settle(source.path, stream.head, hints)
    except DataError:
        if is_large:
            raise
        return None
    return replace(settled, layout=stream.layout), head


def _is_large(source: Source, kind: Format, rows: int) -> bool:
    if kind == "text":
        return source.stamp.size > WHOLE_BYTES
    if kind == "gzip":
        return source.stamp.size > STREAMED_GZIP_BYTES
    return kind in _COLUMNAR and rows > STREAMED_ROWS


def _rows_of(source: Source, kind: Format) -> int:
    """How many rows a file has; of all but Parquet a guess from its size."""
    if kind == "parquet":
        with suppress(pa.ArrowException, OSError):  # whoever reads it says what is wrong
            return int(pq.read_metadata(source.path).num_rows)
        return 0
    return source.stamp.size // {"text": 40, "gzip": 10}.get(kind, 24)


def _can_stream(head: pl.DataFrame) -> bool:
    """Candles are few, and how long they are has to be measured before anything is made of them."""
    return (
        "price" in head.columns and head.height > 0 and head["symbol"].n_unique() == 1 and head["timestamp"].is_sorted()
    )


def _streamed(head: pl.DataFrame, flavour: str, description: str) -> Entry:
    return {
        "mode": "streamed",
        "flavour": flavour,
        "columns": head.columns,
        "description": f"{description}; streamed",
        "density": list(vars(Density.of_beginning(head)).values()),
        "spans": {head["symbol"][0]: [int(head["timestamp"].to_physical()[0]), None]},
        "beginning": _value_sum(head[:BEGINNING]),
        "content": None,
        "runs": [],
        "rejected": None,
        "steps": None,
        "unplaced": None,
        "rows_in": None,
    }


@dataclass(frozen=True)
class _Sorted:
    """Rows of a file for the spill, in time order; `part` orders those of one time among the parts of the file."""

    rows: pl.DataFrame
    rejected: pl.DataFrame
    steps: pl.DataFrame
    part: int
    rows_in: int


def _large_parts(source: Source, hints: SourceHints, head: pl.DataFrame, flavour: str) -> Iterator[_Sorted]:
    """A large file as parts that fit into memory, each sorted; one that is newest first is turned round throughout."""
    newest_first = _runs_backwards(head)
    order = FileOrder(newest_first=newest_first)
    pieces: list[tuple[pl.DataFrame, pl.DataFrame, int]] = []
    number = 0
    for good, bad, rows_in in canonical_batches(source.path, hints, source.stamp.size):
        pieces.append((*_in_order(good, bad, order, hints, str(source.path)), rows_in))
        if sum(rows for _, _, rows in pieces) >= SPILLED_ROWS:
            yield _sorted_part(pieces, number, flavour, str(source.path), newest_first=newest_first)
            pieces, number = [], number + 1
    if pieces:
        yield _sorted_part(pieces, number, flavour, str(source.path), newest_first=newest_first)


def _in_order(
    rows: pl.DataFrame, rejected: pl.DataFrame, order: FileOrder, hints: SourceHints, origin: str
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows without those rejected since their time steps back in the file; those among the rejected ones."""
    if rows.is_empty():
        return rows, rejected
    rows, back = parted(rows, order.steps_back(rows), NON_MONOTONIC, hints.quality.policy)
    if len(back):
        told = canonical_rejected(back.drop("symbol"), NON_MONOTONIC).with_columns(file=pl.lit(origin))
        rejected = pl.concat([rejected, told.select(rejected.columns)]).sort("line", maintain_order=True)
    return rows, rejected


def _runs_backwards(head: pl.DataFrame) -> bool:
    steps = head.select(pl.col("timestamp").diff().over("symbol").cast(pl.Int64)).to_series()
    return int((steps < 0).sum()) > int((steps > 0).sum())


def _sorted_part(
    pieces: list[tuple[pl.DataFrame, pl.DataFrame, int]], number: int, flavour: str, origin: str, *, newest_first: bool
) -> _Sorted:
    rows = pl.concat([good for good, _, _ in pieces if len(good)] or [pl.DataFrame()], how="diagonal")
    rejected = pl.concat([bad for _, bad, _ in pieces])
    steps = measure_steps(rows, origin) if "candles" in flavour and len(rows) else pl.DataFrame()
    if len(rows):
        rows = rows.with_columns(pl.lit(origin).cast(pl.Categorical).alias("_file"))
        rows = (rows.reverse() if newest_first else rows).sort("timestamp", maintain_order=True)
    return _Sorted(rows, rejected, steps, -number if newest_first else number, sum(count for _, _, count in pieces))


def _spilled(
    source: Source,
    root: Path,
    found: Iterator[_Sorted],
    policy: Mapping[str, Action],
    *,
    flavour: str,
    description: str,
) -> Entry:
    """Write sorted rows to the spill; the entry says where the runs of each symbol are."""
    stem = f"{SPILL}/{source.sha256[:16]}-{source.number}"  # all in one folder: making one costs two syncs
    entry: Entry = {"mode": "spilled", "flavour": flavour, "description": description, "runs": [], "spans": {}}
    density, steps, rejected = Density(0, 0, 0.0, 0.0), [], []
    columns: dict[str, None] = {}
    rows_in = content = rows_out = 0
    unplaced, beginning = pl.DataFrame(), 0
    for number, part in enumerate(found):
        refuse(part.rejected, policy)
        rows_in += part.rows_in
        placed, alone = _with_owners(part)
        rejected.append(placed)
        unplaced = pl.concat([unplaced, alone], how="diagonal")
        if len(part.rows):
            density += Density.of(part.rows)
            columns |= dict.fromkeys(part.rows.drop("_file").columns)
            rows_out += len(part.rows)
            whole = _value_sum(part.rows)
            content = (content + whole) % 2**64
            beginning = beginning or (whole if len(part.rows) <= BEGINNING else _value_sum(part.rows[:BEGINNING]))
            steps.append(part.steps)
            entry["runs"] += _write_part(root, f"{stem}-{number:06d}.arrow", part)
    for symbol, _, _, _, first, last, _ in entry["runs"]:
        known = entry["spans"].get(symbol, [first, last])
        entry["spans"][symbol] = [min(first, known[0]), max(last, known[1])]
    return entry | {
        "columns": list(columns),
        "density": list(vars(density).values()),
        "beginning": beginning,
        "content": [rows_out, content],
        "rejected": _write_frame(root, f"{stem}-rejected.arrow", rejected),
        "steps": _write_frame(root, f"{stem}-steps.arrow", steps),
        "unplaced": _write_unplaced(root, unplaced),
        "rows_in": rows_in,
    }


def _with_owners(part: _Sorted) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rejected rows with `_symbol` and `_stamp` of the good row before them in their file, or of the first; and those
    of files that have none."""
    if part.rejected.is_empty() or part.rows.is_empty():
        return NONE_PLACED.drop("_source").with_columns(_symbol=pl.lit(None, pl.String)), part.rejected
    good = part.rows.select(
        pl.col("_file").cast(pl.String).alias("file"),
        pl.col("_line").alias("line"),
        pl.col("symbol").alias("_symbol"),
        pl.col("timestamp").to_physical().alias("_stamp"),
    ).sort("line")
    bad = part.rejected.sort("line", maintain_order=True)
    before = bad.join_asof(good, on="line", by="file", check_sortedness=False)
    first = good.unique("file", keep="first").select("file", pl.col("_symbol", "_stamp").name.suffix("_first"))
    owned = before.join(first, on="file", how="left", maintain_order="left").with_columns(
        pl.coalesce(name, f"{name}_first").alias(name) for name in ("_symbol", "_stamp")
    )
    owned = owned.drop("_symbol_first", "_stamp_first")
    alone = owned["_symbol"].is_null()
    return owned.filter(~alone), part.rejected.clear() if not alone.any() else owned.filter(alone).select(bad.columns)


def _write_part(root: Path, path: str, part: _Sorted) -> list[list[Any]]:
    """Write the rows by symbol; (symbol, path, offset, rows, first, last, part) of each."""
    rows = part.rows.drop("_file").sort("symbol", maintain_order=True)
    _write_frame(root, path, [rows])
    runs, offset = [], 0
    for count, symbol in rows["symbol"].rle().struct.unnest().iter_rows():
        stamps = rows["timestamp"].to_physical()
        first, last = int(stamps[offset]), int(stamps[offset + count - 1])
        runs.append([symbol, path, offset, count, first, last, part.part])
        offset += count
    return runs


def _write_frame(root: Path, path: str, frames: Sequence[pl.DataFrame]) -> str | None:
    frame = pl.concat([frame for frame in frames if len(frame)] or [pl.DataFrame()], how="diagonal")
    if frame.is_empty():
        return None
    buffer = io.BytesIO()
    frame.write_ipc(buffer, compression="uncompressed")  # so that it is mapped, not read
    make_folder((root / path).parent)
    write_atomic(root / path, buffer.getbuffer())
    return path


def _write_unplaced(root: Path, rejected: pl.DataFrame) -> Entry | None:
    """Rejected rows of a file without a good one belong to no partition."""
    if rejected.is_empty():
        return None
    findings = ledger.of_rejected(rejected)
    return {"entry": parts.write_rejected(root, rejected), "counts": reason_counts(rejected), "findings": findings}


def _value_sum(rows: pl.DataFrame) -> int:
    """A number that rows of equal times and values have, whatever their symbols, and in whatever order they come."""
    return int(rows.drop("_line", "_file", "symbol", KEPT, strict=False).hash_rows().to_numpy().sum())


def runs_of(source: Source, symbol: str, hints: SourceHints, root: Path, start: int | None) -> Iterator[Run]:
    """The runs of a symbol in a file that was looked into; of what is streamed, from about `start` on."""
    entry = source.entry
    if entry["mode"] == "streamed":
        first, last = entry["spans"][symbol]
        settled, is_small = source.settled, entry.get("is_small", False)
        run = FileRun(source.number, first, source.path, symbol, hints, source.stamp, settled, start, is_small)
        yield run if last is None else replace(run, last=last)
    for name, path, offset, rows, first, last, part in entry["runs"]:
        if name == symbol:
            yield SpilledRun(source.number, part, first, last, root / path, offset, rows)


def rejected_of(source: Source, symbol: str, root: Path) -> pl.DataFrame:
    """The rejected rows of a file in the spill that stand with rows of a symbol."""
    if source.entry["rejected"] is None:
        return NONE_PLACED
    frame = read_spilled(root / source.entry["rejected"])
    own = frame.filter(pl.col("_symbol") == symbol).with_columns(_source=pl.lit(source.number, dtype=pl.UInt32))
    return own.select(NONE_PLACED.columns)
