"""Rows that lack a value are counted and named before a training; an infinite value is refused, wherever rows are."""

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipelines.bars import BarSpec
from pipelines.build import build_store
from pipelines.catalogue import FAMILIES
from pipelines.errors import DataError
from pipelines.features import FeaturePlan
from pipelines.ingest import read_archive
from pipelines.panel import load_panel
from pipelines.schema import SourceHints
from pipelines.store import FeatureStore
from stockbot.audit import audit
from stockbot.feature_modules import load_feature_modules
from stockbot.left_out import left_out
from stockbot.train import train
from stockbot.training_set import make_training_set
from tests.stockbot.markets import tiny_config, wave

MODULE = """
from pipelines.catalogue import feature
from pipelines.catalogue.functions import bars
feature("share", "volume over itself: no value without volume")(lambda: bars.volume / bars.volume)
feature("inverse", "one over the volume: infinite without volume")(lambda: 1.0 / bars.volume)
"""


@pytest.fixture(autouse=True)
def divisions(tmp_path: Path) -> Iterator[None]:
    path = tmp_path / "divisions.py"
    path.write_text(MODULE)
    families = dict(FAMILIES)
    load_feature_modules([str(path)], "config.yaml")
    yield
    FAMILIES.clear()
    FAMILIES.update(families)
    del sys.modules[str(path)]


def store_of(folder: Path, features: list[str], *, without_volume: tuple[int, ...]) -> FeatureStore:
    """Two symbols of a tick a second; some seconds of the second one have no volume."""
    lines = ["timestamp,symbol,price,volume"]
    for number, symbol in enumerate(("AAA", "BBB")):
        for second, price in enumerate(wave(260, seed=number)):
            volume = 0.0 if symbol == "BBB" and second in without_volume else 1.5
            lines.append(f"{1_704_067_200 + second},{symbol},{price},{volume}")
    (folder / "ticks.csv").write_text("\n".join(lines) + "\n")
    rows = read_archive([folder / "ticks.csv"], SourceHints())
    plan = FeaturePlan(features)
    return build_store(rows, bars=BarSpec("none", 1), plan=plan, out=folder / "store", config_text="").store


@pytest.mark.parametrize("placement", ["memory", "streamed"])
def test_rows_without_a_value_are_counted_and_named(tmp_path: Path, placement: str) -> None:
    features = ["logret_1", "share"]
    store = store_of(tmp_path, features, without_volume=(0, 50, 51, 90))
    config = tiny_config(features=features, loader__placement=placement, model__factory="linear")
    said = "3 rows are in no window: share has no value in 3, the first BBB at 2024-01-01T00:00:50Z"
    data = make_training_set(config, store)
    assert data.left_out == said
    found = next(check for check in audit(data, store).checks if check.name == "windows")
    assert found.seen.endswith(f"labels included; {said}")
    told: list[str] = []
    train(config, store, tmp_path / "artifacts", report=told.append)
    assert f"left out: {said}" in told


@pytest.mark.parametrize("placement", ["memory", "streamed"])
def test_an_infinite_value_is_refused_before_training(tmp_path: Path, placement: str) -> None:
    features = ["logret_1", "inverse"]
    store = store_of(tmp_path, features, without_volume=(50,))
    config = tiny_config(features=features, loader__placement=placement)
    said = r"features: inverse of BBB at 2024-01-01T00:00:50Z is inf, expected a finite number, .* divides by 0"
    with pytest.raises(DataError, match=said):
        train(config, store, tmp_path / "artifacts")
    assert not (tmp_path / "artifacts" / "models").exists()


def test_whole_rows_and_those_of_the_warm_up_are_no_matter(tmp_path: Path) -> None:
    store = store_of(tmp_path, ["logret_1"], without_volume=(50,))
    assert make_training_set(tiny_config(features=["logret_1"]), store).left_out == ""


def test_a_symbol_without_rows_or_without_a_usable_one_is_passed_over(wave_store: FeatureStore) -> None:
    panel = load_panel(wave_store, wave_store.features)
    matrix = panel.matrix.copy()
    matrix[:260] = np.nan
    symbols, offsets = ("AAA", "ABA", "BBB"), np.array([0, 260, 260, 520])
    assert left_out(dataclasses.replace(panel, symbols=symbols, offsets=offsets)) == ""
    assert left_out(dataclasses.replace(panel, symbols=symbols, offsets=offsets, matrix=matrix)) == ""
