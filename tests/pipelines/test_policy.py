"""Policies: for each reason, rows are kept and counted, quarantined, or the end of the build."""

from pathlib import Path

import polars as pl
import pytest

from pipelines.archive import build_archive
from pipelines.build import build_store
from pipelines.errors import DataError
from pipelines.features import FeaturePlan
from pipelines.ingest import read_archive
from pipelines.reasons import DEFAULT_POLICY, KEPT_BITS, Action, Quality, whole_policy
from pipelines.schema import SourceHints
from pipelines.store import FeatureStore
from tests.pipelines.test_archive import MINUTE, NAMES, parquet, request, small, ticks
from tests.pipelines.test_ledger import accounts_for_every_row

__all__ = ["small"]
KEPT = ("crossed_quote", "duplicate_trade_id", "non_monotonic", "outlier_print")


def spoiled(reason: str) -> pl.DataFrame:
    """Rows of which three are odd for one reason, far from one another."""
    frame = ticks(600).with_columns(trade_id=pl.int_range(pl.len()).cast(pl.String))
    odd = pl.int_range(pl.len()).is_in([100, 300, 500])
    if reason == "outlier_print":
        return frame.with_columns(price=pl.when(odd).then(pl.col("price") * 2).otherwise("price"))
    if reason == "non_monotonic":  # back to the row before the last, and once more
        return frame.with_columns(timestamp=pl.when(odd).then(pl.col("timestamp").shift(7) + 1).otherwise("timestamp"))
    if reason == "duplicate_trade_id":
        again = {name: pl.when(odd).then(pl.col(name).shift(1)).otherwise(name) for name in frame.columns}
        return frame.with_columns(**again)
    half = pl.when(odd).then(-0.01).otherwise(0.01)
    quotes = frame.with_columns(bid=pl.col("price") - half, ask=pl.col("price") + half)
    return quotes.select("timestamp", "bid", "ask")


def asked(folder: Path, out: Path, reason: str, action: Action | None) -> FeatureStore:
    quality = Quality(policy={} if action is None else {reason: action})
    return build_archive(request(folder, out, hints=SourceHints(quality=quality))).store


@pytest.fixture(params=["streamed", "whole"])
def limits(request: pytest.FixtureRequest) -> None:
    if request.param == "streamed":
        request.getfixturevalue("small")


@pytest.mark.usefixtures("limits")
@pytest.mark.parametrize("reason", KEPT)
def test_rows_of_a_reason_are_kept_quarantined_or_the_end(reason: str, tmp_path: Path) -> None:
    source = parquet(tmp_path / "ticks" / "AAA.parquet", spoiled(reason))
    kept = asked(tmp_path / "ticks", tmp_path / "kept", reason, "keep")
    found = accounts_for_every_row(kept).filter(pl.col("reason").is_not_null())
    assert found.select("reason", "action").unique().rows() == [(reason, "keep")]
    assert (found["rows"].sum(), kept.manifest["rows_out"]) == (3, 600)
    assert (found["file"][0], found["line"][0]) == ("AAA.parquet", 101)

    quarantined = asked(tmp_path / "ticks", tmp_path / "quarantined", reason, "quarantine")
    accounts_for_every_row(quarantined)
    assert (quarantined.manifest["rows_out"], quarantined.manifest["quarantined"]) == (597, {reason: 3})
    assert sorted(quarantined.rejected()["line"]) == [101, 301, 501]
    assert set(quarantined.rejected()["file"]) == {str(source)}

    with pytest.raises(DataError) as ended:
        asked(tmp_path / "ticks", tmp_path / "failed", reason, "fail")
    assert str(ended.value).startswith(f"{source}: line 101: {reason}, the first of ")
    assert str(ended.value).endswith(
        f"; quality.policy.{reason} is fail: expected none, mend them or set another policy"
    )
    assert "\n" not in str(ended.value)
    assert not (tmp_path / "failed").exists()

    default = asked(tmp_path / "ticks", tmp_path / "default", reason, None)
    same = kept if DEFAULT_POLICY[reason] == "keep" else quarantined
    assert default.manifest["files"] == same.manifest["files"]


@pytest.mark.parametrize("reason", KEPT)
def test_rows_in_memory_follow_the_same_policy(reason: str, tmp_path: Path) -> None:
    parquet(tmp_path / "ticks" / "AAA.parquet", spoiled(reason))
    made = {"bars": MINUTE, "plan": FeaturePlan(NAMES), "config_text": "{}"}
    for action in ("keep", "quarantine"):
        streamed = asked(tmp_path / "ticks", tmp_path / f"{action}-streamed", reason, action)
        hints = SourceHints(quality=Quality(policy={reason: action}))
        report = build_store(read_archive([tmp_path / "ticks"], hints), out=tmp_path / action, **made)
        assert report.store.manifest["files"] == streamed.manifest["files"]
        assert report.quarantined == streamed.manifest["quarantined"]
        assert (report.rows_in, report.rows_out) == (600, 600 if action == "keep" else 597)
        held = accounts_for_every_row(report.store).filter(pl.col("reason").is_not_null())
        assert (held["rows"].sum(), held["file"][0], held["line"][0]) == (3, "AAA.parquet", 101)
    hints = SourceHints(quality=Quality(policy={reason: "fail"}))

    def build() -> None:
        build_store(read_archive([tmp_path / "ticks"], hints), out=tmp_path / "fail", **made)

    with pytest.raises(DataError, match=rf"line 101: {reason}, the first of"):
        build()


