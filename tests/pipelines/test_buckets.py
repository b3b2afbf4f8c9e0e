"""Sources and stores in a bucket, against a moto server: what a folder gives, whatever fails, whoever writes."""

import dataclasses
import re
from pathlib import Path

import pytest

from pipelines.archive import build_archive, plan_archive
from pipelines.build import append_store
from pipelines.errors import DataError
from pipelines.fetched import at_hand, copy_of
from pipelines.ingest import read_archive
from pipelines.store import MANIFEST, FeatureStore
from tests.pipelines.bucket import Bucket
from tests.pipelines.test_archive import content, csv, parquet, request, same_rows, small, ticks  # noqa: F401

pytestmark = pytest.mark.usefixtures("small")


def archive(folder: Path, rows: int = 3000) -> Path:
    parquet(folder / "AAA.parquet", ticks(rows))
    csv(folder / "BBB.csv.gz", ticks(rows, 1))
    csv(folder / "CCC.csv", ticks(200, 2))
    (folder / "BBB-bad.csv").write_text("timestamp,symbol,price,volume\n1700000000000,BBB,x,1\n1700000001000,BBB,5,1\n")
    return folder


def put_all(bucket: Bucket, folder: Path, key: str) -> None:
    for name, data in content(folder).items():
        (bucket.at(key) / name).put(data)


def data_of(files: dict[str, bytes]) -> dict[str, bytes]:
    """The files whose names say their content: not the manifest and the documents."""
    return {name: data for name, data in files.items() if re.search(r"(part-|symbol=).*[0-9a-f]{12}\.", name)}


def test_sources_in_a_bucket_give_what_files_give(bucket: Bucket, tmp_path: Path) -> None:
    folder = archive(tmp_path / "in")
    put_all(bucket, folder, "raw/2026")
    (bucket.at("raw/2026") / "README.md").put(b"no data")
    local = build_archive(request(folder, tmp_path / "local"))
    remote = build_archive(request("s3://ticks/raw/2026", tmp_path / "remote"))
    same_rows(remote.store, local.store)
    assert data_of(content(tmp_path / "remote")) == data_of(content(tmp_path / "local"))
    assert remote.rows_in == local.rows_in
    assert remote.quarantined == local.quarantined
    assert remote.store.rejected()["file"].unique().to_list() == ["s3://ticks/raw/2026/BBB-bad.csv"]
    assert not (tmp_path / ".remote.building").exists()


@pytest.mark.parametrize(
    ("source", "symbols"),
    [("s3://ticks/raw/AAA.parquet", ["AAA"]), ("s3://ticks/raw/*.csv*", ["BBB", "CCC"]), ("s3://ticks/**/A*", ["AAA"])],
)
def test_an_object_and_globs_name_what_they_name_of_files(
    bucket: Bucket, tmp_path: Path, source: str, symbols: list[str]
) -> None:
    put_all(bucket, archive(tmp_path / "in"), "raw")
    assert build_archive(request(source, tmp_path / "out")).store.symbols == symbols


def test_objects_that_a_store_holds_are_not_fetched_again(bucket: Bucket, tmp_path: Path) -> None:
    put_all(bucket, archive(tmp_path / "in"), "raw")
    build_archive(request("s3://ticks/raw", tmp_path / "out"))
    before = content(tmp_path / "out")
    fetched: list[str] = []
    bucket.on_get = fetched.append
    works = plan_archive(request("s3://ticks/raw", tmp_path / "out"))
    again = build_archive(request("s3://ticks/raw", tmp_path / "out"))
    assert [work.reason for work in works] == [None] * 3
    assert again.skipped == again.partitions
    assert not [path for path in fetched if "/raw/" in path]
    assert content(tmp_path / "out") == before


def test_store_in_a_bucket_is_the_store_in_a_folder(bucket: Bucket, tmp_path: Path) -> None:
    folder = archive(tmp_path / "in")
    local = build_archive(request(folder, tmp_path / "local"))
    remote = build_archive(request(folder, Path("s3://ticks/store"), scratch=tmp_path / "scratch"))
    assert data_of(bucket.content("store")) == data_of(content(tmp_path / "local"))
    same_rows(FeatureStore.open(Path("s3://ticks/store")), local.store)
    assert remote.store.verify() == []
    assert content(tmp_path / "scratch") == {}


