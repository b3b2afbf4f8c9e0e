"""One symbol's rows to partitions of a feature store: a symbol and a period each, in time order, state carried.

A partition holds the rows that its input completes, in files of up to `PART_ROWS` rows, and the engine's state after
its last input. A time bar that ends where the period ends is complete by then, whatever follows, and belongs to it. A
bar that is open where the archive ends has a file of its own, which the next input makes void. A store whose rows are
computed when they are read holds its input in such files, or no files.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipelines import ledger, parts, sessions
from pipelines.bars import Bars, tick_arrays
from pipelines.features import FeaturePlan, FeatureStream
from pipelines.files import sha256_bytes
from pipelines.gathering import Gatherings
from pipelines.inputs import inputs_of, joined_inputs
from pipelines.making import Batch, Making, Named, Record
from pipelines.objects import Location
from pipelines.parquet_writer import Columns
from pipelines.part_files import PartFiles, Writer
from pipelines.parts import Entry, Period
from pipelines.prints import Judged, PrintJudge
from pipelines.quality import NONE_PLACED, parted, placed_rejected, reason_counts, refuse
from pipelines.reasons import OUTLIER_PRINT, OUTSIDE_SESSION
from pipelines.schema import OHLC, OPTIONAL_TICK_SCHEMA, REJECTED_SCHEMA
from pipelines.store import written_columns

PART_ROWS = 500_000  # of a data file, or one row group if that is larger
PUSH_ROWS = 125_000  # input rows that are no longer kept waiting for more
BLOCK_ROWS = 32_768  # that become bars at once: these stay in the cache until their features are made
_REJECTED_ROWS = 500_000  # of one quarantine file
INPUT = "input/"  # below which the input of a store lies that keeps it

Piece = tuple[str, pl.DataFrame, pl.DataFrame]  # first day of a period, rows, rejected rows


@dataclass
class Place:
    """Where a symbol's partitions go, and who is told.

    Attributes:
        root: the folder to write to. base: the store that finished partitions are part of, if another.
        finished: called with each record when all that it names is durable.
        advanced: called with the number of input rows that were taken.
    """

    root: Path
    base: Location
    finished: Callable[[Record], None]
    advanced: Callable[[int], None]

    def folder_of(self, item: Mapping[str, Any]) -> Location:
        """Below which of the two a file is."""
        return self.root if (self.root / item["path"]).exists() else self.base

    def keeps_input(self, making: Making) -> bool:
        """Whether files of input are written."""
        return making.materialize == "input"

    def tally(self, symbol: str, key: str, making: Making) -> parts.Tally | None:
        """What counts the finished rows of a partition in the place of files; None where files are written."""
        return None if making.materialize == "all" else parts.Tally(symbol, key, lambda columns: None)

    def keep_state(self, symbol: str, state: bytes) -> Entry:
        """Save the engine's state after a partition."""
        return Entry.write(self.root, parts.state_path(symbol), state)

    def keep_rejected(self, rejected: pl.DataFrame) -> dict[str, Any]:
        """Save quarantined rows."""
        return parts.write_rejected(self.root, rejected)


