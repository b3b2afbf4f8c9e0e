"""Archives that are streamed: what is built equals what all rows in memory give, however the files lie and are read."""

import dataclasses
import gzip
import json
import pickle
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from pipelines import partitions, runs, streaming, survey
from pipelines.archive import build_archive
from pipelines.bars import BarSpec
from pipelines.build import build_store
from pipelines.errors import DataError
from pipelines.features import FeaturePlan
from pipelines.ingest import read_archive
from pipelines.request import Request
from pipelines.schema import SourceHints
from pipelines.sources import streams
from pipelines.store import FeatureStore

NAMES = ["logret_1", "zscore_20", "rsi_wilder_14", "ofi_20", "tod_sin"]
MINUTE = BarSpec("time", 60 * 10**9)
NONE = BarSpec("none", 1)
START = 1_700_000_000 * 10**9  # 2023-11-14 22:13:20 UTC


SMALL = {
    (survey, "STREAMED_BYTES"): 1_000,
    (survey, "WHOLE_BYTES"): 1_000,
    (survey, "STREAMED_GZIP_BYTES"): 1_000,
    (survey, "STREAMED_ROWS"): 100,
    (survey, "SPILLED_ROWS"): 1_000,
    (survey, "BEGINNING"): 50,
    (streams, "HEAD_BYTES"): 4_000,
    (streams, "HEAD_ROWS"): 150,
    (streams, "BATCH_BYTES"): 9_000,
    (streams, "BATCH_ROWS"): 333,
    (runs, "BATCH_ROWS"): 333,
    (partitions, "PART_ROWS"): 700,
}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits so small that files of a few thousand rows are streamed in many batches, sorted in many parts."""
    for (module, name), value in SMALL.items():
        monkeypatch.setattr(module, name, value)


def ticks(rows: int, seed: int = 0, step_ns: int = 20 * 10**9) -> pl.DataFrame:
    """Trades over some days, some at the same time as the one before."""
    rng = np.random.default_rng(seed)
    steps = np.where(rng.random(rows) < 0.2, 0, rng.integers(1, 2 * step_ns // 10**6, rows) * 10**6)
    return pl.DataFrame(
        {
            "timestamp": START + np.cumsum(steps),
            "price": np.round(100 + np.cumsum(rng.normal(0, 0.05, rows)), 4),
            "volume": rng.integers(1, 9, rows).astype(float),
        }
    )


def csv(path: Path, frame: pl.DataFrame) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = frame.with_columns(pl.col("timestamp") // 10**6).write_csv()
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def parquet(path: Path, frame: pl.DataFrame) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.with_columns(pl.col("timestamp").cast(pl.Datetime("ns", "UTC"))).write_parquet(path, row_group_size=500)
    return path


def request(folder: Path, out: Path, spec: BarSpec = MINUTE, **more: object) -> Request:
    more = {"hints": SourceHints(), **more}
    return Request(sources=[folder], bars=spec, plan=FeaturePlan(NAMES), out=out, config_text="{}", **more)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def same_rows(one: FeatureStore, other: FeatureStore) -> None:
    assert one.symbols == other.symbols
    for symbol in one.symbols:
        mine, theirs = one.read(symbol), other.read(symbol)
        for name in mine.columns:
            assert mine[name].to_numpy().tobytes() == theirs[name].to_numpy().tobytes(), (symbol, name)
        assert {k: v.tobytes() for k, v in one.saved_state(symbol).items()} == {
            k: v.tobytes() for k, v in other.saved_state(symbol).items()
        }


def sorted_file(folder: Path) -> None:
    csv(folder / "AAA.csv", ticks(5000))
    parquet(folder / "BBB.parquet", ticks(5000, 1))


def compressed(folder: Path) -> None:
    csv(folder / "AAA.csv.gz", ticks(5000))


def days(folder: Path) -> None:
    frame = ticks(6000)
    for number in range(4):
        parquet(folder / str(number) / "AAA.parquet", frame[number * 1500 : (number + 1) * 1500])


def overlapping(folder: Path) -> None:
    frame = ticks(6000)
    for number in range(3):
        csv(folder / str(number) / "AAA.csv", frame.gather_every(3, number))
    csv(folder / "3" / "AAA.csv", ticks(400, 5))


def newest_first(folder: Path) -> None:
    csv(folder / "AAA.csv", ticks(5000).reverse())


def shuffled(folder: Path) -> None:
    frame = ticks(5000)
    csv(folder / "AAA.csv", pl.concat([frame[:3000], frame[3000:].sample(fraction=1.0, shuffle=True, seed=1)]))


def several_symbols(folder: Path) -> None:
    frame = ticks(6000)
    symbols = np.random.default_rng(3).choice(["AAA", "B/B", "CCC"], 6000)
    csv(folder / "all.csv", frame.with_columns(symbol=pl.Series(symbols)))


def grouped_by_symbol(folder: Path) -> None:
    frames = [ticks(2000, seed).with_columns(symbol=pl.lit(name)) for seed, name in enumerate(["AAA", "BBB", "CCC"])]
    csv(folder / "all.csv", pl.concat(frames))


def with_quotes(folder: Path) -> None:
    frame = ticks(4000)
    csv(folder / "0" / "AAA.csv", frame[:2000])
    quoted = frame[2000:].with_columns(bid=pl.col("price") - 0.01, ask=pl.col("price") + 0.01)
    csv(folder / "1" / "AAA.csv", quoted)


ARCHIVES = [
    sorted_file, compressed, days, overlapping, newest_first, shuffled, several_symbols, grouped_by_symbol, with_quotes,
]  # fmt: skip


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("spec", [MINUTE, NONE, BarSpec("tick", 7)], ids=lambda spec: spec.kind)
@pytest.mark.parametrize("archive", ARCHIVES)
def test_a_streamed_archive_gives_what_its_rows_in_memory_give(
    tmp_path: Path, archive: Callable[[Path], None], spec: BarSpec
) -> None:
    archive(tmp_path / "ticks")
    report = build_archive(request(tmp_path / "ticks", tmp_path / "store", spec))
    ingested = read_archive([tmp_path / "ticks"])
    whole = build_store(ingested, bars=spec, plan=FeaturePlan(NAMES), out=tmp_path / "whole", config_text="{}").store
    assert (report.rows_in, report.rows_out) == (ingested.rows_in, len(ingested.frame))
    assert report.store.verify() == []
    assert not (tmp_path / ".store.building").exists()
    same_rows(report.store, whole)


def volume_later(folder: Path) -> None:
    """A column that the first rows leave empty."""
    frame = ticks(5000).with_columns(pl.when(pl.int_range(5000) > 3000).then("volume").alias("volume"))
    csv(folder / "AAA.csv", frame)


def day_first(folder: Path) -> None:
    """Days up to the twelfth at first, which may be months."""
    frame = ticks(5000, step_ns=400 * 10**9).with_columns(pl.col("timestamp") + 17 * 86_400 * 10**9)
    stamps = frame["timestamp"].cast(pl.Datetime("ns")).dt.strftime("%d.%m.%Y %H:%M:%S")
    (folder).mkdir()
    (folder / "AAA.csv").write_text(frame.with_columns(timestamp=stamps).write_csv(), encoding="utf-8")


def other_symbol_later(folder: Path) -> None:
    name = pl.when(pl.int_range(5000) > 3000).then(pl.lit("BBB")).otherwise(pl.lit("AAA"))
    csv(folder / "all.csv", ticks(5000).with_columns(symbol=name))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("archive", [volume_later, day_first, other_symbol_later])
def test_a_small_text_that_its_first_rows_do_not_tell_of_is_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, archive: Callable[[Path], None]
) -> None:
    archive(tmp_path / "ticks")
    hints = SourceHints(timezone="UTC")
    monkeypatch.setattr(survey, "WHOLE_BYTES", 1 << 20)
    tried = build_archive(request(tmp_path / "ticks", tmp_path / "tried", hints=hints))
    monkeypatch.setattr(survey, "STREAMED_BYTES", 1 << 20)
    whole = build_archive(request(tmp_path / "ticks", tmp_path / "whole", hints=hints))
    assert [source["rows_in"] for source in tried.store.manifest["sources"]] == [5000]
    assert tried.described == whole.described
    assert content(tmp_path / "tried") == content(tmp_path / "whole")


@pytest.mark.usefixtures("small")
def test_small_texts_that_begin_alike_are_copies_only_if_all_their_rows_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "WHOLE_BYTES", 1 << 20)
    frame = ticks(5000)
    csv(tmp_path / "ticks" / "0" / "AAA.csv", frame)
    other = csv(tmp_path / "ticks" / "1" / "AAA.csv", frame[:3000])
    report = build_archive(request(tmp_path / "ticks", tmp_path / "store"))
    assert report.rows_in == 8000
    csv(other, frame.with_columns(pl.col("price").cast(pl.String) + "0"))
    with pytest.raises(DataError, match="the same rows"):
        build_archive(request(tmp_path / "ticks", tmp_path / "other"))


def with_bad_rows(folder: Path) -> None:
    """Rows of every kind of fault, at the beginning, inside and at the end; and a file that holds nothing else."""
    frame = ticks(4000).with_columns(trade_id=pl.int_range(4000))
    bad = pl.Series(np.random.default_rng(2).random(4000) < 0.05)
    bad[0], bad[1], bad[3999] = True, True, True
    frame = frame.with_columns(price=pl.when(bad).then(-1.0).otherwise("price"))
    again = frame[2000:2010]
    csv(folder / "0" / "AAA.csv", pl.concat([frame[:2010], again, frame[2010:]]).sort("timestamp", maintain_order=True))
    text = (folder / "0" / "AAA.csv").read_text().splitlines()
    text[700] += ",7,7"
    text[1700] = text[1700].replace(",", ",x", 1)
    (folder / "0" / "AAA.csv").write_text("\n".join(text) + "\n")
    csv(folder / "1" / "AAA.csv", ticks(300, 7).with_columns(trade_id=pl.int_range(300), price=-1.0))
    other = frame.with_columns(pl.col("timestamp").cast(pl.Datetime("ns", "UTC")), symbol=pl.lit("BBB"))
    other[1000:3000].write_parquet(folder / "other.parquet")
    csv(folder / "2" / "AAA.csv", frame[3000:3050])  # trades that are there already


@pytest.mark.usefixtures("small")
def test_rejected_rows_of_a_streamed_archive_are_those_of_its_rows_in_memory(tmp_path: Path) -> None:
    with_bad_rows(tmp_path / "ticks")
    report = build_archive(request(tmp_path / "ticks", tmp_path / "store"))
    ingested = read_archive([tmp_path / "ticks"])
    columns = ["file", "line", "reason"]
    mine = report.store.rejected().select(columns).sort(columns)
    assert mine.equals(ingested.rejected.select(columns).sort(columns))
    assert {"non_positive_price", "duplicate_trade_id", "unparsable_number:price"} < set(mine["reason"])
    assert report.rows_in == report.rows_out + sum(report.quarantined.values()) == ingested.rows_in
    raw = report.store.rejected().sort(columns).filter(pl.col("reason") != "duplicate_trade_id")["raw"]
    assert raw.equals(ingested.rejected.sort(columns).filter(pl.col("reason") != "duplicate_trade_id")["raw"])


def test_a_build_that_was_interrupted_goes_on_and_gives_the_same_bytes(tmp_path: Path, small: None) -> None:
    for archive in (days, several_symbols, with_bad_rows):
        archive(tmp_path / archive.__name__)
    folder = tmp_path / "days"
    build_archive(request(folder, tmp_path / "clean"))
    clean = content(tmp_path / "clean")

    for stop_at in (1, 4, 9, 12):
        taken = interrupt(request(folder, tmp_path / "store"), stop_at)
        assert not (tmp_path / "store").exists()
        assert (tmp_path / ".store.building").is_dir()
        assert taken > 0
    report = build_archive(request(folder, tmp_path / "store"))
    assert 0 < report.skipped < report.partitions
    assert report.taken < report.rows_in
    assert content(tmp_path / "store") == clean
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def interrupt(asked: Request, stop_at: int) -> int:
    """Run a build and stop it when so many batches of rows were taken; returns the rows."""
    calls: list[int] = []

    def advanced(done: int, total: int, partitions: int) -> None:
        if threading.current_thread().name.startswith("write"):
            return  # a finished partition
        calls.append(done)
        if len(calls) == stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_archive(dataclasses.replace(asked, advanced=advanced))
    return calls[-1]


def test_another_plan_does_not_go_on_with_what_was_interrupted(tmp_path: Path, small: None) -> None:
    days(tmp_path / "ticks")
    interrupt(request(tmp_path / "ticks", tmp_path / "store"), 9)
    other = BarSpec("time", 30 * 10**9)
    report = build_archive(request(tmp_path / "ticks", tmp_path / "store", other))
    assert report.skipped == 0
    build_archive(request(tmp_path / "ticks", tmp_path / "clean", other))
    assert content(tmp_path / "store") == content(tmp_path / "clean")


def test_what_changed_between_an_interruption_and_the_next_try_is_seen(tmp_path: Path, small: None) -> None:
    days(tmp_path / "ticks")
    interrupt(request(tmp_path / "ticks", tmp_path / "store"), 12)
    parquet(tmp_path / "ticks" / "1" / "AAA.parquet", ticks(6000)[1600:3000])
    csv(tmp_path / "ticks" / "9" / "AAA.csv", ticks(6000)[1500:1600])
    report = build_archive(request(tmp_path / "ticks", tmp_path / "store"))
    build_archive(request(tmp_path / "ticks", tmp_path / "clean"))
    assert report.skipped > 0
    assert content(tmp_path / "store") == content(tmp_path / "clean")


@pytest.mark.parametrize("spec", [MINUTE, NONE, BarSpec("tick", 7), BarSpec("time", 7 * 60 * 10**9)], ids=str)
def test_a_new_day_costs_that_day_and_gives_the_store_of_a_rebuild(tmp_path: Path, small: None, spec: BarSpec) -> None:
    frame = ticks(6000, step_ns=60 * 10**9)
    day = frame["timestamp"] // (86_400 * 10**9)
    frame = frame.filter(day < day[0] + 4)
    for number, (_, part) in enumerate(frame.group_by(pl.col("timestamp") // (86_400 * 10**9), maintain_order=True)):
        csv(tmp_path / "new" / f"AAA_{number}.csv", part)
    (tmp_path / "ticks").mkdir()
    for path in sorted((tmp_path / "new").glob("AAA_[0-2].csv")):
        shutil.copy(path, tmp_path / "ticks")
    first = build_archive(request(tmp_path / "ticks", tmp_path / "store", spec, hints=SourceHints(symbol="AAA")))
    shutil.copy(tmp_path / "new" / "AAA_3.csv", tmp_path / "ticks")
    report = build_archive(request(tmp_path / "ticks", tmp_path / "store", spec, hints=SourceHints(symbol="AAA")))
    assert (report.skipped, report.partitions) == (first.partitions, first.partitions + 1)
    assert report.taken == len(pl.read_csv(tmp_path / "new" / "AAA_3.csv"))
    assert report.store.verify() == []
    build_archive(request(tmp_path / "ticks", tmp_path / "clean", spec, hints=SourceHints(symbol="AAA")))
    grown = {name: data for name, data in content(tmp_path / "store").items() if not name.startswith("_retired")}
    assert grown == content(tmp_path / "clean")
    again = build_archive(request(tmp_path / "ticks", tmp_path / "store", spec, hints=SourceHints(symbol="AAA")))
    assert (again.skipped, again.taken, again.store.snapshot) == (again.partitions, 0, report.store.snapshot)


def test_symbols_side_by_side_give_the_same_bytes(tmp_path: Path, small: None) -> None:
    for archive in (several_symbols, with_bad_rows):
        archive(tmp_path / "ticks" / archive.__name__)
    csv(tmp_path / "ticks" / "late.csv", pl.concat([ticks(900, 4), ticks(900, 4)[:200]]))
    build_archive(request(tmp_path / "ticks", tmp_path / "one"))
    interrupt(request(tmp_path / "ticks", tmp_path / "three", workers=3), 7)
    assert not (tmp_path / "three").exists()
    build_archive(request(tmp_path / "ticks", tmp_path / "three", workers=3))
    assert content(tmp_path / "one") == content(tmp_path / "three")


def test_what_a_worker_needs_and_gives_can_travel(tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks go to other processes and machines, records come back: plain values, never rows."""
    sorted_file(tmp_path / "ticks")
    several_symbols(tmp_path / "ticks")
    sizes: list[int] = []

    def far_away(task: streaming.Task, plan: FeaturePlan, advanced: Callable[[int, int], None]) -> list[dict[str, Any]]:
        sent = pickle.dumps(task)
        records = streaming.build_symbol(pickle.loads(sent), plan, advanced)
        sizes.append(len(sent) + len(json.dumps(records)))
        return json.loads(json.dumps(records))  # type: ignore[no-any-return]

    monkeypatch.setattr("pipelines.archive.build_symbol", far_away)
    build_archive(request(tmp_path / "ticks", tmp_path / "far"))
    monkeypatch.undo()
    assert max(sizes) < 30_000
    assert FeatureStore.open(tmp_path / "far").verify() == []


