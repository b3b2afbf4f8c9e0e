"""Feature stores: what is written, what is read back, and that an append equals a rebuild."""

import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from filelock import FileLock

from pipelines.bars import BarSpec
from pipelines.build import BuildReport, append_store, build_store
from pipelines.errors import DataError
from pipelines.features import FeaturePlan, FeatureStream
from pipelines.ingest import Ingested, read_archive
from pipelines.store import KEYS, SCHEMA_VERSION, FeatureStore, write_manifest

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["logret_1", "zscore_20", "rsi_wilder_14", "ofi_20", "tod_sin"]
MINUTE = BarSpec("time", 60 * 10**9)
START = 1_700_000_000 * 10**9  # 2023-11-14 22:13:20 UTC: the ticks below cross midnight


def write_ticks(path: Path, first: int, last: int, symbols: tuple[str, ...] = ("AAA", "B/B")) -> Path:
    """Ticks number `first` to `last` of an endless deterministic tape, with one bad row, as CSV."""
    lines = ["timestamp,symbol,price,volume"]
    for number in range(first, last):
        for shift, symbol in enumerate(symbols):
            price = 100 + 5 * np.sin(number / 50 + shift) + 0.01 * (number % 7)
            lines.append(f"{START // 10**6 + number * 4000 + number % 3},{symbol},{price:.4f},{1 + number % 5}")
    lines.insert(5, f"{START // 10**6 + first * 4000},AAA,-1,1")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def ticks(tmp_path: Path) -> Ingested:
    return read_archive([write_ticks(tmp_path / "ticks.csv", 0, 6000)])


def build(ingested: Ingested, out: Path, spec: BarSpec = MINUTE, **more: bool) -> BuildReport:
    return build_store(ingested, bars=spec, plan=FeaturePlan(NAMES), out=out, config_text="{}\n", **more)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_rows_are_accounted_for_and_read_back(ticks: Ingested, tmp_path: Path) -> None:
    report = build(ticks, tmp_path / "store")
    assert (report.rows_in, report.rows_out) == (12_001, 12_000)
    assert report.quarantined == {"non_positive_price": 1}
    store = FeatureStore.open(tmp_path / "store")
    assert store.symbols == ["AAA", "B/B"]
    assert store.features == NAMES
    rejected = store.rejected().row(0, named=True)
    assert (Path(rejected["file"]).name, rejected["line"], rejected["reason"]) == ("ticks.csv", 6, "non_positive_price")
    frame = store.read("AAA")
    assert frame.columns == ["timestamp", "last_timestamp", "open", "high", "low", "close", "volume", *NAMES]
    assert frame["timestamp"].is_sorted()
    assert frame.schema["zscore_20"] == pl.Float32
    assert store.verify() == []
    assert [str(day) for day in store.span()] == ["2023-11-14", "2023-11-15"]


def test_polars_reads_it_by_its_folders(ticks: Ingested, tmp_path: Path) -> None:
    build(ticks, tmp_path / "store")
    frame = pl.read_parquet(tmp_path / "store" / "symbol=*" / "**" / "*.parquet", hive_partitioning=True)
    store = FeatureStore.open(tmp_path / "store")
    assert len(frame) == sum(len(store.read(symbol)) for symbol in store.symbols)
    assert {"symbol", "date"} <= set(frame.columns)


def test_same_input_gives_the_same_bytes(ticks: Ingested, tmp_path: Path) -> None:
    build(ticks, tmp_path / "one")
    build(ticks, tmp_path / "two")
    assert content(tmp_path / "one") == content(tmp_path / "two")


