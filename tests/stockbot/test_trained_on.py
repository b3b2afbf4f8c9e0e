"""Rows that are made otherwise than those of the training are refused wherever a model meets them."""

from pathlib import Path

import numpy as np
import pytest

from pipelines.store import FeatureStore
from stockbot.build import build_features
from stockbot.chart_data import chart_of
from stockbot.config import Config, load_config
from stockbot.errors import ArtifactError
from stockbot.export import export
from stockbot.trained_on import require_candle_length, require_store
from tests.stockbot.world import World, candle_world, make_world, write_candles

SECOND = 10**9


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def candles(tmp_path_factory: pytest.TempPathFactory) -> World:
    return candle_world(tmp_path_factory.mktemp("candles"))


def refused(world: World, store: Path, out: Path, message: str) -> None:
    """Both readers of a store refuse it."""
    from pipelines.store import FeatureStore

    with pytest.raises(ArtifactError, match=message):
        export(FeatureStore.open(store), out, bundle=world.bundle)
    with pytest.raises(ArtifactError, match=message):
        chart_of(store, artifacts=world.artifacts, model=None, settings=Config())
    assert not out.exists()


def test_bars_of_another_size_are_refused(world: World, tmp_path: Path) -> None:
    coarse = load_config(None, world.config.model_dump() | {"bars": {"kind": "time", "size": "5m"}})
    build_features(world.history, coarse, tmp_path / "store")
    message = r"holds time bars of 300 s, but model \w+ was trained on time bars of 60 s"
    refused(world, tmp_path / "store", tmp_path / "out.csv", message)


def test_other_sessions_are_refused(world: World) -> None:
    store = FeatureStore.open(world.store.path)
    store.manifest["quality"] = store.manifest["quality"] | {"calendar": "XLON"}
    with pytest.raises(
        ArtifactError, match=r"has the sessions of XLON, but model \w+ was trained on rows without sessions"
    ):
        require_store(store, world.bundle)


def test_missing_features_are_named(world: World, tmp_path: Path) -> None:
    narrow = load_config(None, world.config.model_dump() | {"features": ["logret_1"]})
    build_features(world.history, narrow, tmp_path / "store")
    refused(world, tmp_path / "store", tmp_path / "out.csv", "lacks zscore_20, ofi_5, tod_sin")


def test_ticks_for_a_model_of_candles_are_refused(world: World, candles: World, tmp_path: Path) -> None:
    refused(candles, world.store.path, tmp_path / "out.csv", r"holds ticks, but model \w+ was trained on candles")


def test_candles_of_another_length_are_refused(candles: World, tmp_path: Path) -> None:
    source = write_candles(tmp_path / "hours.csv", step_seconds=3600)
    build_features([source], candles.config, tmp_path / "store")
    refused(candles, tmp_path / "store", tmp_path / "out.csv", "holds candles of 3600 s, .* on candles of 60 s")


def test_what_candles_were_meant_to_be_built_into_does_not_matter(candles: World, tmp_path: Path) -> None:
    unlike = load_config(None, candles.config.model_dump() | {"bars": {"kind": "time", "size": "5m"}})
    require_store(build_features(candles.today, unlike, tmp_path / "store")[0].store, candles.bundle)


@pytest.mark.parametrize(
    ("seconds", "is_refused"),
    [
        ([0, 60, 120, 180, 600, 660, 720], False),
        ([0, 80, 150, 230, 310, 390, 470], False),  # thin candles wander
        ([0, 259_200], False),  # two candles with a weekend between them tell nothing
        ([0, 120, 240, 360, 480, 600, 720], True),
        ([0, 30, 60, 90, 120, 150, 180], True),
    ],
)
def test_only_a_clear_difference_in_length_is_one(candles: World, seconds: list[int], is_refused: bool) -> None:
    stamps = [np.array(seconds, np.int64) * SECOND, np.array([0, 259_200 * SECOND])]
    if is_refused:
        with pytest.raises(ArtifactError, match=r"the feed brings candles of (120|30) s"):
            require_candle_length(stamps, candles.bundle, "the feed brings")
    else:
        require_candle_length(stamps, candles.bundle, "the feed brings")