@pytest.mark.parametrize("candles", [False, True])
def test_a_file_with_a_header_alone_is_a_quiet_day(tmp_path: Path, candles: bool) -> None:
    rows = ticks(200, step_ns=60 * 10**9)
    if candles:
        rows = rows.unique("timestamp", maintain_order=True).rename({"price": "open"})
        rows = rows.with_columns(high="open", low="open", close="open")
    csv(tmp_path / "in" / "b.csv", rows)
    alone = build_archive(request(tmp_path / "in", tmp_path / "alone"))
    csv(tmp_path / "in" / "a.csv", rows[:0])
    parquet(tmp_path / "in" / "c.parquet", rows[:0])
    report = build_archive(request(tmp_path / "in", tmp_path / "out"))
    assert (report.rows_in, list(report.broken)) == (alone.rows_in, [])
    assert {source["name"]: source["rows_in"] for source in report.store.manifest["sources"]} == {
        "a.csv": 0, "b.csv": len(rows), "c.parquet": 0
    }  # fmt: skip
    same_rows(report.store, alone.store)
    assert build_archive(request(tmp_path / "in", tmp_path / "out")).skipped == report.partitions
    assert read_archive([tmp_path / "in"]).rows_in == len(rows)


def test_headers_alone_are_no_archive(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        csv(tmp_path / "in" / name, ticks(0))
    with pytest.raises(DataError, match=r"a\.csv: no rows below its header, or in any other file; expected at least"):
        build_archive(request(tmp_path / "in", tmp_path / "out"))


@pytest.mark.parametrize(
    "data",
    [b"", b"\n\n", b"# a note\n", b"timestamp,pr\xefce\n1,2\n", b"timestamp,price\n1,\x00\n", b'{"error": 429}\n',
     b"<html><body>404, not found</body></html>\n", b"\x28\xb5\x2f\xfd zstd"],
)  # fmt: skip
def test_a_file_that_no_setting_mends_is_left_out_and_named(tmp_path: Path, data: bytes) -> None:
    csv(tmp_path / "in" / "a.csv", ticks(200))
    alone = build_archive(request(tmp_path / "in", tmp_path / "alone"))
    (tmp_path / "in" / "b.csv").write_bytes(data)
    with pytest.raises(DataError, match=r"b\.csv: "):
        build_archive(request(tmp_path / "in", tmp_path / "strict", strict=True))
    report = build_archive(request(tmp_path / "in", tmp_path / "out"))
    same_rows(report.store, alone.store)
    assert [problem.startswith(f"{tmp_path}/in/b.csv: ") for problem in report.broken] == [True]
    assert [name for name, _ in report.described] == ["a.csv"]


def test_a_page_of_parquet_that_its_checksum_denies_is_damage(tmp_path: Path) -> None:
    path = parquet(tmp_path / "in" / "a.parquet", ticks(200))
    frame = pl.read_parquet(path).to_arrow()
    pq.write_table(frame, path, compression="none", use_dictionary=False, write_page_checksum=True)
    data = bytearray(path.read_bytes())
    data[600] ^= 1  # in the times
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"a\.parquet: not a readable Parquet file .*CRC"):
        build_archive(request(tmp_path / "in", tmp_path / "out"))


