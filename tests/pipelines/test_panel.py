"""Rows of a store become one matrix; what cannot be used is named."""

from pathlib import Path

import numpy as np
import pytest

from pipelines.bars import BarSpec
from pipelines.build import build_store
from pipelines.errors import DataError
from pipelines.features import FeaturePlan
from pipelines.ingest import read_archive
from pipelines.panel import load_panel, panel_windows
from tests.stockbot.markets import make_store, wave, write_ticks

SECOND = 10**9


def test_symbols_stand_one_after_another_as_the_store_holds_them(tmp_path: Path) -> None:
    store = make_store(tmp_path, {"BBB": wave(40), "AAA": wave(30, seed=1)})
    panel = load_panel(store, ["rsi_wilder_5", "logret_1"])
    assert panel.symbols == ("AAA", "BBB")
    assert panel.offsets.tolist() == [0, 30, 70]
    assert panel.matrix.dtype == np.float32
    assert panel.matrix.flags.c_contiguous
    frame = store.read("BBB")
    np.testing.assert_array_equal(panel.matrix[30:, 0], frame["rsi_wilder_5"].to_numpy())
    np.testing.assert_array_equal(panel.close[30:], frame["close"].to_numpy())
    assert panel.row_name(30) == "BBB at 2024-01-01T00:00:00Z"


def test_a_bar_that_was_still_open_is_no_row(tmp_path: Path) -> None:
    """Its close and volume are not what the live runner will see."""
    ticks = read_archive([write_ticks(tmp_path / "ticks.csv", {"AAA": wave(615)})])
    store = build_store(
        ticks, bars=BarSpec("time", 60 * SECOND), plan=FeaturePlan(["logret_1"]), out=tmp_path / "out", config_text=""
    ).store
    assert len(store.read("AAA")) == 11
    panel = load_panel(store, ["logret_1"])
    assert panel.offsets.tolist() == [0, 10]
    assert panel.known.max() == store.read("AAA")["last_timestamp"].to_physical()[9]


def test_windows_begin_after_the_warm_up_of_each_symbol(tmp_path: Path) -> None:
    store = make_store(tmp_path, {"AAA": wave(30), "BBB": wave(30)})
    starts, gap = panel_windows(load_panel(store, ["rsi_wilder_5"]), lookback=10, horizon=2, max_gap_ns=None)
    assert starts.tolist() == [*range(5, 19), *range(35, 49)]
    assert gap == 300 * SECOND


def test_a_series_shorter_than_lookback_names_symbol_rows_need_and_knob(tmp_path: Path) -> None:
    store = make_store(tmp_path, {"AAA": wave(8), "EURUSD": wave(12)})
    with pytest.raises(DataError) as caught:
        panel_windows(load_panel(store, ["logret_1", "rsi_wilder_5"]), lookback=10, horizon=2, max_gap_ns=None)
    assert str(caught.value) == (
        "EURUSD: the longest unbroken run of usable rows is 7 of 12 (rsi_wilder_5 has no value in 5 of them), "
        "needed 12 (windows.lookback + labels.horizon): use more data, a shorter lookback or a longer windows.max_gap"
    )


def test_a_feature_that_the_store_lacks_is_named(tmp_path: Path) -> None:
    store = make_store(tmp_path, {"AAA": wave(20)}, ["logret_1"])
    with pytest.raises(DataError, match=r"lacks rsi_wilder_14; it holds logret_1: build it again"):
        load_panel(store, ["logret_1", "rsi_wilder_14"])
    many = [f"rsi_wilder_{window}" for window in range(2, 160)]
    with pytest.raises(DataError, match=r"lacks rsi_wilder_2, .*, rsi_wilder_9 and 150 more; it holds logret_1: build"):
        load_panel(store, many)
