"""A search over settings: every trial a run, the same trials after a kill, and nothing of the test part seen."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pipelines.errors import DataError
from pipelines.store import FeatureStore
from stockbot.config import DEFAULT_SPACE, Config, load_config
from stockbot.errors import ArtifactError, ConfigError, StockbotError, UsageError
from stockbot.run_folder import CONFIG, find_run, resumable
from stockbot.run_records import list_runs
from stockbot.scorecard import count_runs
from stockbot.search_space import Space
from stockbot.train import train
from stockbot.training_set import make_training_set
from stockbot.tune import Tuned, tune
from tests.stockbot.called import call
from tests.stockbot.markets import make_store, tiny_config, wave

ROOT = Path(__file__).resolve().parents[2]
LINEAR = {"model__factory": "linear", "training__epochs": 4}
AXES: dict[str, Any] = {
    "training.learning_rate": {"low": 1e-5, "high": 0.1, "log": True},
    "windows.lookback": {"low": 4, "high": 10, "step": 2},
    "scaler": {"choices": ["standard", "robust"]},
    "model.lstm_units": {"choices": [[4], [4, 4]]},  # a list in a study
}


def search(store: FeatureStore, artifacts: Path, trials: int, axes: dict[str, Any] = AXES, **changes: Any) -> Tuned:
    space = Space.parse(axes, tiny_config(**LINEAR | changes), "space")
    return tune(space, store, artifacts, trials=trials, report=lambda line: None)


def outcome(tuned: Tuned) -> list[dict[str, Any]]:
    """Of each trial all but the name of its run, which is the time."""
    return [{name: value for name, value in trial.items() if name != "run"} for trial in tuned.trials]


@pytest.fixture(scope="module")
def tuned(wave_store: FeatureStore, tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    return search(wave_store, tmp_path_factory.mktemp("tune") / "artifacts", 8)


def test_the_winner_has_the_least_validation_loss_of_an_epoch(tuned: Tuned) -> None:
    done = [trial for trial in tuned.trials if trial["state"] == "done"]
    assert tuned.best == min(done, key=lambda trial: trial["val_loss"])
    assert load_config(tuned.folder / "best.yaml") == tuned.config
    artifacts = tuned.folder.parents[1]
    for trial in done:
        folder = find_run(artifacts, trial["run"])
        history = json.loads((folder / "history.json").read_text())
        assert trial["val_loss"] == min(epoch["val_loss"] for epoch in history)
        kept = load_config(folder / CONFIG)
        assert kept.windows.lookback == trial["settings"]["windows.lookback"]
        assert kept.training.learning_rate == trial["settings"]["training.learning_rate"]
        assert kept.model.lstm_units == json.loads(trial["settings"]["model.lstm_units"])
    winner = find_run(artifacts, tuned.best["run"])
    assert load_config(winner / CONFIG).model_dump(exclude={"source", "bars"}) == tuned.config.model_dump(
        exclude={"source", "bars"}
    )


def test_hopeless_trials_end_early(tuned: Tuned) -> None:
    pruned = [trial for trial in tuned.trials if trial["state"] == "pruned"]
    done = [trial for trial in tuned.trials if trial["state"] == "done"]
    assert pruned
    assert len(done) >= 3
    for trial in pruned:
        assert trial["epochs"] == 3 < 4
        before = [other["val_loss"] for other in done if other["trial"] < trial["trial"]]
        assert trial["val_loss"] > min(before)
        run = find_run(tuned.folder.parents[1], trial["run"])
        last = (run / "training_log.txt").read_text().splitlines()[-1]
        assert "pruned: after epoch 3: val_loss" in last


def test_every_trial_is_a_run_that_counts(tuned: Tuned, wave_store: FeatureStore) -> None:
    artifacts = tuned.folder.parents[1]
    records = {record["run"]: record for record in list_runs(artifacts) if "study" in record}
    assert [records[trial["run"]]["state"] for trial in tuned.trials] == [trial["state"] for trial in tuned.trials]
    assert [records[trial["run"]]["trial"] for trial in tuned.trials] == list(range(1, 9))
    assert {record["study"] for record in records.values()} == {tuned.folder.name}
    summary = json.loads((tuned.folder / "study.json").read_text())
    assert (summary["count"], summary["trials"]) == (8, list(tuned.trials))
    runs = count_runs(artifacts)
    assert runs >= 8
    assert not (artifacts / "models").exists()
    trained = train(tiny_config(**LINEAR), wave_store, artifacts)
    assert trained.metrics["test"]["statistics"]["trials"] == runs + 1


def test_the_same_search_again_trains_nothing_and_more_trials_go_on(wave_store: FeatureStore, tmp_path: Path) -> None:
    first = search(wave_store, tmp_path, 2)
    assert search(wave_store, tmp_path, 2) == first
    assert count_runs(tmp_path) == 2
    more = search(wave_store, tmp_path, 3)
    assert more.folder == first.folder
    assert more.trials[:2] == first.trials
    assert count_runs(tmp_path) == 3
    other = search(wave_store, tmp_path, 1, training__seed=7)
    assert other.folder != first.folder


TUNE = """
import sys
from pathlib import Path
from pipelines.store import FeatureStore
from tests.stockbot.test_tune import AXES, LINEAR, Space, tiny_config, tune
space = Space.parse(AXES, tiny_config(**LINEAR), "space")
store = FeatureStore.open(Path(sys.argv[1]))
tune(space, store, Path(sys.argv[2]), trials=8, report=lambda line: print(line, flush=True))
"""


def test_a_killed_search_goes_on_to_the_same_trials(wave_store: FeatureStore, tmp_path: Path, tuned: Tuned) -> None:
    arguments = [sys.executable, "-c", TUNE, str(wave_store.path), str(tmp_path)]
    process = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    while not process.stdout.readline().startswith("trial 2/8"):
        assert process.poll() is None
    while len(list(tmp_path.glob("runs/*/run.json"))) < 3:
        assert process.poll() is None
    process.kill()  # in the middle of a trial
    process.communicate()
    assert "killed" in [record["state"] for record in list_runs(tmp_path)]
    resumed = search(wave_store, tmp_path, 8)
    assert outcome(resumed) == outcome(tuned)
    assert resumed.config == tuned.config


def test_nothing_of_the_test_part_is_seen(tmp_path: Path) -> None:
    """Other prices in the test rows of the longest window, the earliest that any trial could have: the same search."""
    prices = wave(400)
    stores = [make_store(tmp_path / "one", {"AAA": prices})]
    space = Space.parse(AXES, tiny_config(**LINEAR), "space")
    data = make_training_set(space.longest, stores[0])
    first = int(np.searchsorted(data.panel.known, data.boundaries.test_ns))
    for lookback in (4, 6, 8):
        config = space.config({"windows.lookback": lookback})
        assert make_training_set(config, stores[0]).boundaries.test_ns >= data.boundaries.test_ns
    changed = prices.copy()
    changed[first:] = wave(400, seed=9)[first:] * 3.0
    stores.append(make_store(tmp_path / "two", {"AAA": changed}))
    one, two = (search(store, tmp_path / store.path.parent.name / "artifacts", 4) for store in stores)
    assert outcome(one) == outcome(two)
    assert "test" not in list_runs(tmp_path / "one" / "artifacts")[0]["metrics"]


def test_a_trial_that_fails_is_told_and_the_others_go_on(wave_store: FeatureStore, tmp_path: Path) -> None:
    axes = {"training.learning_rate": {"choices": [1e30, 0.01]}}
    found = search(wave_store, tmp_path, 5, axes)
    failed = [trial for trial in found.trials if trial["state"] == "failed"]
    assert 0 < len(failed) < 5
    assert all("training diverged" in trial["error"] for trial in failed)
    assert found.config.training.learning_rate == 0.01
    with pytest.raises(StockbotError, match=r"none of 2 trials came to its end, the last one: training diverged"):
        search(wave_store, tmp_path, 2, {"training.learning_rate": {"choices": [1e30]}})


def test_settings_that_do_not_fit_each_other_are_a_failed_trial(wave_store: FeatureStore, tmp_path: Path) -> None:
    axes = {"training.accumulate": {"choices": [9]}, "training.batch_size": {"choices": [8]}}
    with pytest.raises(StockbotError, match=r"none of 1 trials came to its end, .* at most training.batch_size \(8\)"):
        search(wave_store, tmp_path, 1, axes)
    assert list_runs(tmp_path) == []


def test_what_no_trial_could_do_ends_the_search(wave_store: FeatureStore, tmp_path: Path) -> None:
    space = Space.parse(AXES, tiny_config(**LINEAR), "space")
    with pytest.raises(UsageError, match="'gpu:5' is not visible"):
        tune(space, wave_store, tmp_path, trials=3, device="gpu:5", report=lambda line: None)
    long = Space.parse({"windows.lookback": {"low": 6, "high": 900}}, tiny_config(**LINEAR), "space")
    with pytest.raises(DataError, match="needed 902"):
        tune(long, wave_store, tmp_path / "long", trials=3, report=lambda line: None)
    assert not (tmp_path / "long").exists()


def test_a_trial_cannot_be_resumed_as_a_training(tuned: Tuned) -> None:
    run = find_run(tuned.folder.parents[1], tuned.best["run"])
    with pytest.raises(ArtifactError, match="is a trial of a search; give the same `tune` again"):
        resumable(run)


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({}, "space: expected a setting such as training.learning_rate, received none"),
        ({"training.learning_rat": {"low": 1, "high": 2}}, "did you mean `training.learning_rate`?"),
        ({"labels.horizon": {"low": 1, "high": 2}}, "`labels.horizon` is not a setting that can be searched; expected"),
        ({"training.seed": {"low": 1, "high": 9}}, "`training.seed` is not a setting that can be searched"),
        ({"model.dropout": {"low": 0.5, "high": 0.1}}, "expected low below high, or choices, received low 0.5 and"),
        ({"model.dropout": {"low": 0.5}}, "expected low below high, or choices, received low 0.5 and high None"),
        ({"model.dropout": {"low": 0.0, "high": 0.1, "choices": [0.1]}}, "expected {low, high} or {choices}"),
        ({"model.dropout": {"low": 0.0, "high": 0.5, "log": True}}, "log: expected low above 0 and no step"),
        ({"model.dropout": {"low": 0.0, "high": 0.5, "step": 0.3}}, "step: expected one that leads from low to high"),
        ({"model.dropout": {"lo": 0.0, "high": 0.5}}, "`model.dropout.lo`: Extra inputs"),
        ({"model.dropout": [0.0, 0.5]}, "`model.dropout`: "),
        ({"model.dropout": {"low": 0.0, "high": 1.5}}, "`model.dropout`: Input should be less than 1; received 1.5"),
        ({"windows.lookback": {"low": 3, "high": 4.5}}, "`windows.lookback`: "),
        ({"windows.lookback": {"low": 3, "high": 6, "step": 1.5}}, "`windows.lookback.step`: expected a whole number"),
        ({"model.lstm_units": {"low": 3, "high": 6}}, "`model.lstm_units`: expected choices, for it is no number"),
        ({"scaler": {"choices": ["standard", "none"]}}, "`scaler`: "),
        ({"training.learning_rate": {"choices": []}}, "`training.learning_rate.choices`: "),
    ],
)
def test_a_space_that_cannot_be_searched_is_one_line(axes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Space.parse(axes, tiny_config(), "space")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_default_space_can_be_searched() -> None:
    space = Space.parse(Config().tune.space, Config(), "tune.space")
    assert list(space.axes) == list(DEFAULT_SPACE)
    assert space.longest.windows.lookback == 120


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a small `config.yaml`."""
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(tiny_config(**LINEAR, tune__space=AXES).to_yaml())
    return tmp_path


