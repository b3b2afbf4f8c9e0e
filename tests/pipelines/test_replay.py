"""Features computed anew: in pieces as in one go, block after block, from what the store keeps."""

import numpy as np
import pytest

from kernels.bars import COLUMN_NAMES
from pipelines.features import FeaturePlan
from pipelines.replay import CALENDAR_NS, Replay, cuts, differing, kept_columns, replays, stored_blocks
from pipelines.store import FeatureStore
from tests.stockbot.markets import make_store, wave

FEATURES = ["core17", "hawkes_buy_10", "spread_bps"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return make_store(tmp_path_factory.mktemp("replay"), {"AAA": wave(700)}, ["logret_1", "tod_sin"])


def replayed(store: FeatureStore, features: list[str]) -> list[Replay]:
    return list(replays(FeaturePlan(features), store, stored_blocks(store, "AAA")))


def test_all_three_ways_give_the_same_bits(store: FeatureStore) -> None:
    (block,) = replayed(store, FEATURES)
    assert block.whole.shape == (700, 19)
    assert np.isfinite(block.whole[40:]).all()
    assert not differing(block.whole, block.pieces).any()
    assert not differing(block.whole, block.moved).any()


def test_blocks_go_on_from_each_other_and_give_what_the_store_holds(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.replay.BLOCK_ROWS", 256)
    blocks = replayed(store, ["logret_1", "tod_sin"])
    assert [block.begin for block in blocks] == [0, 256, 512]
    held = store.read("AAA", ["logret_1", "tod_sin"]).to_numpy()
    for way in ("whole", "pieces", "moved"):
        assert not differing(np.concatenate([getattr(block, way) for block in blocks]), held).any(), way


def test_the_calendar_comes_again() -> None:
    now = np.datetime64("2024-02-29T13:00", "ns")
    then = now + np.timedelta64(CALENDAR_NS, "ns")
    assert str(then).startswith("2052-02-29T13:00")
    assert CALENDAR_NS % (7 * 86_400 * 10**9) == 0


def test_a_tick_gives_back_its_value_and_a_bar_of_ticks_does_not(store: FeatureStore) -> None:
    assert kept_columns(store) == set(COLUMN_NAMES[:8])
    bars = FeatureStore(store.path, {**store.manifest, "bars": {"kind": "tick", "size": 5}})
    assert kept_columns(store) - kept_columns(bars) == {"dollar"}
    candles = FeatureStore(store.path, {**store.manifest, "source_kind": "candles"})
    assert kept_columns(candles) == set(COLUMN_NAMES)


@pytest.mark.parametrize("rows", [1, 2, 30, 5000])
def test_pieces_end_at_rows_in_order_and_the_last_holds_the_last_row(rows: int) -> None:
    ends = cuts(wave(rows))
    assert ends == sorted(set(ends))
    assert ends[-1] == rows
    assert ends[0] >= 1
    assert np.count_nonzero(np.diff([0, *ends]) == 1) >= min(rows, 20)


def test_the_future_is_cut_off_before_the_largest_moves() -> None:
    close = wave(5000)
    jumps = [700, 2100, 4999]
    for row in jumps:
        close[row:] *= 1.2
    assert set(jumps) <= set(cuts(close))


def test_bits_differ_where_values_or_signs_do_and_nan_is_nan() -> None:
    left = np.array([1.0, 0.0, np.nan, np.nan, 2.0], np.float32)
    right = np.array([1.0, -0.0, -np.float32(np.nan), 1.0, np.nextafter(np.float32(2.0), np.float32(3.0))], np.float32)
    assert differing(left, right).tolist() == [False, True, False, True, True]