def test_rows_without_a_good_one_beside_them_end_the_build_too(tmp_path: Path) -> None:
    parquet(tmp_path / "ticks" / "AAA.parquet", ticks(50))
    parquet(tmp_path / "ticks" / "BBB.parquet", ticks(50).with_columns(price=0.0))
    with pytest.raises(DataError, match=r"BBB\.parquet: line 1: non_positive_price, the first of 50 such rows: "):
        asked(tmp_path / "ticks", tmp_path / "store", "non_positive_price", "fail")


def test_newest_first_files_are_out_of_order_where_time_steps_forth(tmp_path: Path) -> None:
    frame = ticks(600).reverse()
    odd = pl.int_range(pl.len()) == 200
    frame = frame.with_columns(timestamp=pl.when(odd).then(pl.col("timestamp").shift(9) + 1).otherwise("timestamp"))
    parquet(tmp_path / "ticks" / "AAA.parquet", frame)
    store = asked(tmp_path / "ticks", tmp_path / "store", "non_monotonic", "quarantine")
    assert store.rejected().select("line", "reason").rows() == [(201, "non_monotonic")]


def test_each_symbol_of_a_file_has_an_order_of_its_own(tmp_path: Path) -> None:
    one, two = (ticks(300, seed).with_columns(symbol=pl.lit(name)) for seed, name in enumerate("AB"))
    parquet(tmp_path / "ticks" / "both.parquet", pl.concat([one, two]))
    assert not read_archive([tmp_path / "ticks"]).rejected.height
    found = accounts_for_every_row(asked(tmp_path / "ticks", tmp_path / "store", "non_monotonic", "fail"))
    assert found["reason"].null_count() == len(found)


def test_another_policy_is_another_store(tmp_path: Path) -> None:
    parquet(tmp_path / "ticks" / "AAA.parquet", ticks(300))
    store = asked(tmp_path / "ticks", tmp_path / "store", "outlier_print", "keep")
    assert store.manifest["quality"]["policy"] == DEFAULT_POLICY
    with pytest.raises(DataError, match="holds a feature store made with other quality; give --overwrite"):
        asked(tmp_path / "ticks", tmp_path / "store", "outlier_print", "quarantine")


@pytest.mark.parametrize(
    ("stated", "problem"),
    [
        ({"missing_value": "keep"}, "quality.policy.missing_value: such rows cannot be kept, .*; expected quarantine"),
        (
            {"crossed": "keep"},
            "policy.crossed: no such reason, expected one of ragged_row, .*received 'crossed'",
        ),
        ({"crossed_quote": "drop"}, "quality.policy.crossed_quote: expected one of keep, quarantine, fail, received"),
    ],
)
def test_a_policy_that_cannot_be_is_refused(stated: dict[str, str], problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        whole_policy(stated)


def test_every_reason_that_can_be_kept_has_a_bit() -> None:
    for reason in DEFAULT_POLICY:
        if reason in KEPT_BITS:
            assert whole_policy({reason: "keep"})[reason] == "keep"
        else:
            with pytest.raises(DataError, match="cannot be kept"):
                whole_policy({reason: "keep"})
    assert len(set(KEPT_BITS.values())) == len(KEPT_BITS)
    assert max(KEPT_BITS.values()) < 256


def test_crossed_quotes_of_a_real_feed(market_data: Path, tmp_path: Path) -> None:
    folder = market_data / "lean" / "forex" / "fxcm" / "tick" / "eurusd"
    found = {}
    for action in ("keep", "quarantine"):
        hints = SourceHints(timezone="-05:00", quality=Quality(policy={"crossed_quote": action}))
        store = build_archive(request(folder, tmp_path / action, hints=hints)).store
        ledger = accounts_for_every_row(store)
        found[action] = ledger.filter(pl.col("reason") == "crossed_quote")["rows"].sum()
        assert store.manifest["rows_in"] == 519_917
        assert store.manifest["rows_out"] == (519_917 if action == "keep" else 466_789)
    assert found == {"keep": 53_128, "quarantine": 53_128}


def test_bad_prints_of_a_real_market(market_data: Path, tmp_path: Path) -> None:
    source = market_data / "pyalgotrade" / "bitstampUSD.csv"
    store = asked(source, tmp_path / "store", "outlier_print", "quarantine")
    accounts_for_every_row(store)
    rejected = store.rejected().filter(pl.col("reason") == "outlier_print")
    assert rejected["raw"].str.contains(",15.0,").sum() == 2
    assert store.read("bitstampUSD", ["high"])["high"].max() < 10.0
