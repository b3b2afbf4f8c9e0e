"""Stores that hold no rows: what is computed when it is read equals, to the bit, what would have been written."""

import dataclasses
import os
import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines import sums
from pipelines.archive import build_archive, plan_archive
from pipelines.bars import Bars, BarSpec
from pipelines.build import append_store
from pipelines.errors import DataError
from pipelines.features import FeatureStream
from pipelines.ingest import read_archive
from pipelines.panel import load_panel
from pipelines.reasons import Quality
from pipelines.request import Request
from pipelines.schema import SourceHints
from pipelines.store import FeatureStore
from pipelines.survey import Stamp
from tests.pipelines.test_archive import (
    MINUTE,
    NAMES,
    NONE,
    START,
    content,
    csv,
    interrupt,
    parquet,
    same_rows,
    small,
    ticks,
)
from tests.pipelines.test_archive import request as archive_request
from tests.pipelines.test_sessions import every_day, minutes

__all__ = ["every_day", "small"]
pytestmark = pytest.mark.usefixtures("small")
in_place = pytest.mark.parametrize("asked", ["none"], indirect=True)
SPECS = [NONE, MINUTE, BarSpec("time", 7 * 10**9), BarSpec("tick", 7), BarSpec("volume", 40.0), BarSpec("dollar", 5e3)]


def one_file(folder: Path) -> None:
    parquet(folder / "AAA.parquet", ticks(5000))


def several_symbols(folder: Path) -> None:
    for seed, symbol in enumerate(("AAA", "B.B", "CCC")):
        parquet(folder / f"{symbol}.parquet", ticks(3000, seed))


def days(folder: Path) -> None:
    frame = ticks(6000)
    for number in range(4):
        parquet(folder / str(number) / "AAA.parquet", frame[number * 1500 : (number + 1) * 1500])


def overlapping(folder: Path) -> None:
    frame = ticks(6000)
    for number in range(3):
        parquet(folder / str(number) / "AAA.parquet", frame.gather_every(3, number))
    parquet(folder / "3" / "AAA.parquet", ticks(400, 5))


def with_bad_rows(folder: Path) -> None:
    frame = ticks(6000).with_columns(trade_id=pl.int_range(6000))
    bad = np.random.default_rng(2).random(6000) < 0.05
    bad[[0, 1, 5999]] = True
    frame = frame.with_columns(price=pl.when(pl.Series(bad)).then(-1.0).otherwise("price"))
    again = pl.concat([frame[:2010], frame[2000:2010], frame[2010:]]).sort("timestamp", maintain_order=True)
    parquet(folder / "0" / "AAA.parquet", again[:4000])
    parquet(folder / "1" / "AAA.parquet", again[3990:])


def with_quotes(folder: Path) -> None:
    frame = ticks(4000)
    parquet(folder / "0" / "AAA.parquet", frame[:2000])
    quoted = frame[2000:].with_columns(bid=pl.col("price") - 0.01, ask=pl.col("price") + 0.01)
    parquet(folder / "1" / "AAA.parquet", quoted)


def text(folder: Path) -> None:
    csv(folder / "AAA.csv", ticks(2000))


def mixed_symbols(folder: Path) -> None:
    symbols = np.random.default_rng(3).choice(["AAA", "BBB"], 2000)
    parquet(folder / "all.parquet", ticks(2000).with_columns(symbol=pl.Series(symbols)))


def out_of_order(folder: Path) -> None:
    parquet(folder / "AAA.parquet", ticks(2000).reverse())


def out_of_order_later(folder: Path) -> None:
    frame = ticks(2000)
    parquet(folder / "AAA.parquet", pl.concat([frame[:1000], frame[1500:], frame[1000:1500]]))


def candles(folder: Path) -> None:
    frame = ticks(3000).unique("timestamp", maintain_order=True)
    stamps = START + 60 * 10**9 * np.arange(len(frame))
    prices = {name: frame["price"] + extra for name, extra in (("open", 0), ("high", 1), ("low", -1), ("close", 0.5))}
    parquet(folder / "AAA.parquet", pl.DataFrame({"timestamp": stamps, **prices, "volume": frame["volume"]}))


