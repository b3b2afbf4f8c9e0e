"""The synthetic archive repeats to the byte and holds every oddity it promises."""

from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.ingest import read_archive
from stockbot.errors import UsageError
from stockbot.sample_data import BAD_ROWS_PER_FILE, generate, trading_days


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sample") / "archive"
    generate(out, symbols=2, days=4, ticks_per_day=5_000, seed=11)
    return out


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(folder: Path, tmp_path: Path) -> None:
    generate(tmp_path / "again", symbols=2, days=4, ticks_per_day=5_000, seed=11)
    generate(tmp_path / "other", symbols=2, days=4, ticks_per_day=5_000, seed=12)
    for path in sorted(folder.glob("*.gz")):
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()
        assert (tmp_path / "other" / path.name).read_bytes() != path.read_bytes()


def test_more_days_or_symbols_leave_the_first_files_as_they_were(folder: Path, tmp_path: Path) -> None:
    generate(tmp_path / "more", symbols=3, days=5, ticks_per_day=5_000, seed=11)
    for path in sorted(folder.glob("*.gz")):
        if "2024-03-11" not in path.name:  # the middle day is the one with the missing stretch
            assert (tmp_path / "more" / path.name).read_bytes() == path.read_bytes()


def test_every_row_is_read_or_quarantined_for_the_planted_reason(folder: Path) -> None:
    files = len(list(folder.glob("*.gz")))
    ingested = read_archive([folder])
    assert ingested.rejected["reason"].value_counts()["count"].to_list() == [files] * BAD_ROWS_PER_FILE
    assert ingested.rows_in == ingested.frame.height + ingested.rejected.height
    assert ingested.frame["symbol"].unique().sort().to_list() == ["ALFA", "BRAVO"]


def test_it_has_a_weekend_a_missing_stretch_and_shared_stamps(folder: Path) -> None:
    frame = read_archive([folder]).frame.filter(pl.col("symbol") == "ALFA")
    steps = frame["timestamp"].diff().dt.total_seconds().drop_nulls()
    assert steps.max() >= 2 * 86_400  # type: ignore[operator]
    assert steps.filter(steps.is_between(2_400, 7_200)).len() == 1
    shared = frame["timestamp"].is_duplicated().mean()
    assert isinstance(shared, float)
    assert 0.2 < shared < 0.6


def test_busy_and_quiet_hours_differ(folder: Path) -> None:
    frame = read_archive([folder]).frame
    by_hour = frame.group_by(pl.col("timestamp").dt.hour()).len()["len"].to_numpy()
    assert by_hour.max() > 2 * by_hour.min()


def test_order_flow_predicts_the_next_minutes_a_little(tmp_path: Path) -> None:
    generate(tmp_path / "a", symbols=1, days=4, ticks_per_day=20_000, seed=5)
    frame = read_archive([tmp_path / "a"]).frame
    bars = frame.group_by_dynamic("timestamp", every="5m").agg(
        pl.col("price").last(), (pl.col("side") * pl.col("volume")).sum() / pl.col("volume").sum()
    )
    flow, step = bars["side"].to_numpy()[:-1], np.diff(np.log(bars["price"].to_numpy()))
    correlation = float(np.corrcoef(flow, step)[0, 1])
    assert 0.05 < correlation < 0.4


def test_trading_days_are_weekdays() -> None:
    days = trading_days(12)
    assert len(days) == 12
    assert days[:3] == [date(2024, 3, 7), date(2024, 3, 8), date(2024, 3, 11)]
    assert all(day.weekday() < 5 for day in days)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_of_another_origin_is_refused_whatever_is_said(tmp_path: Path) -> None:
    (tmp_path / "ALFA_2024-03-07.csv.gz").write_bytes(b"years of ticks")
    for replace in (False, True):
        with pytest.raises(UsageError, match=r"holds ALFA_2024-03-07\.csv\.gz, which is no file of an earlier sample"):
            generate(tmp_path, symbols=1, days=1, ticks_per_day=100, replace=replace)
    assert names(tmp_path) == ["ALFA_2024-03-07.csv.gz"]
    assert (tmp_path / "ALFA_2024-03-07.csv.gz").read_bytes() == b"years of ticks"


def test_an_earlier_sample_is_replaced_when_told_and_only_it(tmp_path: Path) -> None:
    generate(tmp_path, symbols=2, days=1, ticks_per_day=100)
    with pytest.raises(UsageError, match="--overwrite"):
        generate(tmp_path, symbols=1, days=1, ticks_per_day=100)
    generate(tmp_path, symbols=1, days=2, ticks_per_day=100, replace=True)
    ours = [".stockbot-sample", "ALFA_2024-03-07.csv.gz", "ALFA_2024-03-08.csv.gz"]
    assert names(tmp_path) == ours
    (tmp_path / "mine.csv.gz").write_bytes(b"years of ticks")
    with pytest.raises(UsageError, match="holds mine"):
        generate(tmp_path, symbols=1, days=1, ticks_per_day=100, replace=True)
    assert names(tmp_path) == [*ours, "mine.csv.gz"]


@pytest.mark.parametrize("change", [{"symbols": 0}, {"days": 0}, {"ticks_per_day": 99}, {"seed": -1}])
def test_numbers_below_their_least_value_are_refused(tmp_path: Path, change: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="expected at least"):
        generate(tmp_path / "x", **change)  # type: ignore[arg-type]
    assert not (tmp_path / "x").exists()
