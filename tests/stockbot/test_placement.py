"""The same store trained in memory and streamed: the same windows, figures and refusals, wherever the rows are."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.bars import BarSpec
from pipelines.batches import WindowLoader
from pipelines.build import build_store
from pipelines.columns import ScratchColumn
from pipelines.features import FeaturePlan
from pipelines.ingest import read_archive
from pipelines.parquet_writer import Encoding
from pipelines.scaling import Scaler
from pipelines.schema import SourceHints
from pipelines.store import FeatureStore
from pipelines.stored_panel import StoredPanel
from pipelines.streamed import StreamedWindows, memory_needed
from stockbot.audit import audit
from stockbot.baselines import baselines, predictions
from stockbot.bundle import Bundle
from stockbot.compare import compare
from stockbot.config import Config, LoaderConfig
from stockbot.errors import ConfigError
from stockbot.inference import OnnxModel
from stockbot.live.replay import in_force
from stockbot.scorecard import scorecard
from stockbot.train import TrainResult, train
from stockbot.training_set import TrainingSet, make_training_set
from stockbot.unseen import score_unseen, unseen_set
from stockbot.walk_forward import walk
from tests.stockbot.markets import FEATURES, tiny_config, wave, write_ticks
from tests.stockbot.test_resume import STATEFUL, assert_same, train_on


class Zero(OnnxModel):
    """Says that nothing moves."""

    def outputs(self, windows: np.ndarray) -> np.ndarray:
        return np.zeros(len(windows), np.float32)


ZERO = Zero(b"")
LONG = {"model__factory": "linear", "training__epochs": 2}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """Row groups of twenty rows, and a gap in one symbol."""
    folder = tmp_path_factory.mktemp("placement")
    first = write_ticks(folder / "first.csv", {"AAA": wave(260), "BBB": wave(260, seed=1)})
    later = write_ticks(folder / "later.csv", {"AAA": wave(90, seed=2)}, first_second=2_000)
    return build_store(
        read_archive([first, later], SourceHints()),
        bars=BarSpec("none", 1),
        plan=FeaturePlan(FEATURES),
        out=folder / "store",
        config_text="",
        encoding=Encoding(row_group_rows=20),
    ).store


@pytest.fixture(autouse=True)
def _short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(StreamedWindows.__init__.__kwdefaults__, "run_rows", 50)


def both(store: FeatureStore, **changes: Any) -> tuple[TrainingSet, TrainingSet]:
    memory, streamed = (
        make_training_set(tiny_config(loader__placement=placement, **changes), store)
        for placement in ("memory", "streamed")
    )
    assert (memory.placement, streamed.placement) == ("memory", "streamed")
    return memory, streamed


def as_set(data: TrainingSet, epoch: int) -> list[bytes]:
    loader = WindowLoader(data.train_windows(), batch_size=16, seed=5)
    found = []
    for batch in loader.batches(epochs=epoch + 1, epoch=epoch):
        parts = [np.array(part).reshape(len(batch.inputs), -1) for part in batch if part is not None]
        found += [row.tobytes() for row in np.concatenate(parts, axis=1)]
    return sorted(found)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"labels__objective": "direction", "labels__dead_zone": 2e-3, "training__weights": ["class", "uniqueness"]},
        {"split__embargo": 3, "split__test": 0.2, "windows__max_gap": "10s", "training__weights": ["uniqueness"]},
    ],
)
def test_split_scaler_labels_and_windows_are_the_same(store: FeatureStore, changes: dict[str, Any]) -> None:
    memory, streamed = both(store, **changes)
    for part in ("train", "validation", "test"):
        expected, found = (getattr(data.split, part) for data in (memory, streamed))
        np.testing.assert_array_equal(found.starts(), expected.starts())
        np.testing.assert_array_equal(streamed.all_windows(found).starts(), memory.all_windows(expected).starts())
    np.testing.assert_array_equal(streamed.labels[:], memory.labels)
    assert streamed.boundaries == memory.boundaries
    assert (streamed.target_scale, streamed.max_gap_ns) == (memory.target_scale, memory.max_gap_ns)
    assert streamed.scaler.samples == memory.scaler.samples
    for name in ("center", "scale", "variance"):
        np.testing.assert_allclose(getattr(streamed.scaler, name), getattr(memory.scaler, name), rtol=1e-12)
    assert {**streamed.describe(), "placement": "memory"} == memory.describe()
    streamed = dataclasses.replace(streamed, scaler=memory.scaler)  # fitted by blocks, it differs by rounding
    for epoch in range(2):
        assert as_set(streamed, epoch) == as_set(memory, epoch)


def trained(store: FeatureStore, artifacts: Path, said: list[str], **changes: Any) -> TrainResult:
    return train(tiny_config(**{**LONG, **changes}), store, artifacts, device="cpu", report=said.append)


@pytest.mark.parametrize("objective", ["regression", "direction"])
def test_the_same_weights_have_the_same_figures(store: FeatureStore, tmp_path: Path, objective: str) -> None:
    labels = {"labels__objective": objective, "labels__dead_zone": 2e-3 if objective == "direction" else 0.0}
    result = trained(store, tmp_path, [], loader__placement="streamed", **labels)
    model = Bundle.load(result.path).model
    memory, streamed = both(store, scaler="robust", **labels)
    cards = []
    for data in (memory, streamed):
        runs = data.all_windows(data.split.test)
        guesses = baselines(memory)  # of both the same: the order of the sums of a fit is that of blocks
        said = predictions(data, model, runs, {**baselines(data), "least_squares": guesses["least_squares"]})
        cards.append(scorecard(data, runs, said, config=data.config, trials=1).to_json())
    assert cards[1] == cards[0]


def flat(card: Any, name: str = "") -> dict[str, Any]:
    """Numbers of nested figures under the names of their places."""
    if isinstance(card, dict):
        return {place: one for key, value in card.items() for place, one in flat(value, f"{name}.{key}").items()}
    if isinstance(card, list):
        return {place: one for key, value in enumerate(card) for place, one in flat(value, f"{name}.{key}").items()}
    return {name: math.nan if card is None else card}


def test_a_streamed_training_is_audited_told_and_judged_like_any_other(store: FeatureStore, tmp_path: Path) -> None:
    said: list[str] = []
    result = trained(store, tmp_path, said, loader__placement="streamed")
    assert result.manifest["data"]["placement"] == "streamed"
    assert result.manifest["config"]["loader"] == {"placement": "streamed", "budget": "4GB"}
    assert result.manifest["audit"]["passed"]
    assert "rows 610 streamed  loader.budget 4GB" in said
    again = trained(store, tmp_path, [], loader__placement="streamed")
    assert again.metrics["keras"] == result.metrics["keras"]
    in_memory = trained(store, tmp_path, [], loader__placement="memory")
    baselines_of = [one.metrics["test"]["baselines"]["last"] for one in (result, in_memory)]
    assert baselines_of[0] == baselines_of[1]
    cards = [score_unseen(Bundle.load(one.path), store, config=tiny_config(), trials=1) for one in (result, in_memory)]
    assert flat(cards[0].to_json()["figures"]["last"]) == flat(cards[1].to_json()["figures"]["last"])


def test_an_epoch_in_other_runs_still_trains_the_same_model_to_rounding(store: FeatureStore, tmp_path: Path) -> None:
    """One batch of all windows an epoch: order does not matter, so weights may only differ by rounding."""
    whole = {"training__batch_size": len(both(store)[0].split.train)}
    figures = [
        trained(store, tmp_path, [], loader__placement=placement, **whole).metrics["test"]
        for placement in ("memory", "streamed")
    ]
    for name in ("loss", "mae", "directional_accuracy"):
        assert figures[0][name] == pytest.approx(figures[1][name], rel=1e-4)


def test_nothing_of_every_row_is_in_memory(store: FeatureStore) -> None:
    _, streamed = both(store)
    kept = [streamed.panel.timestamp, streamed.panel.known, streamed.panel.close, streamed.labels]
    said = predictions(streamed, ZERO, streamed.split.test, baselines(streamed))
    for column in (*kept, *said.values()):
        assert isinstance(column, ScratchColumn)


def test_two_models_compare_the_same(store: FeatureStore, tmp_path: Path) -> None:
    models = [
        Bundle.load(trained(store, tmp_path, [], scaler=scaler, windows__lookback=lookback).path)
        for scaler, lookback in (("robust", 6), ("standard", 9))
    ]
    memory, streamed = (compare(*models, store, LoaderConfig(placement=where)) for where in ("memory", "streamed"))
    assert streamed == memory
    assert memory.windows > 20
    assert memory.improvement != 0.0


def test_a_sealed_model_is_scored_where_the_settings_say(store: FeatureStore, tmp_path: Path) -> None:
    model = Bundle.load(trained(store, tmp_path, []).path)
    stated = in_force(model, Config(loader=LoaderConfig(placement="streamed")))
    assert unseen_set(model, store, stated.loader).placement == "streamed"
    assert unseen_set(model, store, in_force(model, Config()).loader).placement == "memory"
    memory, streamed = (score_unseen(model, store, config=one, trials=1).to_json() for one in (model.config, stated))
    for card in (memory, streamed):  # the order of the sums of its fit is that of blocks
        del card["figures"]["least_squares"], card["ahead"]["least_squares"], card["unbeaten"]
    assert streamed == memory


def test_leaks_are_caught_in_streamed_rows(store: FeatureStore) -> None:
    _, clean = both(store)
    assert audit(clean, store).passed
    panel = clean.panel
    assert isinstance(panel, StoredPanel)
    everything = panel.between(0, len(panel))
    scaler = Scaler.fit(everything[np.isfinite(everything).all(axis=1)], FEATURES)
    assert audit(dataclasses.replace(clean, scaler=scaler), store).failed == ["scaler"]
    late = dataclasses.replace(clean.split, train=clean.split.train.moved(10))
    assert "purge" in audit(dataclasses.replace(clean, split=late), store).failed
    assert "windows" in audit(dataclasses.replace(clean, max_gap_ns=10**9 - 1), store).failed
    later = dataclasses.replace(panel, close=np.roll(panel.close[:], -1))
    assert {"replay", "labels"} <= set(audit(dataclasses.replace(clean, panel=later), store).failed)


def test_rows_are_streamed_where_they_exceed_the_budget(store: FeatureStore) -> None:
    assert memory_needed(store, len(FEATURES)) < 10**6
    assert make_training_set(tiny_config(loader__budget="1MB"), store).placement == "memory"
    assert make_training_set(tiny_config(loader__budget="0MB"), store).placement == "streamed"


@pytest.mark.parametrize("at_once", [1, 2, 10])
def test_a_robust_scaler_is_the_same_to_the_bit(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    rows = both(store)[0].scaler.samples
    monkeypatch.setattr("pipelines.stored_panel.COLUMN_BYTES", 4 * rows * at_once)
    memory, streamed = both(store, scaler="robust")
    assert streamed.scaler.to_json() == memory.scaler.to_json()
    assert audit(streamed, store).passed
    for epoch in range(2):
        assert as_set(streamed, epoch) == as_set(memory, epoch)


def test_a_budget_that_is_no_size_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"`loader.budget`: expected a size such as 512MB or 4GB, received '4 gigs'"):
        tiny_config(loader__budget="4 gigs")


def test_a_walk_forward_is_the_same(store: FeatureStore) -> None:
    walks = [
        walk(
            tiny_config(loader__placement=placement, **LONG), store,
            folds=2, scheme="expanding", trials=1, device="cpu", report=lambda line: None,
        )
        for placement in ("memory", "streamed")
    ]  # fmt: skip
    assert all(fold["audit_passed"] for one in walks for fold in one.folds)
    assert [fold["losses"]["last"] for fold in walks[0].folds] == [fold["losses"]["last"] for fold in walks[1].folds]


def test_a_streamed_training_that_was_interrupted_ends_with_the_same_bits(store: FeatureStore, tmp_path: Path) -> None:
    config = tiny_config(**STATEFUL, loader__placement="streamed")
    undisturbed = train(config, store, tmp_path / "undisturbed")
    interrupted = train_on(config, store, tmp_path / "interrupted", [3, 14])
    assert_same(interrupted, undisturbed)