def bad_last_day(folder: Path) -> None:
    """The last period has rejected rows alone."""
    frame = ticks(1000)
    late = frame[-50:].with_columns(pl.col("timestamp") + 2 * 86_400 * 10**9, price=-1.0)
    parquet(folder / "AAA.parquet", pl.concat([frame, late]))


IN_PLACE = [one_file, several_symbols, days, overlapping, with_bad_rows, with_quotes, bad_last_day]
OTHER = [text, mixed_symbols, out_of_order, out_of_order_later, candles]


def both(folder: Path, spec: BarSpec, mode: str, **more: object) -> tuple[FeatureStore, FeatureStore]:
    """A store whose rows are computed, and one whose rows are written."""
    stores = [
        build_archive(archive_request(folder / "ticks", folder / each, spec, materialize=each, **more)).store
        for each in (mode, "all")
    ]
    return stores[0], stores[1]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.kind}-{spec.size:g}")
@pytest.mark.parametrize("archive", IN_PLACE)
def test_rows_computed_from_sources_are_those_that_would_be_written(
    tmp_path: Path, archive: Callable[[Path], None], spec: BarSpec
) -> None:
    archive(tmp_path / "ticks")
    equal_in_all(*both(tmp_path, spec, "none"))
    assert not list((tmp_path / "none").rglob("part-*"))


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.kind}-{spec.size:g}")
@pytest.mark.parametrize("archive", [*IN_PLACE, *OTHER])
def test_rows_computed_from_kept_input_are_those_that_would_be_written(
    tmp_path: Path, archive: Callable[[Path], None], spec: BarSpec
) -> None:
    archive(tmp_path / "ticks")
    computed, written = both(tmp_path, spec, "input")
    shutil.rmtree(tmp_path / "ticks")
    equal_in_all(computed, written)
    assert not list(computed.folder.glob("symbol=*"))
    kept = sum(file["rows"] for part in computed.manifest["partitions"] for file in part["input_files"])
    assert kept == computed.manifest["rows_out"]


