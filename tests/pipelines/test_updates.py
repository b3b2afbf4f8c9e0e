"""A store that is brought up to date: what changed is built again, what did not stands; and damaged sources."""

import dataclasses
import gzip
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from pipelines.archive import build_archive, plan_archive
from pipelines.bars import BarSpec
from pipelines.errors import DataError
from pipelines.features import FeaturePlan
from pipelines.request import Request
from pipelines.schema import SourceHints
from pipelines.store import FeatureStore
from tests.pipelines.test_archive import START, content, csv, interrupt, parquet, request, same_rows, small, ticks

__all__ = ["small"]
pytestmark = pytest.mark.usefixtures("small")
DAY = 86_400 * 10**9


def by_day(folder: Path, symbol: str, frame: pl.DataFrame, mode: str = "all") -> list[Path]:
    parts = frame.group_by(pl.col("timestamp") // DAY, maintain_order=True)
    return [written(folder / str(number) / symbol, part, mode) for number, (_, part) in enumerate(parts)]


def written(path: Path, frame: pl.DataFrame, mode: str) -> Path:
    """A file that a store of the mode can be made of."""
    return parquet(path.with_suffix(".parquet"), frame) if mode == "none" else csv(path.with_suffix(".csv"), frame)


@pytest.fixture(params=["all", "input", "none"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def asked(tmp_path: Path, mode: str) -> Request:
    """Four days of two symbols, built."""
    for seed, symbol in enumerate(("AAA", "BBB")):
        by_day(tmp_path / "ticks", symbol, market(seed), mode)
    asked = request(tmp_path / "ticks", tmp_path / "store", materialize=mode)
    build_archive(asked)
    return asked


def market(seed: int) -> pl.DataFrame:
    return ticks(7000, seed, step_ns=60 * 10**9)[:5000]


def equals_a_rebuild(asked: Request, tmp_path: Path) -> None:
    """To the byte; and its rows are those that a store of written rows has."""
    build_archive(dataclasses.replace(asked, out=tmp_path / "clean"))
    grown = {name: data for name, data in content(asked.out).items() if not name.startswith("_retired")}
    assert grown == content(tmp_path / "clean")
    if asked.materialize != "all":
        all_written = build_archive(dataclasses.replace(asked, out=tmp_path / "written", materialize="all")).store
        same_rows(FeatureStore.open(asked.out), all_written)


def test_nothing_is_due_when_nothing_changed(asked: Request) -> None:
    assert [(work.symbol, work.reason) for work in plan_archive(asked)] == [("AAA", None), ("BBB", None)]
    before = content(asked.out)
    report = build_archive(asked)
    assert (report.taken, report.skipped, report.partitions) == (0, 8, 8)
    assert content(asked.out) == before


def test_a_changed_file_makes_its_partitions_and_those_after_it_due(asked: Request, tmp_path: Path, mode: str) -> None:
    second = market(0).filter(pl.col("timestamp") // DAY == START // DAY + 1)
    path = written(tmp_path / "ticks" / "1" / "AAA", second.with_columns(volume=pl.col("volume") + 1.0), mode)
    works = plan_archive(asked)
    assert [(work.symbol, len(work.standing), work.reason) for work in works] == [
        ("AAA", 1, f"{path.name} changed or is gone"),
        ("BBB", 4, None),
    ]
    assert works[0].again == ["2023-11-15", "2023-11-16", "2023-11-17"]
    assert works[0].files == [path.name] * 3
    assert (works[1].again, works[1].files) == ([], [])
    report = build_archive(asked)
    assert report.skipped == 5
    equals_a_rebuild(asked, tmp_path)


def test_a_late_file_makes_partitions_due_from_its_first_row_on(asked: Request, tmp_path: Path, mode: str) -> None:
    late = market(1)[3000:3100].with_columns(pl.col("timestamp") + 10**6)
    path = written(tmp_path / "ticks" / "late" / "BBB", late, mode)
    works = plan_archive(asked)
    assert [(work.symbol, work.reason) for work in works] == [("AAA", None), ("BBB", f"{path.name} is new")]
    assert works[1].again == ["2023-11-16", "2023-11-17"]
    report = build_archive(asked)
    assert 4 < report.skipped < 8
    equals_a_rebuild(asked, tmp_path)


def test_a_file_and_a_symbol_that_are_gone_are_gone_from_the_store(asked: Request, tmp_path: Path) -> None:
    for path in (*(tmp_path / "ticks").glob("*/BBB.*"), *(tmp_path / "ticks").glob("3/AAA.*")):
        path.unlink()
    works = plan_archive(asked)
    assert [work.symbol for work in works] == ["AAA", "BBB"]
    assert (works[1].reason, len(works[1].again), works[1].files) == ("no source holds it any more", 4, ())
    report = build_archive(asked)
    assert report.store.symbols == ["AAA"]
    equals_a_rebuild(asked, tmp_path)


def test_a_new_symbol_joins(asked: Request, tmp_path: Path) -> None:
    parquet(tmp_path / "ticks" / "CCC.parquet", ticks(500, 5))
    report = build_archive(asked)
    assert (report.store.symbols, report.skipped, report.taken) == (["AAA", "BBB", "CCC"], 8, 500)
    equals_a_rebuild(asked, tmp_path)


def lost_rows(store: FeatureStore) -> list[str]:
    """The files of the rows, or of the input, of a day."""
    part = store.manifest["partitions"][1]
    files = [file for file in store.manifest["files"] if file["symbol"] == "AAA" and file["date"] == part["date"]]
    return [file["path"] for file in [*files, *part["input_files"]] if "path" in file]


def lost_last_state(store: FeatureStore) -> list[str]:
    """Of the first symbol; a build asks the states of a store what computed them."""
    return [store.manifest["symbols"]["AAA"]["state"]["path"]]


def lost_states(store: FeatureStore) -> list[str]:
    return [part["state"]["path"] for part in store.manifest["partitions"]]


@pytest.mark.parametrize("lost", [lost_rows, lost_last_state, lost_states])
def test_lost_files_of_the_store_are_built_again(
    asked: Request, tmp_path: Path, lost: Callable[[FeatureStore], list[str]]
) -> None:
    files = lost(FeatureStore.open(asked.out))
    for name in files:
        (asked.out / name).unlink()
    assert plan_archive(asked)[0].reason == ("its files are not there" if files else None)
    assert build_archive(asked).store.verify() == []
    equals_a_rebuild(asked, tmp_path)


def test_other_settings_are_refused_unless_the_store_may_be_replaced(asked: Request, tmp_path: Path) -> None:
    other = dataclasses.replace(asked, bars=BarSpec("tick", 5))
    with pytest.raises(DataError, match="holds a feature store made with other bars; give --overwrite"):
        build_archive(other)
    with pytest.raises(DataError, match=r"made with other hints; .* \(timezone is None there, 'UTC' asked\)$"):
        build_archive(dataclasses.replace(asked, hints=SourceHints(timezone="UTC")))
    hints = SourceHints(columns={"volume": "qty", "price": "p", "bid": "b", "ask": "a"})
    with pytest.raises(
        DataError, match=r"\(ask is None there, 'a' asked; bid is .*; price is None there, 'p' asked\)$"
    ):
        build_archive(dataclasses.replace(asked, hints=hints))
    build_archive(dataclasses.replace(other, replace=True))
    equals_a_rebuild(other, tmp_path)


def test_planning_leaves_nothing(asked: Request, tmp_path: Path) -> None:
    plan_archive(dataclasses.replace(asked, out=tmp_path / "other"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store", "ticks"]


def damaged(path: Path) -> Path:
    """A gz file that a broken transfer cut."""
    data = gzip.compress(ticks(3000, 9).with_columns(pl.col("timestamp") // 10**6).write_csv().encode())
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data[: len(data) * 2 // 3])
    return path


def test_a_file_that_is_cut_is_left_out_and_told(tmp_path: Path) -> None:
    csv(tmp_path / "ticks" / "AAA.csv", ticks(2000))
    cut = damaged(tmp_path / "ticks" / "CUT.csv.gz")
    asked = request(tmp_path / "ticks", tmp_path / "store")
    with pytest.raises(DataError, match=r"CUT\.csv\.gz: the gzip data is truncated or damaged"):
        build_archive(dataclasses.replace(asked, strict=True))
    assert not asked.out.exists()
    report = build_archive(asked)
    assert report.store.symbols == ["AAA"]
    assert len(report.broken) == 1
    assert report.broken[0].startswith(f"{cut}: the gzip data is truncated or damaged")
    assert report.store.manifest["sources"][1]["problem"] == report.broken[0]
    assert report.store.verify() == []
    assert len(build_archive(asked).broken) == 1
    csv(cut, ticks(3000, 9))
    report = build_archive(asked)
    assert (report.store.symbols, list(report.broken)) == (["AAA", "CUT"], [])


def test_a_corrupt_page_in_the_middle_of_an_archive_takes_its_file_out_and_no_other(tmp_path: Path) -> None:
    frame = ticks(6000)
    for number in range(3):
        parquet(tmp_path / "ticks" / str(number) / "AAA.parquet", frame[number * 2000 : (number + 1) * 2000])
    victim = tmp_path / "ticks" / "1" / "AAA.parquet"
    data = bytearray(victim.read_bytes())
    page = pq.read_metadata(victim).row_group(2).column(1).data_page_offset
    data[page : page + 20] = b"\xff" * 20
    victim.write_bytes(data)
    asked = request(tmp_path / "ticks", tmp_path / "store")
    with pytest.raises(DataError, match=r"1/AAA\.parquet: not a readable Parquet file"):
        build_archive(dataclasses.replace(asked, strict=True))
    assert not asked.out.exists()
    report = build_archive(asked)
    assert len(report.broken) == 1
    assert (report.rows_in, report.rows_out) == (4000, 4000)
    victim.unlink()
    build_archive(dataclasses.replace(asked, out=tmp_path / "clean"))
    same_rows(report.store, FeatureStore.open(tmp_path / "clean"))


def test_an_archive_of_which_no_file_can_be_read_is_an_error(tmp_path: Path) -> None:
    damaged(tmp_path / "ticks" / "CUT.csv.gz")
    with pytest.raises(DataError, match=r"CUT\.csv\.gz: the gzip data is truncated or damaged"):
        build_archive(request(tmp_path / "ticks", tmp_path / "store"))
    assert [path.name for path in tmp_path.iterdir()] == ["ticks"]


def test_archives_that_cannot_be_one_store_are_refused_before_anything_is_built(tmp_path: Path) -> None:
    frame = ticks(2000)
    quotes = frame.select("timestamp", bid=pl.col("price") - 0.01, ask="price")
    csv(tmp_path / "mixed" / "AAA.csv", frame)
    csv(tmp_path / "mixed" / "BBB.csv", quotes)
    parquet(tmp_path / "copies" / "AAA.parquet", frame)
    csv(tmp_path / "copies" / "again.csv", frame)
    csv(tmp_path / "bad" / "AAA.csv", frame.with_columns(price=-1.0))
    cases = {
        "mixed": r"BBB\.csv: holds quotes, but .*AAA\.csv holds trades; expected one kind of row in an archive",
        "copies": r"again\.csv: holds the same rows as .*AAA\.parquet, which would count twice",
        "bad": r"no usable row: all 2000 were rejected, 2000 as non_positive_price",
    }
    for name, message in cases.items():
        with pytest.raises(DataError, match=message):
            build_archive(request(tmp_path / name, tmp_path / "store"))
    one = request(tmp_path / "mixed" / "AAA.csv", tmp_path / "store")
    with pytest.raises(DataError, match=r"AAA\.csv: feature ofi_quote needs ask, ask_size, bid, bid_size"):
        build_archive(dataclasses.replace(one, plan=FeaturePlan(["ofi_quote"])))
    with pytest.raises(DataError, match="--timezone Foo/Bar: unknown time zone"):
        build_archive(request(tmp_path / "mixed", tmp_path / "store", hints=SourceHints(timezone="Foo/Bar")))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad", "copies", "mixed"]


def test_a_file_that_changes_while_it_is_read_is_told(tmp_path: Path) -> None:
    path = parquet(tmp_path / "ticks" / "AAA.parquet", ticks(2000))

    def touch(done: int, total: int) -> None:
        parquet(path, ticks(2000, 1))

    with pytest.raises(DataError, match=r"AAA\.parquet: was changed while it was read; run the same command again"):
        build_archive(request(tmp_path / "ticks", tmp_path / "store", surveyed=touch))


def test_a_look_at_another_plan_leaves_what_was_interrupted(tmp_path: Path) -> None:
    by_day(tmp_path / "ticks", "AAA", ticks(7000, step_ns=60 * 10**9)[:5000])
    asked = request(tmp_path / "ticks", tmp_path / "store")
    interrupt(asked, 9)
    plan_archive(dataclasses.replace(asked, bars=BarSpec("tick", 5)))
    assert 0 < len(plan_archive(asked)[0].standing) < 4
    report = build_archive(asked)
    assert report.skipped > 0


def test_a_store_of_another_version_of_the_features_is_not_mixed_with_this_one(
    asked: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FeaturePlan, "fits", lambda plan, state: False)
    with pytest.raises(DataError, match="made with other versions of its features; give --overwrite"):
        build_archive(asked)
