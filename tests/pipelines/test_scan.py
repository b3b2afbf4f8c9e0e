"""A pass over a store finds the windows, boundaries and splits that are found in memory."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.bars import BarSpec
from pipelines.errors import DataError
from pipelines.panel import Panel, load_panel, panel_windows
from pipelines.row_groups import StoredRows
from pipelines.scan import Scan, boundaries_of, scan, split_runs
from pipelines.splits import Cut, split_windows, temporal_boundaries
from pipelines.store import FeatureStore
from pipelines.window_runs import WindowRuns
from tests.pipelines.row_stores import FEATURES, MINUTE, gapped_store

SECOND = 10**9


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return gapped_store(tmp_path_factory.mktemp("gapped"))


@pytest.fixture(scope="module")
def panel(store: FeatureStore) -> Panel:
    return load_panel(store, FEATURES)


@pytest.mark.parametrize("group", [1, 2, 7, 50, 1000])
@pytest.mark.parametrize("max_gap_ns", [None, 2 * SECOND, 10**15])
def test_windows_are_those_of_the_panel_however_rows_are_grouped(
    tmp_path_factory: pytest.TempPathFactory, group: int, max_gap_ns: int | None
) -> None:
    store = gapped_store(tmp_path_factory.getbasetemp() / f"groups of {group}", group=group)
    starts, gap = panel_windows(load_panel(store, FEATURES), lookback=5, horizon=2, max_gap_ns=max_gap_ns)
    found = scan(StoredRows(store, FEATURES), max_gap_ns=max_gap_ns)
    assert found.windows(5, 2).starts().tolist() == starts.tolist()
    assert found.max_gap_ns == gap


def test_rows_are_those_of_the_panel(store: FeatureStore, panel: Panel) -> None:
    rows = StoredRows(store, FEATURES)
    assert len(rows) == len(panel.matrix)
    assert rows.offsets.tolist() == panel.offsets.tolist()
    assert scan(rows, max_gap_ns=None).known[:].tolist() == panel.known.tolist()
    for begin, end in ((0, len(rows)), (3, 4), (6, 8), (95, 140)):
        blocks = list(rows.blocks(begin, end, ["timestamp", "rsi_wilder_5"]))
        assert next(first for first, _ in blocks) == begin
        for number, name in enumerate(["timestamp", "rsi_wilder_5"]):
            found = np.concatenate([block[name] for _, block in blocks])
            expected = panel.timestamp if number == 0 else panel.matrix[:, 1]
            np.testing.assert_array_equal(found, expected[begin:end])
    assert rows.row_name(101) == panel.row_name(101)


def test_a_bar_that_was_still_open_is_no_row(tmp_path: Path) -> None:
    store = gapped_store(tmp_path, group=3, bars=BarSpec("time", MINUTE // 12))
    panel = load_panel(store, FEATURES)
    rows = StoredRows(store, FEATURES)
    assert len(rows) == len(panel.matrix) == sum(len(store.read(symbol)) - 1 for symbol in store.symbols)
    found = scan(rows, max_gap_ns=None)
    assert found.known[:].tolist() == panel.known.tolist()
    assert (
        found.windows(3, 1).starts().tolist()
        == panel_windows(panel, lookback=3, horizon=1, max_gap_ns=None)[0].tolist()
    )


def test_no_window_spans_two_sessions(store: FeatureStore, panel: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    edges = panel.known[[20, 40, 41, 130]]
    monkeypatch.setattr(store, "session_edges", lambda: np.sort(edges))
    starts, _ = panel_windows(load_panel(store, FEATURES), lookback=5, horizon=2, max_gap_ns=None)
    found = scan(StoredRows(store, FEATURES), max_gap_ns=None).windows(5, 2).starts()
    assert found.tolist() == starts.tolist()
    assert len(found) < len(panel_windows(panel, lookback=5, horizon=2, max_gap_ns=None)[0])


@pytest.mark.parametrize(("validation", "test"), [(0.15, 0.15), (0.3, 0.01), (0.2, "2024-01-01T00:02:00")])
@pytest.mark.parametrize("embargo", [0, 4])
def test_parts_are_those_of_the_panel(
    store: FeatureStore, panel: Panel, validation: Cut, test: Cut, embargo: int
) -> None:
    starts, _ = panel_windows(panel, lookback=5, horizon=2, max_gap_ns=None)
    expected = temporal_boundaries(starts, panel.known, span=7, validation=validation, test=test)
    found = scan(StoredRows(store, FEATURES), max_gap_ns=None)
    windows = found.windows(5, 2)
    boundaries = boundaries_of(found, windows, span=7, validation=validation, test=test)
    assert boundaries == expected
    split = split_windows(starts, panel.known, panel.offsets, expected, span=7, embargo=embargo)
    parts = split_runs(found, windows, boundaries, span=7, embargo=embargo)
    assert {name: runs.starts().tolist() for name, runs in vars(parts).items()} == {
        name: part.tolist() for name, part in vars(split).items()
    }


def told_by(call: Callable[[], object]) -> str:
    """What comes of it: its result, or the message of its error."""
    try:
        return repr(call())
    except DataError as error:
        return str(error)


@given(data=st.data())
def test_boundaries_of_any_times_are_those_of_the_list(data: st.DataObject) -> None:
    lengths = data.draw(st.lists(st.integers(4, 15), min_size=1, max_size=4))
    steps = [data.draw(st.lists(st.integers(0, 3), min_size=size, max_size=size)) for size in lengths]
    known = np.concatenate([np.cumsum(each) for each in steps]).astype(np.int64)
    offsets = np.cumsum([0, *lengths])
    windows = WindowRuns.of_counts(offsets[:-1], np.array(lengths) - 2)
    cuts = {"validation": data.draw(st.floats(0.01, 0.6)), "test": data.draw(st.floats(0.01, 0.6))}
    found = Scan(windows, known, known, known, offsets, 0)
    told = [
        told_by(lambda: temporal_boundaries(windows.starts(), known, span=3, **cuts)),
        told_by(lambda: boundaries_of(found, windows, span=3, **cuts)),
    ]
    assert told[0] == told[1]


def test_a_lookback_longer_than_every_stretch_is_named(store: FeatureStore) -> None:
    found = scan(StoredRows(store, FEATURES), max_gap_ns=None)
    with pytest.raises(DataError, match=r"the longest unbroken run of usable rows is 116, needed 202 \(windows.look"):
        found.windows(200, 2)


def test_a_file_that_changed_is_refused(tmp_path: Path) -> None:
    store = gapped_store(tmp_path)
    rows = StoredRows(store, FEATURES)
    path = next((tmp_path / "store" / "symbol=BBB").rglob("*.parquet"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match="expected SHA-256"):
        scan(rows, max_gap_ns=None)
    path.unlink()
    with pytest.raises(DataError, match="missing; rebuild the store"):
        scan(rows, max_gap_ns=None)


def test_a_feature_that_the_store_lacks_is_named(store: FeatureStore) -> None:
    with pytest.raises(DataError, match="lacks rsi_wilder_14"):
        StoredRows(store, ["rsi_wilder_14"])