class SymbolBuild:
    """Runs the rows of one symbol and publishes them partition by partition, going on from finished ones."""

    def __init__(
        self, place: Place, symbol: str, making: Making, plan: FeaturePlan, records: Sequence[Record] = ()
    ) -> None:
        self.place, self.symbol, self.making = place, symbol, making
        self.stream = FeatureStream(making.bars, plan)
        self.before: str | None = None  # SHA-256 of the state that the next partition begins with
        self.last_input: int | None = None
        self._records: list[Record] = list(records)
        self._coming: list[Future[Record]] = []
        self._part: _Partition | None = None
        self.columns = written_columns(making.kind, making.bars)
        self.groups = self._groups()
        self.sources: Mapping[int, Named] = {}
        self.files: Mapping[int, str] = {}
        if self._records:
            state = self._records[-1]["state"]
            self.stream.restore(parts.read_state(place.folder_of(state), state))
            self._went_past(self._records[-1])

    def _groups(self) -> Gatherings:
        """What is written goes through these: finished rows, or input."""
        making = self.making
        if self.place.keeps_input(making):
            return Gatherings(parts.dtypes_of(_input_columns(making)), (), making.encoding.row_group_rows)
        return Gatherings(parts.dtypes_of(self.columns), making.features, making.encoding.row_group_rows)

    def _went_past(self, record: Record) -> None:
        self.before, self.last_input = record["state"]["sha256"], record["last_input"]

    def run(
        self,
        batches: Iterable[Batch],
        sources: Mapping[int, Named],
        files: Mapping[int, str] | None = None,
        *,
        grows: bool = False,
    ) -> list[Record]:
        """Take all batches.

        Args:
            sources: name and SHA-256 of the sources, under the numbers that `_source` holds. files: their paths.
            grows: rows of the period of the last record are added to it; else it is never met again.

        Returns:
            The records of all partitions of the symbol.
        """
        self.sources, self.files = sources, files or {}
        pieces = (piece for batch in batches for piece in cut(batch, self.making.period))
        deque(self.steps(pieces, grows=grows), maxlen=0)
        return self._records

    def steps(self, pieces: Iterable[Piece], *, grows: bool = False, last: bool = True) -> Iterator[None]:
        """Take pieces, one a step: what a step finished was handed over when it is done.

        Args:
            grows: as of `run`. last: whether no rows of the symbol follow the last piece.
        """
        with Writer() as writer:
            for key, rows, rejected in pieces:
                self._partition(key, writer, grows).take(rows, rejected)
                self.place.advanced(len(rows) + len(rejected))
                yield
            self._finish(last=last)
            self._records += [record.result() for record in self._coming]
            yield

    def _partition(self, key: str, writer: Writer, grows: bool) -> "_Partition":
        if self._part is not None and self._part.key == key:
            return self._part
        held: Record | None = None
        if self._part is not None:
            self._finish(last=False)
        elif self._records and self._records[-1]["date"] == key and grows:
            held = self._records.pop()
        elif self._records:
            self._close_last(writer)
        self._part = _Partition(self, key, writer, held)
        return self._part

    def _close_last(self, writer: Writer) -> None:
        """What was the end of the archive is followed by rows: give its last partition what the end held back."""
        if not self.making.closes_with_period:
            self._records[-1] = {**self._records[-1], "is_last": False, "open": None}
            self.place.finished(self._records[-1])
        elif self._records[-1]["is_last"]:
            held = self._records.pop()
            self._part = _Partition(self, held["date"], writer, held)
            self._finish(last=False)
        else:
            self.stream.flush()

    def _finish(self, *, last: bool) -> None:
        if self._part is not None:
            self._coming.append(self._part.finish(last=last))
            self._part = None