def equal_in_all(computed: FeatureStore, written: FeatureStore) -> None:
    same_rows(computed, written)
    assert computed.span() == written.span()
    assert computed.verify() == []
    for key in ("rows_in", "rows_out", "quarantined"):
        assert computed.manifest[key] == written.manifest[key]
    assert computed.quality().equals(written.quality())
    assert computed.rejected().equals(written.rejected())
    for symbol in written.symbols:
        for rows in (1, 50, 10**6):
            mine, theirs = computed.tail(symbol, rows), written.tail(symbol, rows)
            assert mine[0].equals(theirs[0], null_equal=True)
            assert mine[1] == theirs[1]
        closed = [store.read(symbol, closed_only=True) for store in (computed, written)]
        assert closed[0].equals(closed[1], null_equal=True)


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[FeatureStore, FeatureStore]]:
    stores = {}
    for spec in SPECS[:4]:
        for mode in ("none", "input"):
            folder = tmp_path_factory.mktemp(spec.kind)
            overlapping(folder / "ticks")
            stores[f"{mode} {spec.kind} {spec.size:g}"] = both(folder, spec, mode)
    return stores


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_cut_of_computed_rows_is_that_of_written_ones(
    cut: dict[str, tuple[FeatureStore, FeatureStore]], data: st.DataObject
) -> None:
    computed, written = cut[data.draw(st.sampled_from(sorted(cut)))]
    begin = datetime.fromtimestamp(START // 10**9, UTC)
    offset = st.one_of(st.none(), st.integers(-3600, 140_000).map(lambda seconds: begin + timedelta(seconds=seconds)))
    start, end = data.draw(offset), data.draw(offset)
    columns = data.draw(st.sampled_from([None, ["close", "zscore_20"], ["timestamp"], ["rsi_wilder_14", "high"]]))
    mine, theirs = (store.read("AAA", columns, start=start, end=end) for store in (computed, written))
    assert mine.equals(theirs, null_equal=True)
    runs = list(computed.batches("AAA", columns, start=start, end=end))
    assert sum(len(next(iter(run.values()))) for run in runs) == len(theirs)


def market() -> pl.DataFrame:
    return ticks(6000, step_ns=60 * 10**9)


@pytest.fixture(params=["none", "input"])
def asked(tmp_path: Path, request: pytest.FixtureRequest) -> Request:
    """Three files of four days, built."""
    frame = market()
    for number in range(3):
        parquet(tmp_path / "ticks" / str(number) / "AAA.parquet", frame[number * 1500 : (number + 1) * 1500])
    asked = archive_request(tmp_path / "ticks", tmp_path / "store", materialize=request.param)
    build_archive(asked)
    return asked


def equals_a_rebuild(asked: Request, tmp_path: Path) -> FeatureStore:
    """The store is to the byte what a build from nothing gives, and its rows are those that it would write."""
    store = build_archive(dataclasses.replace(asked, out=tmp_path / "clean")).store
    mine = {name: data for name, data in content(asked.out).items() if not name.startswith("_retired")}
    assert mine == content(tmp_path / "clean")
    same_rows(store, build_archive(dataclasses.replace(asked, out=tmp_path / "written", materialize="all")).store)
    return store


@pytest.mark.parametrize("spec", [MINUTE, NONE, BarSpec("tick", 7)], ids=lambda spec: spec.kind)
def test_an_appended_store_is_a_rebuilt_one(tmp_path: Path, asked: Request, spec: BarSpec) -> None:
    asked = dataclasses.replace(asked, bars=spec, replace=True)
    build_archive(asked)
    parquet(tmp_path / "ticks" / "3" / "AAA.parquet", market()[4500:])
    asked = dataclasses.replace(asked, replace=False)
    assert build_archive(asked).skipped > 0
    equals_a_rebuild(asked, tmp_path)


def test_a_changed_or_late_file_makes_its_partitions_due(tmp_path: Path, asked: Request) -> None:
    frame = market()
    parquet(tmp_path / "ticks" / "2" / "AAA.parquet", frame[3000:4500].with_columns(pl.col("price") + 1.0))
    (work,) = plan_archive(asked)
    assert work.reason == "AAA.parquet changed or is gone"
    assert len(work.standing) > 0
    build_archive(asked)
    equals_a_rebuild(asked, tmp_path)
    parquet(tmp_path / "ticks" / "late" / "AAA.parquet", frame[2000:2100].with_columns(pl.col("timestamp") + 10**6))
    (work,) = plan_archive(asked)
    assert work.reason == "AAA.parquet is new"
    shutil.rmtree(tmp_path / "clean")
    shutil.rmtree(tmp_path / "written")
    build_archive(asked)
    equals_a_rebuild(asked, tmp_path)


@pytest.mark.parametrize("mode", ["none", "input"])
def test_symbols_side_by_side_give_the_same_bytes(tmp_path: Path, mode: str) -> None:
    several_symbols(tmp_path / "ticks")
    parquet(tmp_path / "ticks" / "late" / "CCC.parquet", ticks(300, 7))
    one = archive_request(tmp_path / "ticks", tmp_path / "one", materialize=mode)
    build_archive(one)
    three = dataclasses.replace(one, out=tmp_path / "three", workers=3)
    interrupt(three, 7)
    build_archive(three)
    assert content(tmp_path / "one") == content(tmp_path / "three")


def test_a_build_that_was_interrupted_goes_on_to_the_same_bytes(tmp_path: Path, asked: Request) -> None:
    other = dataclasses.replace(asked, out=tmp_path / "other")
    interrupt(other, 8)
    report = build_archive(other)
    assert report.skipped > 0
    assert content(tmp_path / "other") == content(asked.out)


@in_place
def test_a_source_that_moved_changed_or_is_gone_is_named(tmp_path: Path, asked: Request) -> None:
    store, path = FeatureStore.open(asked.out), tmp_path / "ticks" / "1" / "AAA.parquet"
    whole, data, stat = store.read("AAA"), path.read_bytes(), path.stat()
    path.unlink()
    with pytest.raises(DataError, match=r"1/AAA\.parquet: a source of this store, cannot be read: No such file .*; "
                       "the store keeps no rows of its own: put it back, or run build-features"):  # fmt: skip
        store.read("AAA")
    assert store.verify() == [f"{path}: missing, a source of this store"]
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"a source that changed since the store was built: expected [0-9,]+ bytes of "):
        store.read("AAA")
    assert store.verify() == []  # the time alone is another one
    assert build_archive(asked).taken == 0  # and is known afterwards
    assert FeatureStore.open(asked.out).read("AAA").equals(whole, null_equal=True)
    assert len(store.read("AAA", end=whole["timestamp"][50])) == 50  # of the first file alone
    (tmp_path / "moved").mkdir()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    (tmp_path / "ticks").rename(tmp_path / "moved" / "ticks")
    build_archive(dataclasses.replace(asked, sources=[tmp_path / "moved" / "ticks"]))
    assert FeatureStore.open(asked.out).read("AAA").equals(whole, null_equal=True)