def test_store_in_a_bucket_is_brought_up_to_date_like_one_in_a_folder(bucket: Bucket, tmp_path: Path) -> None:
    folder = archive(tmp_path / "in")
    out, more = Path("s3://ticks/store"), {"scratch": tmp_path / "scratch"}
    build_archive(request(folder, out, **more))
    earlier = FeatureStore.open(out)
    read = earlier.read("AAA")
    parquet(folder / "later" / "AAA.parquet", ticks(5000)[3000:])
    report = build_archive(request(folder, out, **more))
    local = build_archive(request(folder, tmp_path / "local"))
    same_rows(report.store, local.store)
    assert report.skipped > 0
    assert FeatureStore.open(out).verify() == []
    assert earlier.read("AAA").equals(read)  # a reader of the store before goes on


def test_every_third_put_may_fail(bucket: Bucket, tmp_path: Path) -> None:
    bucket.answer = lambda number, path: 503 if number % 3 == 0 else None
    folder = archive(tmp_path / "in")
    report = build_archive(request(folder, Path("s3://ticks/store"), scratch=tmp_path / "scratch"))
    assert bucket.puts > 20
    assert report.store.verify() == []
    local = build_archive(request(folder, tmp_path / "local"))
    assert data_of(bucket.content("store")) == data_of(content(local.store.folder))


@pytest.mark.parametrize("mode", ["all", "input", "none"])
def test_a_build_that_any_put_ended_goes_on_on_another_machine(bucket: Bucket, tmp_path: Path, mode: str) -> None:
    folder = parquet(tmp_path / "in" / "AAA.parquet", ticks(900)).parent
    if mode != "none":
        (folder / "BBB.csv").write_text("timestamp,price,volume\n1700000000000,x,1\n1700000001000,5,1\n")
    asked = request(folder, Path("s3://ticks/whole"), scratch=tmp_path / "scratch", materialize=mode)
    whole = build_archive(asked)
    puts, ended = bucket.puts, 0
    for number in range(1, puts + 1):
        key = f"store-{number}"
        bucket.puts = 0
        bucket.answer = lambda count, path, number=number: 403 if count == number else None
        ask = dataclasses.replace(asked, out=Path(f"s3://ticks/{key}"), scratch=tmp_path / f"one-{number}")
        with pytest.raises(DataError, match=r"^s3://ticks/store-\d+/.*: the object store refused or did not answer"):
            build_archive(ask)
        ended += 1
        assert not bucket.at(f"{key}/{MANIFEST}").exists()
        bucket.answer = lambda count, path: None
        report = build_archive(dataclasses.replace(ask, scratch=tmp_path / f"other-{number}"))
        assert bucket.content(key) == bucket.content("whole")
        assert report.store.snapshot == whole.store.snapshot
    assert ended == puts


def test_what_is_finished_in_the_bucket_is_not_built_again(bucket: Bucket, tmp_path: Path) -> None:
    folder = archive(tmp_path / "in")
    bucket.answer = lambda number, path: 403 if path.endswith(MANIFEST) else None
    with pytest.raises(DataError):
        build_archive(request(folder, Path("s3://ticks/store"), scratch=tmp_path / "one"))
    bucket.answer = lambda number, path: None
    report = build_archive(request(folder, Path("s3://ticks/store"), scratch=tmp_path / "other"))
    assert report.skipped >= report.partitions - 1  # a streamed file is read again, to know that nothing follows
    assert report.store.verify() == []


def test_of_two_writers_one_is_refused(bucket: Bucket, tmp_path: Path) -> None:
    folder = archive(tmp_path / "in")
    out = Path("s3://ticks/store")

    def other_first(number: int, path: str) -> None:
        if path.endswith(MANIFEST):
            bucket.answer = lambda number, path: None
            other = archive(tmp_path / "other", 900)
            build_archive(request(other, out, scratch=tmp_path / "two"))

    bucket.answer = other_first
    with pytest.raises(DataError, match=r"^s3://ticks/store: another writer published while this build was under way"):
        build_archive(request(folder, out, scratch=tmp_path / "one"))
    assert FeatureStore.open(out).verify() == []
    assert len(FeatureStore.open(out).read("AAA")) < 900


