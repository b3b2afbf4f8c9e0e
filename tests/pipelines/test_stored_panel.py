"""A panel whose features stay in the store is the panel in memory, of rows written, computed or in a bucket."""

from pathlib import Path

import numpy as np
import pytest

from pipelines.archive import build_archive
from pipelines.bars import BarSpec
from pipelines.batches import WindowLoader
from pipelines.errors import DataError
from pipelines.panel import Panel, WindowSet, load_panel
from pipelines.store import FeatureStore
from pipelines.stored_panel import StoredPanel
from pipelines.streamed import StreamedWindows
from tests.pipelines.bucket import Bucket
from tests.pipelines.test_archive import MINUTE, NONE, parquet, request, small, ticks  # noqa: F401

pytestmark = pytest.mark.usefixtures("small")
LOOKBACK, HORIZON = 5, 3


def archive(folder: Path) -> Path:
    """Two symbols over some days; the last bar of each is open."""
    for number, symbol in enumerate(("AAA", "BBB")):
        parquet(folder / f"{symbol}.parquet", ticks(3000 + 500 * number, number))
    return folder


def compare(store: FeatureStore) -> None:
    features = store.features[:3]
    panel, stored = load_panel(store, features), StoredPanel.read(store, features, max_gap_ns=None)
    rows = len(panel)
    assert len(stored) == rows
    assert (stored.features, stored.symbols) == (panel.features, panel.symbols)
    for name in ("timestamp", "known", "close", "offsets"):
        np.testing.assert_array_equal(getattr(stored, name)[:], getattr(panel, name))
    for begin, end in ((0, rows), (rows // 3, rows // 3 + 700), (rows - 1, rows)):
        np.testing.assert_array_equal(stored.between(begin, end), panel.between(begin, end))
        np.testing.assert_array_equal(stored.session_of(begin, end), panel.session_of(begin, end))
    some = np.sort(np.random.default_rng(0).choice(rows, 50, replace=False))
    np.testing.assert_array_equal(stored.at(some), panel.at(some))
    assert stored.row_name(rows - 1) == panel.row_name(rows - 1)
    (expected, gap), (found, again) = (
        one.unbroken(lookback=LOOKBACK, horizon=HORIZON, max_gap_ns=None) for one in (panel, stored)
    )
    assert gap == again
    np.testing.assert_array_equal(found.starts(), expected.starts())
    same_batches(panel, stored)


def same_batches(panel: Panel, stored: StoredPanel) -> None:
    runs, _ = panel.unbroken(lookback=LOOKBACK, horizon=HORIZON, max_gap_ns=None)
    ours, theirs = (one.fitted_scaler("standard", runs.rows(LOOKBACK)) for one in (stored, panel))
    np.testing.assert_allclose(ours.center, theirs.center, rtol=1e-9)
    np.testing.assert_allclose(ours.scale, theirs.scale, rtol=1e-9)
    memory = WindowSet(theirs.transform(panel.matrix), runs, targets(panel.close), LOOKBACK)
    streamed = StreamedWindows(
        stored.rows, runs, lookback=LOOKBACK, horizon=HORIZON, scaler=theirs, targets=targets, run_rows=600
    )
    in_order = zip(
        *(WindowLoader(each, batch_size=64, seed=None).batches() for each in (streamed, memory)), strict=True
    )
    for found, expected in in_order:
        np.testing.assert_array_equal(found.inputs, expected.inputs)
        np.testing.assert_array_equal(found.targets, expected.targets)
    shuffled = [np.concatenate([batch.targets.copy() for batch in WindowLoader(each, batch_size=64, seed=1).batches()])
                for each in (streamed, memory)]  # fmt: skip
    np.testing.assert_array_equal(*(np.sort(each[:, 0]) for each in shuffled))


def targets(close: np.ndarray) -> np.ndarray:
    ahead = np.append(close[HORIZON:], np.ones(HORIZON))[: len(close)]
    return np.asarray((ahead / close).astype(np.float32)[:, None])


@pytest.mark.parametrize("spec", [NONE, MINUTE], ids=["ticks", "bars"])
@pytest.mark.parametrize("mode", ["all", "input", "none"])
def test_rows_that_are_written_kept_and_computed(tmp_path: Path, spec: BarSpec, mode: str) -> None:
    store = build_archive(request(archive(tmp_path / "in"), tmp_path / "store", spec, materialize=mode)).store
    compare(store)


def test_rows_in_a_bucket(bucket: Bucket, tmp_path: Path) -> None:
    asked = request(archive(tmp_path / "in"), Path("s3://ticks/store"), scratch=tmp_path / "scratch")
    build_archive(asked)
    compare(FeatureStore.open(bucket.at("store")))


def test_another_gap_than_that_of_the_scan_is_refused(tmp_path: Path) -> None:
    store = build_archive(request(archive(tmp_path / "in"), tmp_path / "store")).store
    panel = StoredPanel.read(store, store.features[:1], max_gap_ns=10**12)
    panel.unbroken(lookback=2, horizon=1, max_gap_ns=10**12)
    with pytest.raises(ValueError, match="max_gap_ns: expected 1000000000000, received 5"):
        panel.unbroken(lookback=2, horizon=1, max_gap_ns=5)


def test_a_feature_that_is_not_there_is_named(tmp_path: Path) -> None:
    store = build_archive(request(archive(tmp_path / "in"), tmp_path / "store")).store
    with pytest.raises(DataError, match="the feature store lacks rsi_wilder_99"):
        StoredPanel.read(store, ["rsi_wilder_99"], max_gap_ns=None)