@in_place
def test_a_source_that_was_altered_in_secret_is_found_by_its_rows(tmp_path: Path, asked: Request) -> None:
    path = tmp_path / "ticks" / "1" / "AAA.parquet"
    parquet(path, market()[1500:3000].with_columns(price=pl.col("price").reverse()))
    base = FeatureStore.open(asked.out)
    manifest = dict(base.manifest)
    manifest["sources"] = [{**one, "stamp": list(Stamp.of(Path(one["path"])))} for one in manifest["sources"]]
    store = FeatureStore(base.path, manifest)
    with pytest.raises(DataError, match=r"1/AAA\.parquet: a source that was altered .*: expected SHA-256 "):
        store.read("AAA")
    assert [problem.partition(": expected SHA-256")[0] for problem in store.verify()] == [str(path)]


def other_prices(path: Path) -> None:
    parquet(path, pl.read_parquet(path).with_columns(pl.col("price") + 0.5))


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def in_secret(change: Callable[[bytearray, int], None]) -> Callable[[Path], None]:
    """A change of the prices of the second of its groups of rows that leaves size and time, as a worn disk does."""

    def alter(path: Path) -> None:
        data, stat = bytearray(path.read_bytes()), path.stat()
        prices = pq.read_metadata(path).row_group(1).column(1)
        change(data, prices.data_page_offset + prices.total_compressed_size)
        path.write_bytes(data)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    alter.__name__ = change.__name__
    return alter


def spoilt_page(data: bytearray, end: int) -> None:
    data[end - 3000 : end] = b"\xff" * 3000


def one_bit(data: bytearray, end: int) -> None:
    data[end - 8 * 250] ^= 1


DAMAGES = {
    other_prices: r"a source that changed since the store was built: expected [0-9,]+ bytes of .* received .*; {}",
    cut_short: r"a source that changed since the store was built: expected 38,\d+ bytes of .* received 38,\d+ .*; {}",
    Path.unlink: r"a source of this store, cannot be read: No such file or directory; {}",
    in_secret(spoilt_page): r"a source that was altered since .* expected SHA-256 \w{{64}}, received \w{{64}}; {}",
    in_secret(one_bit): r"a source that was altered since .* expected SHA-256 \w{{64}}, received \w{{64}}; {}",
}