def test_a_symbol_too_long_to_name_a_file_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    rows = ticks(100)
    csv(tmp_path / "in" / "a.csv", rows.with_columns(symbol=pl.lit("S" * 213)))
    assert build_archive(request(tmp_path / "in", tmp_path / "out")).store.symbols == ["S" * 213]
    csv(tmp_path / "in" / "b.csv", rows.with_columns(pl.col("timestamp") + 10**15, symbol=pl.lit("\u00fc" * 40)))
    with pytest.raises(
        DataError, match=r"b\.csv: a symbol of 40 characters, '\u00fc{40}' .*, is too long to name a file; "
    ):
        build_archive(request(tmp_path / "in", tmp_path / "other"))
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("note", ["", "of some words that make lines long"])
def test_how_many_rows_a_large_text_has_is_foretold(tmp_path: Path, note: str) -> None:
    rows = ticks(60_000, step_ns=10**9).with_columns(note=pl.lit(note))
    csv(tmp_path / "in" / "a.csv", rows)
    told: list[int] = []
    build_archive(
        request(tmp_path / "in", tmp_path / "out", advanced=lambda done, total, partitions: told.append(total))
    )
    assert told[0] == pytest.approx(len(rows), rel=0.03)


def test_two_symbols_of_equal_rows_are_no_copies_if_a_column_names_them(tmp_path: Path) -> None:
    rows = ticks(1)
    for symbol in ("BONDA", "BONDB"):
        csv(tmp_path / "in" / f"2024-03-07-{symbol}.csv", rows.with_columns(symbol=pl.lit(symbol)))
        csv(tmp_path / "named" / f"{symbol}.csv", rows)
    assert build_archive(request(tmp_path / "in", tmp_path / "out")).store.symbols == ["BONDA", "BONDB"]
    assert read_archive([tmp_path / "in"]).rows_in == 2
    for build in (
        lambda: build_archive(request(tmp_path / "named", tmp_path / "no")),
        lambda: read_archive([tmp_path / "named"]),
    ):
        with pytest.raises(
            DataError, match=r"BONDB\.csv: holds the same rows as .*BONDA\.csv, which would count twice"
        ):
            build()
    csv(tmp_path / "in" / "again.csv.gz", rows.with_columns(symbol=pl.lit("BONDB")))
    with pytest.raises(DataError, match=r"again\.csv\.gz: holds the same rows as .*BONDB\.csv"):
        build_archive(request(tmp_path / "in", tmp_path / "again"))