class _Partition:
    """The partition under way; `held` is its record so far, to which rows are added."""

    def __init__(self, build: SymbolBuild, key: str, writer: Writer, held: Record | None) -> None:
        self.build, self.key = build, key
        self._writer = writer
        self._tally = build.place.tally(build.symbol, key, build.making)
        self._judge = PrintJudge() if build.making.kind == "ticks" else None
        self._input: list[pl.DataFrame] = []
        self._rejected: list[pl.DataFrame] = []
        self._quarantine: list[Future[dict[str, Any]]] = []
        self._record: Record = {
            "symbol": build.symbol,
            "date": key,
            "rows_in": 0,
            "rows_out": 0,
            "quarantined": {},
            "findings": [],
            "steps": ledger.no_steps(),
            "sessions": self._sessions(),
            "inputs": [],
            "before": build.before,
            "last_input": build.last_input,
            "files": [],
            "input_files": [],
            "quarantine": [],
        }
        if held is not None:
            self._record = {**held, "files": list(held["files"]), "input_files": list(held["input_files"])}
        self._files = self._new_files()
        self._take_back_tail()

    def _take_back_tail(self) -> None:
        """The last file is written anew with what follows, unless it is full."""
        if self._record["files"] and self._tally is not None:
            self._tally.go_on(self._record["files"].pop())
        entries = self._files.entries
        if entries and entries[-1]["rows"] < self._files.size:
            item = entries.pop()
            self._files.add(parts.read_part(self.build.place.folder_of(item), item), item["rows"])

    def _new_files(self) -> PartFiles:
        """Of finished rows, or of input where these are but counted."""
        build, key, encoding = self.build, self.key, self.build.making.encoding
        below, entries = ("", "files") if self._tally is None else (INPUT, "input_files")

        def begin() -> parts.PartFile:  # without `self`: a circle would hold row groups until the next search for such
            return parts.PartFile(build.place.root, build.symbol, key, encoding, below=below)

        size = max(PART_ROWS // encoding.row_group_rows, 1) * encoding.row_group_rows
        return PartFiles(self._writer, build.groups, begin, size=size, entries=self._record[entries])

    def take(self, rows: pl.DataFrame, rejected: pl.DataFrame) -> None:
        """Take rows that come next, and what was rejected beside them."""
        if self.build.making.quality.calendar is not None and len(rows):
            rows = self._inside(rows)
        if self._judge is None or rows.is_empty():
            self._enter(rows, rejected)
            return
        if len(rejected):
            self._enter(rows.clear(), rejected)
        self._enter_judged(self._judge.take(rows))

    def _inside(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows without those outside the sessions, or with these marked, as the policy says."""
        outside = sessions.is_outside(rows["timestamp"].to_physical().to_numpy(), self._record["sessions"])
        rows, found = parted(rows, pl.Series(outside), OUTSIDE_SESSION, self.build.making.quality.policy)
        self._enter(rows.clear(), placed_rejected(found, OUTSIDE_SESSION, self.build.files))
        return rows

    def _sessions(self) -> list[sessions.Session]:
        """Those of the period, and of the time without rows before it."""
        making, before = self.build.making, self.build.last_input
        if making.quality.calendar is None:
            return []
        start, end = parts.period_bounds(self.key, making.period)
        return sessions.between(making.quality.calendar, start if before is None else min(before, start), end)

    def _enter_judged(self, judged: Judged) -> None:
        """Enter rows of which it is known whether they are outlier prints."""
        for rows, is_outlier in judged:
            rejected = NONE_PLACED
            if is_outlier.any():
                rows, found = parted(rows, pl.Series(is_outlier), OUTLIER_PRINT, self.build.making.quality.policy)
                rejected = placed_rejected(found, OUTLIER_PRINT, self.build.files)
            self._enter(rows, rejected)

    def _enter(self, rows: pl.DataFrame, rejected: pl.DataFrame) -> None:
        sources = self.build.sources
        record, quality = self._record, self.build.making.quality
        refuse(rejected, quality.policy)
        record["rows_in"] += len(rows) + len(rejected)
        record["rows_out"] += len(rows)
        for found in filter(len, (rows, rejected)):
            record["inputs"] = joined_inputs(record["inputs"], inputs_of(found, sources))
        if len(rejected):
            record["quarantined"] = _added(record["quarantined"], reason_counts(rejected))
            record["findings"] = ledger.joined(record["findings"], ledger.of_rejected(rejected))
            self._rejected.append(rejected.select(*REJECTED_SCHEMA))
            if sum(map(len, self._rejected)) >= _REJECTED_ROWS:
                self._write_rejected()
        if len(rows):
            stamps = rows["timestamp"].to_physical()
            record["findings"] = ledger.joined(record["findings"], ledger.of_kept(rows, sources))
            max_gap_ns = self.build.making.max_gap_ns
            record["steps"] = ledger.with_steps(record["steps"], stamps, record["last_input"], max_gap_ns)
            record["last_input"] = int(stamps[-1])
            self._input.append(_conformed(rows, self.build.making))
            if self.build.place.keeps_input(self.build.making):
                self._files.add(_plain(self._input[-1]), len(rows))
            self._push(PUSH_ROWS)

    def _push(self, least: int) -> None:
        """Run input through the engine block by block, if there are at least so many rows."""
        if sum(map(len, self._input)) >= least:
            rows = pl.concat(self._input)
            self._input = []
            for bars in self._bars_of(rows):
                self._add_bars(bars)

    def _bars_of(self, rows: pl.DataFrame) -> Iterator[Bars]:
        blocks = (slice(start, start + BLOCK_ROWS) for start in range(0, len(rows), BLOCK_ROWS))
        if self.build.making.kind == "candles":
            yield from (Bars.from_candles(rows[block]) for block in blocks)
            return
        timestamp, price, volume, side, quotes = tick_arrays(rows, copied=False)
        for block in blocks:
            quoted = None if quotes is None else quotes[:, block]
            yield self.build.stream.close_bars(timestamp[block], price[block], volume[block], side[block], quoted)

    def _add_bars(self, bars: Bars) -> None:
        """Write finished rows and their features to where the encoder reads them, or hand them on."""
        push = self.build.stream.push_bars
        if self._tally is not None:
            self._tally.write(self._finished(*push(bars)))
        else:
            base = self._base
            self._files.take(len(bars), lambda block: base(bars[block]), lambda block, out: push(bars[block], out))

    def _take_finished(self, columns: Columns, rows: int) -> None:
        if self._tally is None:
            self._files.add(columns, rows)
        else:
            self._tally.write(columns)

    def _base(self, bars: Bars) -> dict[str, NDArray[Any]]:
        return {name: getattr(bars, name) for name in self.build.columns}

    def _finished(self, bars: Bars, features: NDArray[np.float32]) -> Columns:
        return self._base(bars) | dict(zip(self.build.making.features, features.T, strict=True))

    def _write_rejected(self) -> None:
        if self._rejected:
            rejected = pl.concat(self._rejected).sort("file", "line", maintain_order=True)
            self._quarantine.append(self._writer.submit(self.build.place.keep_rejected, rejected))
            self._rejected = []

    def finish(self, *, last: bool) -> Future[Record]:
        """Hand over what is left; the record of the partition comes when all that it names is durable."""
        build = self.build
        if self._judge is not None:
            self._enter_judged(self._judge.rest())
        self._push(1)
        state = parts.state_bytes(build.stream.state)
        build.before, build.last_input = sha256_bytes(state), self._record["last_input"]
        open_row: Columns | None = None
        if last or build.making.closes_with_period:
            bars, features = build.stream.flush()
            rest = self._finished(bars, features)
            if not last:
                self._take_finished(rest, len(bars))
            elif len(bars):
                open_row = rest
        self._files.hand_over()
        self._write_rejected()
        return self._writer.submit(self._conclude, state, open_row, last)

    def _conclude(self, state: bytes, open_row: Columns | None, last: bool) -> Record:
        """Write the state and enter the record, after all files before it."""
        self._files.close()
        symbol, record, place = self.build.symbol, self._record, self.build.place
        record["quarantine"] = [*record["quarantine"], *(file.result() for file in self._quarantine)]
        if self._tally is not None and self._tally.rows:
            record["files"].append(self._tally.finish())
        record["open"] = None if open_row is None else self._of_open(open_row)
        record |= {"state": vars(place.keep_state(symbol, state)), "is_last": last}
        place.finished(record)
        return record

    def _of_open(self, row: Columns) -> dict[str, Any]:
        """The entry of a bar that is open where the archive ends."""
        if self._tally is not None:
            self._tally.write(row)
            return self._tally.finish()
        self._files.write(row)
        self._files.close()
        return dict(self._files.entries.pop())


def _input_columns(making: Making) -> list[str]:
    return ["timestamp", *(OHLC if making.kind == "candles" else ("price",)), "volume", *making.columns]


def _plain(rows: pl.DataFrame) -> Columns:
    """Input as it is kept: what is unknown is NaN, a side that is, 0, as the engine takes them."""
    unknown = {"side": 0.0}
    floats = rows.select(pl.exclude("timestamp").cast(pl.Float64))
    columns = {name: floats[name].fill_null(unknown.get(name, np.nan)).to_numpy() for name in floats.columns}
    return {"timestamp": rows["timestamp"].to_physical().to_numpy()} | columns


def cut(batch: Batch, period: Period) -> Iterator[Piece]:
    """What is in each period, in order."""
    rows, rejected = batch.rows, batch.rejected
    times = rows["timestamp"].to_physical() if len(rows) else pl.Series(dtype=pl.Int64)
    stamps = {"rows": times, "rejected": rejected["_stamp"]}
    cuts = {name: {key: (start, stop) for key, start, stop in parts.periods(stamps[name], period)} for name in stamps}
    for key in sorted(cuts["rows"].keys() | cuts["rejected"].keys()):
        (first, stop), (bad, last_bad) = (cuts[name].get(key, (0, 0)) for name in stamps)
        yield key, rows[first:stop], rejected[bad:last_bad]


def _conformed(rows: pl.DataFrame, making: Making) -> pl.DataFrame:
    """Rows with every column that some source has: quotes that are absent are unknown, in every batch alike."""
    if making.kind == "candles":
        return rows.select(_input_columns(making))
    present = [
        name if name in rows.columns else pl.lit(None, OPTIONAL_TICK_SCHEMA[name]).alias(name)
        for name in making.columns
    ]
    return rows.select("timestamp", "price", "volume", *present) if present else rows[["timestamp", "price", "volume"]]


def _added(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {reason: one.get(reason, 0) + other.get(reason, 0) for reason in sorted(one.keys() | other.keys())}