@pytest.fixture
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[FeatureStore, Path]:
    """A store whose rows are ticks, of three files in which every bit of a price stands alone; and the second file."""
    monkeypatch.setattr(sums, "SUMMED_ROWS", 100)
    frame = market()[:4500].with_columns(pl.col("timestamp").cast(pl.Datetime("ns", "UTC")))
    paths = [tmp_path / "ticks" / f"AAA_{number}.parquet" for number in range(3)]
    paths[0].parent.mkdir()
    for number, path in enumerate(paths):
        rows = frame[number * 1500 : (number + 1) * 1500]
        rows.write_parquet(path, row_group_size=500, compression="uncompressed")
    hints = SourceHints(symbol="AAA")
    asked = archive_request(paths[0].parent, tmp_path / "store", NONE, materialize="none", hints=hints)
    return build_archive(asked).store, paths[1]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_source_is_named_and_never_read_as_if_it_were_whole(
    plain: tuple[FeatureStore, Path], damage: Callable[[Path], None]
) -> None:
    store, path = plain
    whole = store.read("AAA")
    damage(path)
    words = f"^{re.escape(str(path))}: " + DAMAGES[damage].format(
        "the store keeps no rows of its own: put it back, or run build-features on the archive as it is now"
    )
    readings: list[Callable[[], object]] = [
        lambda: store.read("AAA"),
        lambda: store.tail("AAA", 3900),
        lambda: load_panel(store, NAMES),
        lambda: list(store.batches("AAA", ["close"], start=whole["timestamp"][2200], end=whole["timestamp"][2260])),
    ]
    for reading in readings:
        with pytest.raises(DataError, match=words):
            reading()
    (problem,) = store.verify()
    assert problem.startswith(f"{path}: ")
    untouched = store.read("AAA", end=whole["timestamp"][80])  # of a day that the file has no part in
    assert untouched.equals(whole[:80], null_equal=True)


def test_rows_are_handed_out_as_far_as_they_are_proven(plain: tuple[FeatureStore, Path]) -> None:
    store, path = plain
    names = ["timestamp", *NAMES]
    whole = store.read("AAA", names)
    in_secret(one_bit)(path)  # of row 2250
    handed: list[pl.DataFrame] = []
    with pytest.raises(DataError, match="a source that was altered"):
        handed.extend(pl.DataFrame(dict(run)) for run in store.batches("AAA", names))
    rows = pl.concat(handed)
    assert 1500 < len(rows) <= 2250
    assert rows.drop("timestamp").equals(whole[: len(rows)].drop("timestamp"), null_equal=True)


def test_a_store_that_another_version_built_is_told_from_an_altered_source(plain: tuple[FeatureStore, Path]) -> None:
    base, _ = plain
    for change in ({"sums": ["0" * 16]}, {"state": {**base.manifest["partitions"][1]["state"], "sha256": "0" * 64}}):
        partitions = [dict(part) for part in base.manifest["partitions"]]
        partitions[1] |= change
        store = FeatureStore(base.path, {**base.manifest, "partitions": partitions})
        words = rf"AAA from {partitions[1]['date']} on comes out otherwise .*; run build-features --overwrite"
        with pytest.raises(DataError, match=words):
            store.read("AAA")


def test_a_reader_of_the_store_before_an_update_goes_on_reading(tmp_path: Path, asked: Request) -> None:
    before = FeatureStore.open(asked.out)
    whole = before.read("AAA")
    late = market()[2000:2100].with_columns(pl.col("timestamp") + 10**6)
    parquet(tmp_path / "ticks" / "late" / "AAA.parquet", late)
    build_archive(asked)
    after = whole["timestamp"][-100]
    assert before.read("AAA", start=after).equals(whole[-100:], null_equal=True)
    assert list(asked.out.glob("_retired/symbol=AAA-*.npz"))


@pytest.mark.usefixtures("every_day")
@pytest.mark.parametrize("action", ["keep", "quarantine"])
@pytest.mark.parametrize("mode", ["none", "input"])
def test_sessions_are_computed_alike(tmp_path: Path, mode: str, action: str) -> None:
    parquet(tmp_path / "ticks" / "AAA.parquet", minutes(5))
    quality = Quality(calendar="XNYS", policy={"outside_session": action})  # type: ignore[dict-item]
    computed, written = both(tmp_path, NONE, mode, hints=SourceHints(quality=quality))
    same_rows(computed, written)
    np.testing.assert_array_equal(computed.session_edges(), written.session_edges())