@pytest.mark.parametrize("spec", [MINUTE, BarSpec("tick", 7), BarSpec("none", 1)], ids=lambda spec: spec.kind)
@pytest.mark.parametrize("cut", [1, 17, 3000, 5999])
def test_an_append_equals_a_rebuild(tmp_path: Path, spec: BarSpec, cut: int) -> None:
    parts = [
        write_ticks(tmp_path / "a.csv", 0, cut),
        write_ticks(tmp_path / "b.csv", cut, 6000, ("AAA", "NEW")),
    ]
    build(read_archive([parts[0]]), tmp_path / "grown", spec)
    append_store(FeatureStore.open(tmp_path / "grown"), read_archive([parts[1]]))
    build(read_archive(parts), tmp_path / "whole", spec)
    grown, whole = FeatureStore.open(tmp_path / "grown"), FeatureStore.open(tmp_path / "whole")
    assert grown.verify() == []
    assert grown.symbols == whole.symbols == ["AAA", "B/B", "NEW"]
    for symbol in whole.symbols:
        one, other = grown.read(symbol), whole.read(symbol)
        for name in one.columns:
            assert one[name].to_numpy().tobytes() == other[name].to_numpy().tobytes(), (symbol, name)
        assert {k: v.tobytes() for k, v in grown.saved_state(symbol).items()} == {
            k: v.tobytes() for k, v in whole.saved_state(symbol).items()
        }
    assert grown.manifest["rows_in"] == whole.manifest["rows_in"]
    assert grown.manifest["quarantined"] == whole.manifest["quarantined"]
    if grown.manifest["period"] == whole.manifest["period"]:
        assert [f["sha256"] for f in grown.manifest["files"]] == [f["sha256"] for f in whole.manifest["files"]]


def test_rows_older_than_the_store_are_quarantined(tmp_path: Path) -> None:
    build(read_archive([write_ticks(tmp_path / "a.csv", 100, 3000, ("AAA",))]), tmp_path / "store")
    report = append_store(
        FeatureStore.open(tmp_path / "store"), read_archive([write_ticks(tmp_path / "b.csv", 0, 4000, ("AAA",))])
    )
    assert report.quarantined["late"] == 3000
    assert report.rows_in == report.rows_out + sum(report.quarantined.values())
    assert report.store.verify() == []
    assert report.store.rejected().filter(pl.col("reason") == "late").height == 3000


def test_a_growing_file_is_read_for_its_new_rows(tmp_path: Path) -> None:
    path = write_ticks(tmp_path / "ticks.csv", 0, 3000, ("AAA",))
    build(read_archive([path]), tmp_path / "store")
    write_ticks(path, 0, 4000, ("AAA",))
    report = append_store(FeatureStore.open(tmp_path / "store"), read_archive([path]))
    assert (report.rows_in, report.rows_out, report.held) == (1001, 1000, 3000)
    assert report.store.rejected()["reason"].to_list() == ["non_positive_price"] * 2
    assert report.store.verify() == []


def test_a_reader_of_the_store_before_an_append_goes_on_reading(tmp_path: Path) -> None:
    build(read_archive([write_ticks(tmp_path / "a.csv", 0, 3000)]), tmp_path / "store")
    before = FeatureStore.open(tmp_path / "store")
    rows, bars = before.read("AAA"), before.saved_state("AAA")["bars"].tobytes()
    append_store(before, read_archive([write_ticks(tmp_path / "b.csv", 3000, 4000)]))
    assert before.read("AAA").equals(rows, null_equal=True)
    assert before.saved_state("AAA")["bars"].tobytes() == bars
    globbed = pl.read_parquet(tmp_path / "store" / "symbol=*" / "**" / "*.parquet", hive_partitioning=True)
    after = FeatureStore.open(tmp_path / "store")
    assert len(globbed) == sum(len(after.read(symbol)) for symbol in after.symbols)
    (tmp_path / "store" / "notes.txt").write_text("mine")
    (tmp_path / "store" / "symbol=AAA" / "part-0123456789ab.parquet").write_text("left by a crash")
    grown = append_store(after, read_archive([write_ticks(tmp_path / "c.csv", 4000, 5000)])).store
    assert grown.verify() == [f"{tmp_path / 'store' / 'notes.txt'}: not named in manifest.json"]


def test_two_appends_never_lose_rows(tmp_path: Path) -> None:
    build(read_archive([write_ticks(tmp_path / "a.csv", 0, 1000, ("AAA",))]), tmp_path / "store")
    base = FeatureStore.open(tmp_path / "store")
    append_store(base, read_archive([write_ticks(tmp_path / "b.csv", 1000, 2000, ("BBB",))]))
    append_store(base, read_archive([write_ticks(tmp_path / "c.csv", 1000, 2000, ("CCC",))]))
    assert FeatureStore.open(tmp_path / "store").symbols == ["AAA", "BBB", "CCC"]
    with FileLock(tmp_path / ".store.lock"), pytest.raises(DataError, match="another process is appending"):
        append_store(base, read_archive([tmp_path / "c.csv"]))