def test_place_without_a_store_of_ours_is_refused(bucket: Bucket, tmp_path: Path) -> None:
    (bucket.at("store") / "letters.txt").put(b"mine")
    with pytest.raises(DataError, match=r"^s3://ticks/store: holds letters.txt and is not a feature store; give"):
        build_archive(request(archive(tmp_path / "in"), Path("s3://ticks/store"), scratch=tmp_path / "scratch"))


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("s3://ticks/none", "s3://ticks/none: names no object with market data; check the bucket, the prefix"),
        ("s3://nowhere/raw", "s3://nowhere/raw: the object store refused or did not answer: .*NoSuchBucket"),
        ("s3://ticks/a/../b", r"expected s3://BUCKET/PREFIX with plain names"),
    ],
)
def test_sources_that_are_not_there_are_told(bucket: Bucket, tmp_path: Path, source: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        build_archive(request(source, tmp_path / "out"))


def test_damaged_object_is_named_by_its_address(bucket: Bucket, tmp_path: Path) -> None:
    folder = archive(tmp_path / "in")
    packed = (folder / "BBB.csv.gz").read_bytes()
    (folder / "BBB.csv.gz").write_bytes(packed[: len(packed) // 2])
    put_all(bucket, folder, "raw")
    report = build_archive(request("s3://ticks/raw", tmp_path / "out"))
    (problem,) = report.broken
    assert problem.startswith("s3://ticks/raw/BBB.csv.gz: the gzip data is truncated or damaged")
    with pytest.raises(DataError, match=r"^s3://ticks/raw/BBB.csv.gz: the gzip data"):
        build_archive(request("s3://ticks/raw", tmp_path / "strict", strict=True))


def test_rows_in_memory_are_not_added_to_a_store_in_a_bucket(bucket: Bucket, tmp_path: Path) -> None:
    folder = archive(tmp_path / "in")
    report = build_archive(request(folder, Path("s3://ticks/store"), scratch=tmp_path / "scratch"))
    with pytest.raises(DataError, match=r"^s3://ticks/store: rows can be added to a store in a bucket by build"):
        append_store(report.store, read_archive([folder / "AAA.parquet"]))


def test_copy_that_a_killed_try_left_is_not_taken_for_what_is_there_now(bucket: Bucket, tmp_path: Path) -> None:
    copy = copy_of(bucket.at("raw/AAA.csv"), tmp_path)
    bucket.at("raw/AAA.csv").put(b"what is there now")
    copy.parent.mkdir(parents=True)
    copy.write_bytes(b"left")
    with at_hand(copy):
        assert copy.read_bytes() == b"what is there now"
        with at_hand(copy):
            assert copy.exists()
        assert copy.exists()  # it is still in use
    assert not copy.exists()


@pytest.mark.parametrize("mode", ["none", "input"])
def test_store_in_a_bucket_is_computed_from(bucket: Bucket, tmp_path: Path, mode: str) -> None:
    """Also after an update, by readers of the store before it too, and though every third put fails."""
    bucket.answer = lambda number, path: 503 if number % 3 == 0 else None
    frame = ticks(3000)
    parquet(tmp_path / "in" / "0" / "AAA.parquet", frame[:2000])
    asked = request(tmp_path / "in", Path("s3://ticks/store"), scratch=tmp_path / "scratch", materialize=mode)
    before = build_archive(asked).store
    rows = before.read("AAA")
    parquet(tmp_path / "in" / "1" / "AAA.parquet", frame[1990:])
    remote = build_archive(asked).store
    assert bucket.puts > 6
    assert remote.verify() == []
    same_rows(remote, build_archive(request(tmp_path / "in", tmp_path / "local")).store)
    assert before.read("AAA").equals(rows, null_equal=True)


def test_sources_in_a_bucket_are_kept_or_refused(bucket: Bucket, tmp_path: Path) -> None:
    put_all(bucket, archive(tmp_path / "in"), "raw")
    kept = build_archive(request("s3://ticks/raw", tmp_path / "kept", materialize="input")).store
    same_rows(kept, build_archive(request(tmp_path / "in", tmp_path / "local")).store)
    with pytest.raises(DataError, match=r"^s3://ticks/raw/AAA\.parquet: cannot be read in place again and again"):
        build_archive(request("s3://ticks/raw/AAA.parquet", tmp_path / "none", materialize="none"))