@pytest.mark.parametrize("archive", OTHER)
def test_a_source_that_cannot_be_read_in_place_is_refused(tmp_path: Path, archive: Callable[[Path], None]) -> None:
    archive(tmp_path / "ticks")
    with pytest.raises(
        DataError, match=r"cannot be read in place again and again: expected Parquet or Feather on a disk"
    ):
        build_archive(archive_request(tmp_path / "ticks", tmp_path / "store", materialize="none"))
    assert not (tmp_path / "store").exists()


def test_a_store_of_the_other_kind_is_not_brought_up_to_date(asked: Request) -> None:
    for other in {"all", "input", "none"} - {asked.materialize}:
        with pytest.raises(DataError, match="holds a feature store made with other materialize; give --overwrite"):
            build_archive(dataclasses.replace(asked, materialize=other))


def test_what_is_read_is_computed_from_the_partition_on_and_no_further(
    tmp_path: Path, asked: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []
    close = FeatureStream.close_bars

    def counted(stream: FeatureStream, timestamp: np.ndarray, *more: np.ndarray) -> Bars:
        taken.extend(timestamp.tolist())
        return close(stream, timestamp, *more)

    monkeypatch.setattr(FeatureStream, "close_bars", counted)
    store = FeatureStore.open(asked.out)
    dates = [record["date"] for record in store.manifest["partitions"]]
    assert len(dates) > 2
    day = datetime.fromisoformat(dates[1]).replace(tzinfo=UTC)
    assert len(store.read("AAA", start=day, end=day + timedelta(hours=1))) > 0
    stamps = [datetime.fromtimestamp(stamp // 10**9, UTC) for stamp in taken]
    assert day <= min(stamps) <= max(stamps) < day + timedelta(days=1)


@pytest.mark.parametrize("mode", ["none", "input"])
def test_outlier_prints_that_are_set_aside_are_told_once(tmp_path: Path, mode: str) -> None:
    frame = ticks(3000)
    odd = pl.int_range(3000).is_in([500, 501, 1700, 1702, 2999])
    parquet(
        tmp_path / "ticks" / "AAA.parquet",
        frame.with_columns(pl.when(odd).then(150.0).otherwise("price").alias("price")),
    )
    quality = Quality(policy={"outlier_print": "quarantine"})
    computed, written = both(tmp_path, NONE, mode, hints=SourceHints(quality=quality))
    assert written.manifest["quarantined"]["outlier_print"] > 2
    equal_in_all(computed, written)


def test_rows_of_memory_are_added_to_kept_input(tmp_path: Path) -> None:
    csv(tmp_path / "ticks" / "0" / "AAA.csv", ticks(5000)[:2999])
    asked = archive_request(tmp_path / "ticks", tmp_path / "store", materialize="input")
    build_archive(asked)
    more = csv(tmp_path / "ticks" / "1" / "AAA.csv", ticks(5000)[2999:])
    store = append_store(FeatureStore.open(asked.out), read_archive([more])).store
    equal_in_all(store, build_archive(dataclasses.replace(asked, out=tmp_path / "all", materialize="all")).store)


@in_place
def test_rows_of_memory_have_no_place_in_a_store_without_rows(tmp_path: Path, asked: Request) -> None:
    more = csv(tmp_path / "more" / "AAA.csv", market()[5000:])
    with pytest.raises(
        DataError, match=r"holds no rows, .*: bring it up to date by build-features with the whole archi"
    ):
        append_store(FeatureStore.open(asked.out), read_archive([more]))


def test_an_altered_file_of_input_is_found_when_it_is_read(tmp_path: Path) -> None:
    one_file(tmp_path / "ticks")
    store = build_archive(archive_request(tmp_path / "ticks", tmp_path / "store", materialize="input")).store
    path = next(store.folder.glob("input/symbol=AAA/date=*/part-*.parquet"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"part-[0-9a-f]{12}\.parquet: expected SHA-256"):
        store.read("AAA")
    assert len(store.verify()) == 1
