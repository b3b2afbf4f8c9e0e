"""The quality ledger: it accounts for every row, and is the same however the rows came."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines import ledger, partitions, runs
from pipelines.archive import build_archive
from pipelines.build import append_store, build_store
from pipelines.errors import DataError
from pipelines.features import FeaturePlan
from pipelines.ingest import read_archive
from pipelines.reasons import Quality
from pipelines.schema import SourceHints
from pipelines.sources import streams
from pipelines.store import FeatureStore
from tests.pipelines.test_archive import MINUTE, NAMES, START, parquet, request, small, ticks

__all__ = ["small"]
DAY = 86_400 * 10**9


def spoiled(frame: pl.DataFrame, seed: int = 9) -> pl.DataFrame:
    """Ticks, some of them far from the price of the others, and some without a usable price."""
    rng = np.random.default_rng(seed)
    kind = rng.random(len(frame))
    price = frame["price"].to_numpy().copy()
    price[kind < 0.02] = -1.0
    price[kind > 0.99] *= 3
    price[(kind > 0.02) & (kind < 0.03)] = np.nan
    return frame.with_columns(price=pl.Series(price))


def accounts_for_every_row(store: FeatureStore) -> pl.DataFrame:
    found, manifest = store.quality(), store.manifest
    rows = dict(found.group_by("action").agg(pl.col("rows").sum()).iter_rows())
    assert rows.get("out", 0) == manifest["rows_out"]
    assert rows.get("quarantine", 0) == sum(manifest["quarantined"].values())
    assert manifest["rows_in"] == rows.get("out", 0) + rows.get("quarantine", 0)
    assert found.schema == pl.Schema(ledger.SCHEMA)
    return found


def built(folder: Path, out: Path, **quality: object) -> FeatureStore:
    hints = SourceHints(quality=Quality(**quality))  # type: ignore[arg-type]
    return build_archive(request(folder, out, hints=hints)).store


def test_every_row_and_finding_stands_in_the_ledger(tmp_path: Path) -> None:
    frame = spoiled(ticks(3000))
    parquet(tmp_path / "ticks" / "AAA.parquet", frame)
    found = accounts_for_every_row(built(tmp_path / "ticks", tmp_path / "store"))
    bad = found.filter(pl.col("reason") == "non_positive_price")
    at = frame.with_row_index("line", offset=1).filter(pl.col("price") == -1)
    assert bad["rows"].sum() == len(at)
    assert (bad["file"][0], bad["line"][0]) == ("AAA.parquet", at["line"][0])
    assert found.filter(pl.col("reason") == "not_finite:price")["rows"].sum() == frame["price"].is_nan().sum()


def test_gaps_are_told_with_the_step_that_crosses_a_period(tmp_path: Path) -> None:
    stamps = [0, 60, 119, 120, 1000, 1001, 86_400 * 2, 86_400 * 2 + 299, 86_400 * 2 + 600]
    frame = pl.DataFrame({"timestamp": [second * 10**9 for second in stamps], "price": 5.0, "volume": 1.0})
    dense = ticks(6000, step_ns=10**9).with_columns(pl.col("timestamp") - START)
    parquet(tmp_path / "ticks" / "AAA.parquet", frame)
    parquet(tmp_path / "ticks" / "BBB.parquet", dense)
    store = built(tmp_path / "ticks", tmp_path / "store", max_gap_ns=300 * 10**9)
    assert store.manifest["max_gap_ns"] == 300 * 10**9
    out = store.quality().filter(symbol="AAA", action="out")
    assert out.select("date", "rows", "gaps", "longest_gap_ns").rows() == [
        ("1970-01-01", 6, 1, 880 * 10**9),
        ("1970-01-03", 3, 2, (86_400 * 2 - 1001) * 10**9),
    ]
    assert out["longest_gap_end"].to_physical().to_list() == [1000 * 10**9, 86_400 * 2 * 10**9]
    assert (out["first"].to_physical()[1], out["last"].to_physical()[1]) == (stamps[6] * 10**9, stamps[8] * 10**9)


@pytest.mark.usefixtures("small")
def test_a_ledger_of_rows_in_memory_tells_the_same_rows(tmp_path: Path) -> None:
    parquet(tmp_path / "ticks" / "AAA.parquet", spoiled(ticks(4000)))
    streamed = accounts_for_every_row(built(tmp_path / "ticks", tmp_path / "store"))
    ingested = read_archive([tmp_path / "ticks"])
    whole = build_store(ingested, bars=MINUTE, plan=FeaturePlan(NAMES), out=tmp_path / "whole", config_text="{}")
    held = accounts_for_every_row(whole.store)
    assert streamed.filter(action="out").equals(held.filter(action="out"))
    assert (
        ledger.summary(streamed)
        .drop("first", "last", "symbols")
        .equals(ledger.summary(held).drop("first", "last", "symbols"))
    )


def test_files_without_a_good_row_are_accounted_for(tmp_path: Path) -> None:
    parquet(tmp_path / "ticks" / "AAA.parquet", ticks(500))
    parquet(tmp_path / "ticks" / "BBB.parquet", ticks(5, 1).with_columns(price=-1.0))
    found = accounts_for_every_row(built(tmp_path / "ticks", tmp_path / "store"))
    assert found.filter(pl.col("symbol").is_null()).select("reason", "action", "rows", "file", "line").rows() == [
        ("non_positive_price", "quarantine", 5, "BBB.parquet", 1)
    ]


@pytest.mark.usefixtures("small")
def test_an_archive_that_grew_has_the_ledger_of_one_built_at_once(tmp_path: Path) -> None:
    frame = spoiled(ticks(5000, step_ns=60 * 10**9))
    days = [part for _, part in frame.group_by(pl.col("timestamp") // DAY, maintain_order=True)]
    for number, part in enumerate(days[:2]):
        parquet(tmp_path / "ticks" / str(number) / "AAA.parquet", part)
    built(tmp_path / "ticks", tmp_path / "store")
    for number, part in enumerate(days[2:], 2):
        parquet(tmp_path / "ticks" / str(number) / "AAA.parquet", part)
    grown = built(tmp_path / "ticks", tmp_path / "store")
    clean = built(tmp_path / "ticks", tmp_path / "clean")
    assert accounts_for_every_row(grown).equals(accounts_for_every_row(clean))
    assert not grown.verify()


def test_an_append_of_rows_in_memory_goes_on_with_the_ledger(tmp_path: Path) -> None:
    frame = spoiled(ticks(4000))
    first = parquet(tmp_path / "1" / "AAA.parquet", frame[:2500])
    second = parquet(tmp_path / "2" / "AAA.parquet", frame[2500:])
    made = {"bars": MINUTE, "plan": FeaturePlan(NAMES), "config_text": "{}"}
    store = build_store(read_archive([first]), out=tmp_path / "store", **made).store
    report = append_store(store, read_archive([second]))
    assert report.rows_in == report.rows_out + sum(report.quarantined.values()) == 1500
    grown = accounts_for_every_row(report.store)
    whole = build_store(read_archive([first, second]), out=tmp_path / "whole", **made).store.quality()
    assert grown.filter(action="out").equals(whole.filter(action="out"))
    other = read_archive([second], SourceHints(quality=Quality(policy={"late": "fail"})))
    with pytest.raises(DataError, match="was made with other quality settings"):
        append_store(report.store, other)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.integers(1, 900), least=st.integers(30, 900), action=st.sampled_from(["keep", "quarantine"]))
@pytest.mark.usefixtures("small")
def test_the_ledger_is_the_same_for_any_size_of_batches(
    rows: int, least: int, action: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    policy = {"outlier_print": action}
    for seed in range(2):  # of overlapping files, so that runs are merged
        frame = spoiled(ticks(1500, seed), seed)
        parquet(folder / "ticks" / str(seed) / "AAA.parquet", frame)
    with pytest.MonkeyPatch.context() as patch:
        once = built(folder / "ticks", folder / "once", policy=policy)
        patch.setattr(streams, "BATCH_ROWS", rows)
        patch.setattr(runs, "BATCH_ROWS", rows)
        patch.setattr(partitions, "PART_ROWS", least)
        cut = built(folder / "ticks", folder / "cut", policy=policy)
    assert accounts_for_every_row(cut).equals(accounts_for_every_row(once))
    assert cut.read("AAA").equals(once.read("AAA"))
    assert cut.quality().filter(reason="outlier_print", action=action)["rows"].sum() > 0
