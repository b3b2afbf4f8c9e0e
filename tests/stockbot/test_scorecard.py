"""Figures of a scorecard against the same computed plainly, and what it says of a model."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from pipelines.store import FeatureStore
from pipelines.window_runs import WindowRuns
from stockbot.config import Config, CostsConfig
from stockbot.evaluate import Rule, equity, score
from stockbot.scorecard import Scorecard, count_runs, scorecard
from stockbot.scorecard_table import table, verdicts
from stockbot.statistics.bootstrap import Figure
from stockbot.tally import Tally
from stockbot.training_set import TrainingSet, make_training_set
from tests.stockbot.markets import tiny_config

COMMON = ["loss", "mae", "directional_accuracy", "information_coefficient"]
TRADED = ["turnover", "pnl_before_costs", "pnl", "sharpe", "sharpe_a_year", "probabilistic_sharpe", "deflated_sharpe"]


def values(card: Scorecard, who: str = "model") -> dict[str, float | None]:
    return {name: figure.value for name, figure in card.figures[who].items()}


def noisy(data: TrainingSet, starts: np.ndarray, seed: int = 0) -> np.ndarray:
    """The label with half as much noise."""
    spread = np.nanstd(data.labels)
    labels = data.labels_of(starts)
    return np.asarray(labels + np.random.default_rng(seed).normal(0.0, 0.5 * spread, len(labels)))


def plain_returns(data: TrainingSet, starts: np.ndarray, predictions: np.ndarray, config: Config) -> np.ndarray:
    """Mean return of the symbols at each instant, worked out symbol by symbol."""
    by_time: dict[int, float] = {}
    decision = starts + data.config.windows.lookback - 1
    for begin, end in zip(data.panel.offsets[:-1], data.panel.offsets[1:], strict=True):
        mine = (decision >= begin) & (decision < end)
        rows = np.arange(decision[mine].min(), decision[mine].max() + 2)
        position = np.zeros(len(rows), np.int8)
        position[decision[mine] - rows[0]] = Rule.of(config).positions(predictions[mine])
        worth = equity(data.panel.close[rows], position, config.costs)
        for row, earned in zip(rows, np.diff(worth, prepend=0.0), strict=True):
            time = int(data.panel.known[row])
            by_time[time] = by_time.get(time, 0.0) + earned / len(data.panel.symbols)
    return np.array([by_time[time] for time in sorted(by_time)])


def test_figures_of_returns_are_those_computed_plainly(wave_store: FeatureStore) -> None:
    config = tiny_config()
    data = make_training_set(config, wave_store)
    starts = data.split.test.starts()
    said = noisy(data, starts)
    card = scorecard(data, WindowRuns.of_starts(starts), {"model": said}, config=config, trials=7)
    found, labels = values(card), data.labels_of(starts)
    assert list(found) == [*COMMON, "calibration_slope", "calibration_intercept", *TRADED]
    assert {name: found[name] for name in ("loss", "mae", "directional_accuracy")} == pytest.approx(
        score(said, labels, "regression")
    )
    assert found["information_coefficient"] == pytest.approx(stats.spearmanr(said, labels).statistic)
    fit = stats.linregress(said, labels)
    assert (found["calibration_slope"], found["calibration_intercept"]) == pytest.approx((fit.slope, fit.intercept))
    returns = plain_returns(data, starts, said, config)
    assert card.instants == len(returns)
    assert found["pnl"] == pytest.approx(returns.sum())
    ratio = returns.mean() / returns.std()
    assert found["sharpe"] == pytest.approx(ratio)
    seconds = len(returns) - 1
    assert found["sharpe_a_year"] == pytest.approx(ratio * math.sqrt(len(returns) / (seconds / (365.25 * 86_400))))
    wide = math.sqrt(1 - stats.skew(returns) * ratio + (stats.kurtosis(returns, fisher=False) - 1) / 4 * ratio**2)
    sure = stats.norm.cdf(ratio * math.sqrt(len(returns) - 1) / wide)
    assert found["probabilistic_sharpe"] == pytest.approx(sure)
    assert found["deflated_sharpe"] is not None
    assert found["deflated_sharpe"] < sure
    for name, figure in card.figures["model"].items():
        assert figure.low is not None, name
        assert figure.low <= figure.value <= figure.high, name  # type: ignore[operator]


def test_figures_of_probabilities_are_those_computed_plainly(wave_store: FeatureStore) -> None:
    config = tiny_config(labels__objective="direction")
    data = make_training_set(config, wave_store)
    starts = data.split.test.starts()
    said = np.random.default_rng(1).uniform(0.1, 0.9, len(starts))
    card = scorecard(data, WindowRuns.of_starts(starts), {"model": said}, config=config, trials=1)
    found, labels = values(card), data.labels_of(starts)
    assert list(found) == [*COMMON, "brier", "calibration_error", *TRADED]
    assert found["brier"] == pytest.approx(np.mean((said - labels) ** 2))
    assert sum(one.count for one in card.reliability) == card.windows == len(starts)
    gap = sum(one.count * abs(one.predicted - one.observed) for one in card.reliability) / len(starts)
    assert found["calibration_error"] == pytest.approx(gap)
    moves = np.log(data.panel.close[starts + 7] / data.panel.close[starts + 5])
    assert found["information_coefficient"] == pytest.approx(stats.spearmanr(said, moves).statistic)
    assert found["deflated_sharpe"] == found["probabilistic_sharpe"]  # of one trial


def test_a_forecast_that_never_moves_has_no_correlation_no_slope_and_no_ratio(wave_store: FeatureStore) -> None:
    data = make_training_set(tiny_config(), wave_store)
    card = scorecard(data, data.split.test, {"model": np.zeros(74)}, config=data.config, trials=1)
    found = values(card)
    undefined = {name for name, value in found.items() if value is None}
    assert undefined == {
        "information_coefficient", "calibration_slope", "calibration_intercept",
        "sharpe", "sharpe_a_year", "probabilistic_sharpe", "deflated_sharpe",
    }  # fmt: skip
    assert (found["pnl"], found["turnover"]) == (0.0, 0.0)


def test_what_is_earned_does_not_depend_on_how_large_a_move_will_be(wave_store: FeatureStore) -> None:
    """Windows in the dead zone have no label, and the model acts on them all the same."""
    config = tiny_config(labels__objective="direction", labels__dead_zone=2e-3)
    data = make_training_set(config, wave_store)
    every = data.all_windows(data.split.test).starts()
    assert set(data.split.test.starts()) < set(every)
    assert set(np.diff(every[every < 260])) == {1}
    said = np.full(len(every), 0.9)
    card = scorecard(data, WindowRuns.of_starts(every), {"model": said}, config=config, trials=1)
    assert card.windows == len(data.split.test)
    assert values(card)["turnover"] == pytest.approx(2.0 / card.instants)  # in at the first row, out at the last
    assert values(card)["loss"] == pytest.approx(
        score(np.full(card.windows, 0.9), data.labels_of(data.split.test.starts()), "direction")["loss"]
    )


def test_a_good_model_beats_and_a_copy_of_the_baseline_does_not(wave_store: FeatureStore) -> None:
    data = make_training_set(tiny_config(), wave_store)
    starts = data.split.test.starts()
    zero = np.zeros(len(starts))
    said = {"model": noisy(data, starts), "zero": zero, "same": noisy(data, starts), "near": noisy(data, starts, 3)}
    card = scorecard(data, WindowRuns.of_starts(starts), said, config=data.config, trials=1)
    assert card.ahead["same"] == Figure(0.0, 0.0, 0.0)
    assert "same" in card.unbeaten
    assert "zero" not in card.unbeaten
    ahead = card.ahead["zero"]
    assert ahead.value == pytest.approx(values(card)["loss"] - values(card, "zero")["loss"])  # type: ignore[operator]
    lines = dict(zip(said, [None, *verdicts(card)], strict=True))
    assert lines["zero"] is not None
    assert lines["same"] is not None
    assert lines["zero"][0]
    assert lines["zero"][1].startswith("the model beats zero: loss difference -")
    assert lines["same"] == (False, "the model does NOT beat same: loss difference 0 [0, 0]")


def test_a_lead_that_chance_explains_is_no_lead() -> None:
    figures = {"model": {"loss": Figure(1.0, 0.5, 1.5)}, "zero": {"loss": Figure(1.1, 0.6, 1.6)}}
    card = Scorecard(10, 10, 1.0, 1, figures, {"zero": Figure(-0.1, -0.3, 0.1)}, ())
    assert card.unbeaten == ["zero"]
    said = "the model does NOT beat zero: loss difference -0.1 [-0.3, 0.1], which chance explains"
    assert verdicts(card) == [(False, said)]
    assert table(card)[1:] == ["      model         zero", "loss  1 [0.5, 1.5]  1.1 [0.6, 1.6]"]


@pytest.mark.parametrize(
    ("bars", "late_ns"),
    [({"bars__kind": "none"}, 0), ({"bars__kind": "none"}, 300_000_000), ({"bars__size": "1s"}, 999_999_999)],
)
def test_symbols_that_move_together_are_one_piece_of_evidence(
    wave_store: FeatureStore, bars: dict[str, str], late_ns: int
) -> None:
    """The same symbol twice must neither make an interval shorter nor a ratio larger, whenever its last tick comes."""
    config = tiny_config(**{"bars__kind": "time"} | bars)
    data = dataclasses.replace(make_training_set(tiny_config(), wave_store), config=config)
    starts = data.split.test.clipped(0, 260).starts()
    panel = data.panel
    twice = dataclasses.replace(
        panel,
        matrix=np.tile(panel.matrix[:260], (2, 1)),
        known=np.concatenate([panel.known[:260], panel.known[:260] + late_ns]),
        **{name: np.tile(getattr(panel, name)[:260], 2) for name in ("timestamp", "close", "session")},
    )
    copied = dataclasses.replace(data, panel=twice, labels=np.tile(data.labels[:260], 2))
    said = noisy(data, starts)
    once = scorecard(data, WindowRuns.of_starts(starts), {"model": said}, config=config, trials=3)
    doubled = WindowRuns.of_starts(np.concatenate([starts, starts + 260]))
    both = scorecard(copied, doubled, {"model": np.tile(said, 2)}, config=config, trials=3)
    assert both.instants == once.instants
    for name in ("loss", "pnl", *TRADED):
        one, two = once.figures["model"][name], both.figures["model"][name]
        assert (two.value, two.low, two.high) == pytest.approx((one.value, one.low, one.high)), name


def test_many_instants_are_summed_in_groups_and_nothing_is_lost(
    wave_store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_training_set(tiny_config(), wave_store)
    said = {"model": noisy(data, data.split.train.starts())}
    fine = scorecard(data, data.split.train, said, config=data.config, trials=1)
    monkeypatch.setattr("stockbot.tally.MOST_GROUPS", 50)
    assert Tally.of(data, data.split.train).groups <= 50
    coarse = scorecard(data, data.split.train, said, config=data.config, trials=1)
    assert values(coarse) == pytest.approx(values(fine))
    assert coarse.block > coarse.instants / 50


@pytest.mark.parametrize("objective", ["regression", "direction"])
def test_figures_do_not_depend_on_blocks(
    wave_store: FeatureStore, monkeypatch: pytest.MonkeyPatch, objective: str
) -> None:
    data = make_training_set(tiny_config(labels__objective=objective), wave_store)
    starts = data.split.train.starts()
    said = {"model": np.random.default_rng(0).uniform(-0.01, 1.01, len(starts))}
    config = data.config.model_copy(update={"costs": CostsConfig(fee_bps=3.0, slippage_bps=1.0)})
    whole = scorecard(data, WindowRuns.of_starts(starts), said, config=config, trials=1)
    monkeypatch.setattr("pipelines.columns.BLOCK_ROWS", 7)
    assert values(scorecard(data, WindowRuns.of_starts(starts), said, config=config, trials=1)) == pytest.approx(
        values(whole), nan_ok=True
    )


def test_every_run_counts_as_a_trial(tmp_path: Path) -> None:
    assert count_runs(tmp_path) == 1
    for name in ("a", "b", "c", ".tmp-bundle"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    (tmp_path / "runs" / "notes.txt").write_text("")
    assert count_runs(tmp_path) == 3


def test_the_manifest_holds_the_figures_of_both_parts(sealed_bundle: object) -> None:
    metrics = sealed_bundle.manifest["metrics"]  # type: ignore[attr-defined]
    for part in ("validation", "test"):
        held = metrics[part]["statistics"]
        assert list(held["figures"]) == ["last", "least_squares", "model", "zero"]  # manifests are sorted
        assert held["figures"]["model"]["loss"]["value"] == pytest.approx(metrics[part]["loss"])
        assert held["ahead"].keys() == metrics[part]["baselines"].keys()
        assert held["trials"] == 1