def test_the_command_shows_the_winner_and_how_to_train_it(
    folder: Path, wave_store: FeatureStore, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = call(capsys, "tune", wave_store.path, "--trials", "2")
    assert code == 0
    assert [line.split()[:2] for line in err.splitlines()] == [["trial", "1/2"], ["trial", "2/2"]]
    lines = out.splitlines()
    assert lines[0] == "2 trials: 2 done, 0 pruned, 0 failed"
    assert lines[1].startswith("best: trial ")
    command = lines[-1].removeprefix("train it: stockbot-hp ").split()
    assert call(capsys, *command, "--json")[0] == 0
    code, out, _ = call(capsys, "tune", wave_store.path, "--trials", "2", "--json")
    told = json.loads(out.splitlines()[-1])
    assert (code, len(told["trials"]), told["best"]["state"]) == (0, 2, "done")
    assert Path(told["config"]).is_file()


def test_a_file_gives_another_space(folder: Path, wave_store: FeatureStore, capsys: pytest.CaptureFixture[str]) -> None:
    Path("space.yaml").write_text(yaml.safe_dump({"model.dropout": {"low": 0.1, "high": 0.2}}))
    code, out, _ = call(capsys, "tune", wave_store.path, "--trials", "1", "--space", "space.yaml", "--json")
    assert (code, list(json.loads(out)["best"]["settings"])) == (0, ["model.dropout"])
    Path("space.yaml").write_text("model.dropout: {low: 0.2")
    code, _, err = call(capsys, "tune", wave_store.path, "--space", "space.yaml")
    assert (code, "space.yaml: not valid YAML at line" in err) == (2, True)
    Path("space.yaml").write_text("model.drop: {low: 0.1, high: 0.2}")
    code, _, err = call(capsys, "tune", wave_store.path, "--space", "space.yaml")
    assert (code, "space.yaml: `model.drop` is not a setting that can be searched; did you" in err) == (2, True)


def test_without_optuna_it_says_what_to_install(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    present = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "optuna" else present(name))
    code, _, err = call(capsys, "tune", "store")
    assert (code, err) == (
        1,
        "error: tune needs optuna, which is not installed; run pip install 'stockbot-hp[tune]'\n",
    )