def test_the_tail_is_the_end_of_the_finished_rows(ticks: Ingested, tmp_path: Path) -> None:
    store = build(ticks, tmp_path / "store").store
    finished = store.read("AAA", closed_only=True)
    for rows in (1, 10, 200, 10_000):
        tail, before = store.tail("AAA", rows)
        assert tail.equals(finished.tail(rows), null_equal=True)
        assert before == len(finished) - len(tail)


def test_a_span_reads_the_same_rows_as_a_filter(ticks: Ingested, tmp_path: Path) -> None:
    store = build(ticks, tmp_path / "store").store
    whole = store.read("AAA")
    start, end = datetime(2023, 11, 14, 23, tzinfo=UTC), datetime(2023, 11, 15, tzinfo=UTC)
    inside = whole.filter((pl.col("timestamp") >= start) & (pl.col("timestamp") < end))
    assert 0 < len(inside) < len(whole)
    assert store.read("AAA", start=start, end=end).equals(inside, null_equal=True)


def test_a_manifest_that_names_files_elsewhere_is_refused(ticks: Ingested, tmp_path: Path) -> None:
    store = build(ticks, tmp_path / "store").store
    manifest = {name: value for name, value in store.manifest.items() if name != "snapshot"}
    manifest["files"][0]["path"] = "../victim/part-0.parquet"
    write_manifest(store.path, manifest)
    with pytest.raises(DataError, match=r"names '\.\./victim/part-0\.parquet', which lies outside the store"):
        FeatureStore.open(store.path)


def test_saved_state_goes_on_where_the_store_ends(ticks: Ingested, tmp_path: Path) -> None:
    build(ticks, tmp_path / "store")
    store = FeatureStore.open(tmp_path / "store")
    later = read_archive([write_ticks(tmp_path / "later.csv", 6000, 7000, ("AAA",))])
    stream = FeatureStream(MINUTE, FeaturePlan(NAMES))
    stream.restore(store.saved_state("AAA"))
    from pipelines.bars import tick_arrays

    _, matrix = stream.push_ticks(*tick_arrays(later.frame))
    closed = len(store.read("AAA", closed_only=True))
    append_store(store, later)
    grown = FeatureStore.open(tmp_path / "store").read("AAA", closed_only=True)
    assert grown[closed:].select(NAMES).to_numpy().tobytes() == np.ascontiguousarray(matrix).tobytes()


def test_candles_of_a_sparse_market_share_files(tmp_path: Path) -> None:
    path = tmp_path / "daily.csv"
    days = pl.date_range(pl.date(2019, 1, 1), pl.date(2021, 12, 31), eager=True)
    path.write_text("date,open,high,low,close,volume\n" + "".join(f"{day},1,2,0.5,1.5,0\n" for day in days))
    report = build(read_archive([path]), tmp_path / "store")
    assert [file["date"] for file in report.store.manifest["files"]] == ["2019-01-01", "2020-01-01", "2021-01-01"]
    with pytest.raises(DataError, match="holds candles, received ticks"):
        append_store(report.store, read_archive([write_ticks(tmp_path / "t.csv", 0, 100)]))


def test_a_store_in_the_way_is_kept(ticks: Ingested, tmp_path: Path) -> None:
    out = tmp_path / "store"
    build(ticks, out)
    before = content(out)
    with pytest.raises(DataError, match=r"holds a feature store already; give --overwrite"):
        build(ticks, out)
    assert content(out) == before
    build(ticks, out, replace=True)
    assert content(out) == before
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("ten years of work")
    with pytest.raises(DataError, match="exists and is not a feature store"):
        build(ticks, tmp_path / "other", replace=True)
    assert (tmp_path / "other" / "thesis.tex").exists()


