"""Scores, the rule from prediction to position, and equity after costs, against figures worked out by hand."""

import math

import numpy as np
import pytest

from pipelines.store import FeatureStore
from stockbot.baselines import baselines, judge
from stockbot.bundle import Bundle
from stockbot.config import CostsConfig
from stockbot.evaluate import Rule, equity, predict_rows, score
from stockbot.scorecard_table import verdicts
from stockbot.training_set import make_training_set
from stockbot.unseen import score_unseen
from tests.stockbot.markets import FEATURES, tiny_config

FREE = CostsConfig(fee_bps=0.0, slippage_bps=0.0)


def test_regression_scores_by_hand() -> None:
    scores = score(np.array([0.1, -0.1, 0.2, 0.0]), np.array([0.1, 0.1, 0.0, 0.1]), "regression")
    assert scores["loss"] == pytest.approx((0.0 + 0.04 + 0.04 + 0.01) / 4)
    assert scores["mae"] == pytest.approx(0.5 / 4)
    assert scores["directional_accuracy"] == pytest.approx(1 / 3)  # the unmoved price does not count


def test_direction_scores_by_hand() -> None:
    scores = score(np.array([0.8, 0.4]), np.array([1.0, 1.0]), "direction")
    assert scores["loss"] == pytest.approx(-(math.log(0.8) + math.log(0.4)) / 2)
    assert scores["directional_accuracy"] == 0.5
    assert math.isfinite(score(np.array([0.0]), np.array([1.0]), "direction")["loss"])


def test_nothing_moved_is_no_accuracy() -> None:
    assert score(np.zeros(3), np.zeros(3), "regression") == {"loss": 0.0, "mae": 0.0, "directional_accuracy": 0.0}


@pytest.mark.parametrize(
    ("changes", "up", "down"),
    [
        ({"costs__fee_bps": 2.0, "costs__slippage_bps": 1.0}, 6e-4, -6e-4),
        ({"live__threshold_bps": 5.0}, 5e-4, -5e-4),
        ({"labels__objective": "direction", "live__min_probability": 0.6}, 0.6, 0.4),
    ],
)
def test_the_rule_follows_costs_threshold_or_probability(changes: dict[str, object], up: float, down: float) -> None:
    rule = Rule.of(tiny_config(**changes))
    assert (rule.up, rule.down) == pytest.approx((up, down))
    predictions = np.array([up * 1.01, up, (up + down) / 2, down, down - 1e-6, np.nan])
    assert rule.positions(predictions).tolist() == [1, 0, 0, 0, -1, 0]
    assert [rule.position(value) for value in predictions] == [1, 0, 0, 0, -1, 0]
    assert rule.threshold == rule.up


def test_equity_without_costs_is_the_return_of_what_was_held() -> None:
    close = np.array([100.0, 110.0, 99.0, 99.0])
    curve = equity(close, np.array([1, -1, 0, 0], dtype=np.int8), FREE)
    np.testing.assert_allclose(curve, [0.0, math.log(1.1), math.log(1.1) - math.log(0.9), math.log(1.1 / 0.9)])


def test_each_changed_unit_pays_one_side() -> None:
    costs = CostsConfig(fee_bps=7.0, slippage_bps=3.0)
    curve = equity(np.full(5, 100.0), np.array([0, 1, -1, -1, 0], dtype=np.int8), costs)
    np.testing.assert_allclose(curve, math.log(1.0 - 1e-3) * np.array([0, 1, 3, 3, 4]))


def test_rows_are_predicted_as_windows_are(wave_store: FeatureStore, sealed_bundle: Bundle) -> None:
    frame = wave_store.read("BBB")
    matrix, stamps = frame.select(FEATURES).to_numpy(order="c"), frame["timestamp"].to_physical().to_numpy().copy()
    stamps[100:] += sealed_bundle.max_gap_ns + 1
    predictions = predict_rows(sealed_bundle, matrix, stamps)
    assert np.flatnonzero(~np.isfinite(predictions)).tolist() == [*range(10), *range(100, 105)]
    scaled = sealed_bundle.scaler.transform(matrix)
    np.testing.assert_allclose(predictions[50], sealed_bundle.predict(scaled[None, 45:51])[0], atol=1e-9)


def test_baselines_by_their_definitions(wave_store: FeatureStore) -> None:
    data = make_training_set(tiny_config(), wave_store)
    starts = data.split.test.starts()
    said = {name: np.concatenate(list(guess(data.split.test))) for name, guess in baselines(data).items()}
    decision = starts + 5
    np.testing.assert_allclose(said["last"], np.log(data.panel.close[decision] / data.panel.close[decision - 2]))
    assert not said["zero"].any()
    rows = data.matrix[data.split.train.starts() + 5].astype(np.float64)
    design = np.column_stack([rows, np.ones(len(rows))])
    expected = np.linalg.lstsq(design, data.labels_of(data.split.train.starts()), rcond=None)[0]
    fitted = np.column_stack([data.matrix[decision], np.ones(len(decision))]) @ expected
    np.testing.assert_allclose(said["least_squares"], fitted, rtol=1e-6, atol=1e-12)


def test_baselines_of_a_direction_are_probabilities(wave_store: FeatureStore) -> None:
    data = make_training_set(tiny_config(labels__objective="direction"), wave_store)
    for guess in baselines(data).values():
        found = np.concatenate(list(guess(data.split.test)))
        assert np.all((found >= 0.0) & (found <= 1.0))


@pytest.mark.parametrize(
    ("loss", "unbeaten", "said"),
    [
        (0.8, [], "the model beats every baseline (zero, last) beyond chance on 50 test windows"),
        (0.8, ["zero"], "the model does NOT beat zero (chance explains its lead) on 50 test windows"),
        (1.5, ["zero", "last"], "the model does NOT beat zero, last (chance explains its lead) on 50 test windows"),
    ],
)
def test_a_verdict_goes_by_intervals_and_says_where_a_lower_loss_is_luck(
    loss: float, unbeaten: list[str], said: str
) -> None:
    losses = {"zero": {"loss": 1.0}, "last": {"loss": 2.0}}
    test = {"loss": loss, "windows": 50, "baselines": losses, "statistics": {"unbeaten": unbeaten}}
    assert judge(test) == said


def test_training_and_evaluation_give_one_verdict(wave_store: FeatureStore, sealed_bundle: Bundle) -> None:
    test = sealed_bundle.manifest["metrics"]["test"]
    card = score_unseen(sealed_bundle, wave_store, config=sealed_bundle.config, trials=1)
    told = {name: is_beaten for name, (is_beaten, _) in zip(card.ahead, verdicts(card), strict=True)}
    assert [name for name, is_beaten in told.items() if not is_beaten] == test["statistics"]["unbeaten"]
    assert [name for name in told if name in judge(test).partition("NOT beat")[2]] == test["statistics"]["unbeaten"]
