"""The scheduled job: it appends, trains, compares and decides; whatever fails leaves the champion where it was."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

from pipelines.errors import DataError
from pipelines.panel import load_panel, panel_windows
from pipelines.store import FeatureStore
from stockbot.bundle import Bundle, current, list_models, resolve
from stockbot.compare import Comparison, compare, verdict
from stockbot.config import Config, LoaderConfig
from stockbot.errors import ConfigError, PromotionRefusedError, StockbotError
from stockbot.promote import promote
from stockbot.retrain import RetrainResult, _require_better_than_guessing, retrain_once
from stockbot.train import train
from tests.stockbot.markets import tiny_config, wave, write_ticks

PRICES = wave(400)
LEARNS = {"model__factory": "linear", "training__epochs": 6, "training__learning_rate": 0.05}


def run(folder: Path, *, rows: slice = slice(0, 250), config: Config | None = None) -> RetrainResult:
    source = write_ticks(folder / f"ticks-{rows.start}.csv", {"AAA": PRICES[rows]}, first_second=rows.start)
    config = config or tiny_config(**LEARNS)
    return retrain_once([source], config, folder / "store", folder / "artifacts")


def log(folder: Path) -> list[str]:
    return (folder / "artifacts" / "retrain_log.txt").read_text().splitlines()


def test_first_run_builds_trains_and_promotes_then_new_data_is_appended_and_compared(tmp_path: Path) -> None:
    first = run(tmp_path)
    assert (first.outcome, first.reason, first.new_rows) == ("promoted", "no current model", 250)
    assert current(tmp_path / "artifacts") == first.candidate

    better = tiny_config(**LEARNS | {"training__epochs": 12})
    second = run(tmp_path, rows=slice(250, 400), config=better)
    assert second.outcome == "promoted"
    assert (second.new_rows, second.incumbent) == (150, first.candidate)
    assert second.comparison["candidate"]["loss"] < second.comparison["incumbent"]["loss"]
    assert second.comparison["windows"] >= 20
    assert current(tmp_path / "artifacts") == second.candidate
    assert sum(file["rows"] for file in FeatureStore.open(tmp_path / "store").manifest["files"]) == 400

    lines = log(tmp_path)
    assert len(lines) == 2
    assert f"promoted new_rows=150 candidate={second.candidate} incumbent={first.candidate}" in lines[1]
    pointer = json.loads((tmp_path / "artifacts" / "current.json").read_bytes())
    assert pointer["metrics"] == second.comparison


def test_the_same_model_again_is_no_improvement(tmp_path: Path) -> None:
    first = run(tmp_path)
    store, artifacts = FeatureStore.open(tmp_path / "store"), tmp_path / "artifacts"
    second = train(tiny_config(**LEARNS), store, artifacts)
    comparison = compare(Bundle.load(second.path), resolve(artifacts, first.candidate), store, LoaderConfig())
    assert comparison.improvement == 0.0
    with pytest.raises(PromotionRefusedError, match=r"improvement 0, needed more than 0 \(promotion.min_improvement\)"):
        verdict(comparison, tiny_config().promotion)


def test_without_new_rows_nothing_is_trained(tmp_path: Path) -> None:
    first = run(tmp_path)
    for rows in (slice(0, 250), slice(0, 249)):
        again = run(tmp_path, rows=rows)
        assert (again.outcome, again.new_rows, again.candidate) == ("unchanged", 0, None)
        assert again.reason == f"nothing new: {first.candidate} was trained on these rows"
    assert [line.split()[1] for line in log(tmp_path)] == ["promoted", "unchanged", "unchanged"]
    assert len(list_models(tmp_path / "artifacts")) == 1


def test_rows_that_a_failed_run_appended_are_trained_on_by_the_next(tmp_path: Path) -> None:
    run(tmp_path)
    with pytest.raises(DataError, match="needed 5002"):
        run(tmp_path, rows=slice(250, 400), config=tiny_config(windows__lookback=5000))
    second = run(tmp_path, rows=slice(250, 400))
    assert second.new_rows == 0
    assert second.candidate is not None


def test_a_model_that_guessing_beats_is_not_promoted(tmp_path: Path) -> None:
    """Prices that jump at random: whatever the model says, zero is better."""
    noise = 100.0 + np.random.default_rng(0).normal(0.0, 1.0, 400).cumsum()
    for first, last, incumbent in ((0, 250, None), (250, 400, "worst")):
        source = write_ticks(tmp_path / f"ticks-{first}.csv", {"AAA": noise[first:last]}, first_second=first)
        if incumbent:
            worst = tiny_config(model__factory="linear", training__learning_rate=10.0)
            incumbent = train(worst, FeatureStore.open(tmp_path / "store"), tmp_path / "artifacts").model_id
            promote(tmp_path / "artifacts", incumbent, "by hand")
        config = tiny_config(model__factory="linear", training__learning_rate=0.5)
        result = retrain_once([source], config, tmp_path / "store", tmp_path / "artifacts")
        assert result.outcome == "refused"
        assert re.search(
            r"loss \S+ against \S+ of `zero`.* on \d+ test windows: no better than guessing beyond chance",
            result.reason,
        )
        assert f"promote {result.candidate[:16]} by hand" in result.reason  # type: ignore[index]
        assert current(tmp_path / "artifacts") == incumbent
    assert result.comparison["improvement"] > 0.0


def test_a_lead_over_guessing_that_chance_explains_is_not_promoted(sealed_bundle: Bundle) -> None:
    test = sealed_bundle.manifest["metrics"]["test"]
    lower = test | {"loss": 0.9 * test["baselines"]["zero"]["loss"], "statistics": {"unbeaten": ["zero"]}}
    lucky = dataclasses.replace(sealed_bundle, manifest={"metrics": {"test": lower}})
    with pytest.raises(PromotionRefusedError, match=r"of `zero` on 74 test windows: no better than guessing beyond"):
        _require_better_than_guessing(lucky)
    beaten = lower | {"statistics": {"unbeaten": ["least_squares"]}}  # which needs training, as the model does
    _require_better_than_guessing(dataclasses.replace(lucky, manifest={"metrics": {"test": beaten}}))


def test_only_windows_that_neither_model_has_seen_are_compared(tmp_path: Path) -> None:
    first = run(tmp_path)
    second = run(tmp_path, rows=slice(250, 400), config=tiny_config(**LEARNS | {"training__epochs": 5}))
    store = FeatureStore.open(tmp_path / "store")
    bundles = [resolve(tmp_path / "artifacts", model) for model in (first.candidate, second.candidate)]
    panel = load_panel(store, bundles[0].features)
    starts, _ = panel_windows(panel, lookback=bundles[0].lookback, horizon=bundles[0].horizon, max_gap_ns=None)
    seen = [panel.known[starts] < bundle.manifest["data"]["test_start_ns"] for bundle in bundles]
    unseen = int((~(seen[0] | seen[1])).sum())
    assert 0 < unseen < len(starts) / 2
    assert second.comparison["windows"] == compare(*bundles, store, LoaderConfig()).windows == unseen


def test_rows_that_do_not_fit_into_memory_are_never_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(store: FeatureStore, features: list[str]) -> None:
        raise AssertionError("rows of the whole store were loaded")

    monkeypatch.setattr("stockbot.training_set.load_panel", refuse)
    config = tiny_config(**LEARNS, loader__budget="0MB")
    assert run(tmp_path, config=config).outcome == "promoted"
    second = run(tmp_path, rows=slice(250, 400), config=config)
    assert second.comparison["windows"] >= 20
    assert second.outcome in ("promoted", "refused")


def test_a_model_promoted_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    first = run(tmp_path)
    with pytest.raises(PromotionRefusedError, match=r"the current model became .* while .* was compared with None"):
        promote(tmp_path / "artifacts", _another(tmp_path), "test", instead_of=None)
    assert current(tmp_path / "artifacts") == first.candidate


def _another(folder: Path) -> str:
    store = FeatureStore.open(folder / "store")
    return train(tiny_config(model__factory="linear", training__seed=5), store, folder / "artifacts").model_id


def test_files_that_the_store_holds_are_passed_over(tmp_path: Path) -> None:
    run(tmp_path)
    before = FeatureStore.open(tmp_path / "store").snapshot
    assert run(tmp_path).new_rows == 0
    assert FeatureStore.open(tmp_path / "store").snapshot == before


def test_too_few_common_windows_are_refused(tmp_path: Path) -> None:
    run(tmp_path)
    strict = tiny_config(**LEARNS, promotion__min_windows=5000)
    second = run(tmp_path, rows=slice(250, 300), config=strict)
    assert second.outcome == "refused"
    assert "expected 5000 (promotion.min_windows): wait for more data" in second.reason


def test_models_that_foresee_different_things_are_not_compared(tmp_path: Path) -> None:
    first = run(tmp_path)
    second = run(tmp_path, rows=slice(250, 300), config=tiny_config(**LEARNS, labels__horizon=3))
    assert second.outcome == "refused"
    assert second.reason.startswith("horizon is 3 for the candidate and 2 for the current model")
    assert current(tmp_path / "artifacts") == first.candidate


@pytest.mark.parametrize(
    ("change", "error"),
    [({"model__factory": "oracle"}, ConfigError), ({"windows__lookback": 5000}, DataError)],
)
def test_a_failed_run_is_logged_and_the_champion_stays(
    tmp_path: Path, change: dict[str, Any], error: type[Exception]
) -> None:
    first = run(tmp_path)
    pointer = (tmp_path / "artifacts" / "current.json").read_bytes()
    with pytest.raises(error) as caught:
        run(tmp_path, rows=slice(250, 300), config=tiny_config(**change))
    assert (tmp_path / "artifacts" / "current.json").read_bytes() == pointer
    assert f" failed new_rows=50 candidate=None incumbent=None windows=0 reason={caught.value}" in log(tmp_path)[-1]
    assert [entry["id"] for entry in list_models(tmp_path / "artifacts")] == [first.candidate]


def test_two_runs_never_overlap(tmp_path: Path) -> None:
    (tmp_path / "artifacts").mkdir()
    with (
        FileLock(tmp_path / "artifacts" / ".retrain.lock"),
        pytest.raises(StockbotError, match="another run holds this lock"),
    ):
        run(tmp_path)
    assert not (tmp_path / "store").exists()
    (line,) = log(tmp_path)
    assert " failed new_rows=0 " in line
    assert line.endswith("another run holds this lock; wait until it has ended")


def test_improvement_must_exceed_what_the_settings_ask() -> None:
    rule = tiny_config(promotion__min_improvement=0.1).promotion
    better = Comparison(50, {"loss": 0.89}, {"loss": 1.0})
    assert "improvement 0.11" in verdict(better, rule)
    with pytest.raises(PromotionRefusedError, match=r"improvement 0\.05, needed more than 0\.1"):
        verdict(Comparison(50, {"loss": 0.95}, {"loss": 1.0}), rule)
    assert Comparison(50, {"loss": 0.0}, {"loss": 0.0}).improvement == 0.0