def test_a_failed_build_leaves_nothing(ticks: Ingested, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_store(
            ticks, bars=MINUTE, plan=FeaturePlan(NAMES), out=tmp_path / "new" / "store", config_text="", progress=stop
        )
    assert list((tmp_path / "new").iterdir()) == []


def test_an_unwritable_output_folder_is_named(ticks: Ingested, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"create the output folder: .*file is not a folder; give a writable one"):
        build(ticks, tmp_path / "file" / "store")


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    write_ticks(tmp_path / "ticks.csv", 0, 6000)
    program = f"""
        import resource, signal, sys
        sys.path.insert(0, {str(Path(__file__).parents[2])!r})
        from tests.pipelines.test_build import build
        from pipelines.errors import DataError
        from pipelines.ingest import read_archive
        from pathlib import Path
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        ticks = read_archive([Path({str(tmp_path / "ticks.csv")!r})])
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
        try:
            build(ticks, Path({str(tmp_path / "store")!r}))
        except DataError as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.startswith(f"{tmp_path / '.tmp-'}")
    assert done.stdout.endswith("cannot be written: File too large; free some space or give another folder\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ticks.csv"]


@pytest.mark.parametrize("victim", ["part", "state", "columns", "manifest", "quarantine"])
def test_one_flipped_bit_is_found(ticks: Ingested, tmp_path: Path, victim: str) -> None:
    out = tmp_path / "store"
    build(ticks, out)
    pattern = {
        "part": "symbol=AAA/*/part-*.parquet",
        "state": "_state/*.npz",
        "columns": "config.yaml",
        "manifest": "manifest.json",
        "quarantine": "quarantine/*.parquet",
    }[victim]
    path = sorted(out.glob(pattern))[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    if victim == "manifest":
        with pytest.raises(DataError, match=r"manifest\.json"):
            FeatureStore.open(out)
    else:
        problems = FeatureStore.open(out).verify()
        assert len(problems) == 1
        assert str(path) in problems[0]


@pytest.mark.parametrize(
    ("victim", "read"),
    [
        ("symbol=AAA/*/part-*.parquet", lambda store: store.read("AAA")),
        ("symbol=AAA/*/part-*.parquet", lambda store: store.tail("AAA", 10_000)),
        ("_state/symbol=AAA-*.npz", lambda store: store.saved_state("AAA")),
        ("quarantine/*.parquet", lambda store: store.rejected()),
    ],
)
def test_what_was_altered_is_not_read(
    ticks: Ingested, tmp_path: Path, victim: str, read: Callable[[FeatureStore], object]
) -> None:
    store = build(ticks, tmp_path / "store").store
    last = store.path / store.manifest["symbols"]["AAA"]["state"]["path"]
    path = last if victim.startswith("_state") else sorted(store.path.glob(victim))[0]
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError) as caught:
        read(store)
    (problem,) = store.verify()
    assert str(caught.value) == f"{problem}; rebuild the store"


def test_the_schema_number_stands_for_these_keys(ticks: Ingested, tmp_path: Path) -> None:
    """Whoever changes a key here raises `SCHEMA_VERSION` with it: old stores must be refused, not misread."""
    store = build(ticks, tmp_path / "store").store
    manifest = store.manifest
    assert (SCHEMA_VERSION, set(manifest)) == (6, KEYS)
    assert set(manifest["bars"]) == {"kind", "size"}
    assert set(manifest["files"][0]) == {"path", "sha256", "size", "symbol", "date", "rows", "first", "last"}
    assert set(manifest["symbols"]["AAA"]) == {"open_bar", "last_input", "state"}
    assert set(manifest["sources"][0]) == {"name", "sha256", "rows_in"}
    assert set(manifest["partitions"][0]) == {
        "symbol", "date", "rows_in", "rows_out", "quarantined", "findings", "steps", "sessions", "inputs", "before",
        "state", "last_input", "files", "open", "is_last", "input_files", "quarantine", "sums",
    }  # fmt: skip
    assert set(manifest["documents"][0]) == set(manifest["symbols"]["AAA"]["state"]) == {"path", "sha256", "size"}


@pytest.mark.parametrize("change", [{"schema": 1}, {"schema": None}, {"documents": None}])
def test_a_store_of_another_version_is_one_line(ticks: Ingested, tmp_path: Path, change: dict[str, object]) -> None:
    store = build(ticks, tmp_path / "store").store
    changed = store.manifest | change
    write_manifest(store.path, {k: v for k, v in changed.items() if v is not None and k != "snapshot"})
    with pytest.raises(DataError, match=r"manifest\.json: made by another version .*; rebuild it with build-features"):
        FeatureStore.open(store.path)


KILLED = """
import os, signal, sys
from pathlib import Path
from pipelines.ingest import read_archive
from tests.pipelines.test_build import build_with_progress
build_with_progress(
    read_archive([Path(sys.argv[1])]), Path(sys.argv[2]), lambda done, total: os.kill(os.getpid(), signal.SIGKILL)
)
"""


def build_with_progress(ticks: Ingested, out: Path, progress: Callable[[int, int], None]) -> None:
    build_store(ticks, bars=MINUTE, plan=FeaturePlan(NAMES), out=out, config_text="{}", replace=True, progress=progress)


def test_a_build_killed_in_its_middle_harms_nothing_and_the_next_one_clears_up(tmp_path: Path) -> None:
    source = write_ticks(tmp_path / "ticks.csv", 0, 6000)
    out = tmp_path / "there" / "store"
    build(read_archive([source]), out)
    before = content(out)
    done = subprocess.run([sys.executable, "-c", KILLED, str(source), str(out)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert content(out) == before
    assert any(path.name.startswith(".tmp-") for path in out.parent.iterdir())
    build(read_archive([source]), out, replace=True)
    assert content(out) == before
    assert [path.name for path in out.parent.iterdir()] == ["store"]


def test_missing_and_foreign_files_are_found(ticks: Ingested, tmp_path: Path) -> None:
    store = build(ticks, tmp_path / "store").store
    (store.path / store.manifest["files"][0]["path"]).unlink()
    (store.path / "symbol=AAA" / "part-x.parquet").write_bytes(b"")
    assert [problem.split(": ")[-1] for problem in store.verify()] == ["missing", "not named in manifest.json"]
    with pytest.raises(
        DataError, match=r"part-.*parquet: cannot be read: No such file or directory; rebuild the store"
    ):
        store.read("AAA")


def test_requests_that_do_not_fit_are_explained(ticks: Ingested, tmp_path: Path) -> None:
    store = build(ticks, tmp_path / "store").store
    with pytest.raises(DataError, match="no symbol 'ZZZ'; it holds AAA, B/B"):
        store.read("ZZZ")
    with pytest.raises(DataError, match="no column rsi_9; it holds timestamp"):
        store.read("AAA", ["rsi_9"])
    with pytest.raises(DataError, match="expected a feature store, make one with build-features"):
        FeatureStore.open(tmp_path)


def test_no_accepted_row_is_an_error(ticks: Ingested, tmp_path: Path) -> None:
    empty = dataclasses.replace(ticks, frame=ticks.frame.clear())
    with pytest.raises(DataError, match="no row was accepted of 12001 read"):
        build(empty, tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_an_append_does_not_pass_damage_on(ticks: Ingested, tmp_path: Path) -> None:
    store = build(ticks, tmp_path / "store").store
    *_, last, _ = [file for file in store.manifest["files"] if file["symbol"] == "AAA"]  # and that of the open bar
    data = bytearray((store.path / last["path"]).read_bytes())
    data[len(data) // 2] ^= 1
    (store.path / last["path"]).write_bytes(data)
    later = read_archive([write_ticks(tmp_path / "later.csv", 6000, 7000, ("AAA",))])
    with pytest.raises(DataError, match=r"expected SHA-256 .*, received .*; rebuild the store"):
        append_store(store, later)
    assert FeatureStore.open(store.path).snapshot == store.snapshot


def write_candles(path: Path, first: int, count: int, minutes: int) -> Path:
    lines = ["timestamp,open,high,low,close,volume"]
    for number in range(count):
        stamp = START // 10**9 + 60 * (first + number * minutes)
        lines.append(f"{stamp},100,{101 + number % 3},99,{100 + number % 2},5")
    path.write_text("\n".join(lines) + "\n")
    return path


def test_an_append_of_candles_of_another_length_is_refused(tmp_path: Path) -> None:
    minutes = read_archive([write_candles(tmp_path / "EURUSD.csv", 0, 300, 1)])
    store = build(minutes, tmp_path / "store").store
    hours = tmp_path / "hours"
    hours.mkdir()
    with pytest.raises(DataError, match=r"candles of EURUSD are 1:00:00 apart .* but 0:01:00 apart"):
        append_store(store, read_archive([write_candles(hours / "EURUSD.csv", 600, 60, 60)]))
    assert FeatureStore.open(store.path).snapshot == store.snapshot
    append_store(store, read_archive([write_candles(hours / "EURUSD.csv", 600, 60, 1)]))


def test_features_of_quotes_are_refused_on_trades_when_the_first_file_is_read(tmp_path: Path) -> None:
    for number in range(3):
        write_ticks(tmp_path / f"{number}.csv", number * 1000, number * 1000 + 1000)
    needs = FeaturePlan(["logret_1", "ofi_quote"]).quotes_needed
    read: list[int] = []
    with pytest.raises(DataError, match=r"0.csv: feature ofi_quote needs ask, ask_size, bid, bid_size, which"):
        read_archive([tmp_path], needs=needs, progress=lambda done, total: read.append(done))
    assert read == []
