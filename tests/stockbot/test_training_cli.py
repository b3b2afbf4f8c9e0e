"""`train`, `models`, `promote`, `rollback` and `retrain` as a user meets them, in one process."""

import importlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipelines.store import FeatureStore
from stockbot.cli import main
from tests.stockbot import called
from tests.stockbot.markets import tiny_config, wave, write_ticks

LEARNS = {"model__factory": "linear", "training__epochs": 6, "training__learning_rate": 0.05}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a small `config.yaml`."""
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(tiny_config(**LEARNS).to_yaml())
    return tmp_path


def call(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, dict[str, Any], str]:
    """Exit code, the JSON object on the last line of stdout, and the last line of stderr."""
    code, out, err = called.call(capsys, *arguments)
    last = out.splitlines()[-1] if out else "{}"
    return code, json.loads(last) if last.startswith("{") else {"text": out}, err.splitlines()[-1] if err else ""


def test_train_promote_list_and_roll_back(
    folder: Path, wave_store: FeatureStore, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = []
    for seed in ("1", "2"):
        code, result, _ = call(capsys, "train", wave_store.path, "--seed", seed, "--lookback", "7", "--json")
        assert code == 0
        trained.append(result["model"])
        assert (
            call(capsys, "promote", result["model"][:12], "--reason", f"seed {seed}", "--json")[1]["reason"]
            == f"seed {seed}"
        )
    code, listed, _ = call(capsys, "models", "--json")
    assert listed["current"] == trained[1]
    assert {row["model"]: row["current"] for row in listed["models"]} == {trained[0]: False, trained[1]: True}
    assert {row["lookback"] for row in listed["models"]} == {7}
    assert call(capsys, "rollback", "--json")[1]["model"] == trained[0]
    text = call(capsys, "models")[1]["text"]
    assert f"* {trained[0][:16]}" in text


def test_retrain_promotes_then_has_nothing_to_do_then_refuses_with_exit_code_1(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_ticks(folder / "ticks.csv", {"AAA": wave(250)})
    code, first, _ = call(capsys, "retrain", "--once", "ticks.csv", "--json")
    assert (code, first["outcome"]) == (0, "promoted")
    code, second, error = call(capsys, "retrain", "--once", "ticks.csv", "--json")
    assert (code, second["outcome"], error) == (0, "unchanged", "")
    write_ticks(folder / "more.csv", {"AAA": wave(300)[250:]}, first_second=250)
    code, third, error = call(capsys, "retrain", "--once", "*.csv", "--json", "--learning-rate", "1e-6")
    assert (code, third["outcome"], third["incumbent"]) == (1, "refused", first["candidate"])
    assert error == f"error: not promoted: {third['reason']}"


def test_damage_is_listed_and_does_not_stand_in_the_way(
    folder: Path, sealed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = folder / "artifacts" / "models"
    shutil.copytree(sealed, models / sealed.name)
    shutil.copytree(sealed, models / "0123456789abcdef")
    os.utime(models / "0123456789abcdef", (1, 1))
    (folder / "artifacts" / "current.json").write_text("garbage")
    code, listed, _ = call(capsys, "models", "--json")
    assert (code, listed["current"], len(listed["models"]), len(listed["problems"])) == (0, None, 1, 2)
    text = call(capsys, "models")[1]["text"]
    assert "! artifacts/current.json: not valid JSON" in text
    assert "! artifacts/models/0123456789abcdef/manifest.json: altered or moved" in text
    code, _, note = call(capsys, "promote", "latest")
    assert (code, "note: passed over artifacts/models/0123456789abcdef" in note) == (0, True)
    assert call(capsys, "models", "--json")[1]["current"] == listed["models"][0]["model"]


def test_a_failed_training_says_so_once(
    folder: Path, wave_store: FeatureStore, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["train", str(wave_store.path), "--lookback", "900"])
    assert capsys.readouterr().err.count("needed 902") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("train", "nowhere"), 1, "nowhere: no manifest.json; expected a feature store"),
        (("train", "STORE", "--model", "oracle"), 2, "'oracle' is not known; choose one of lstm, gru, linear"),
        (("train", "STORE", "--device", "gpu:3"), 2, "'gpu:3' is not visible"),
        (("train", "STORE", "--lookback", "0"), 2, "`windows.lookback`"),
        (("train", "STORE", "--model", ""), 2, "'' is not known; choose one of lstm, gru, linear"),
        (("promote", ""), 2, "model: expected an id, the beginning of one, or `latest`, received ''"),
        (("export", "STORE", "--model", ""), 2, "received ''"),
        (("chart", "STORE", "--model", ""), 2, "received ''"),
        (("run", "config.yaml", "--model", ""), 2, "received ''"),
        (("train", "STORE", "--lookback", "900"), 1, "needed 902"),
        (("train", "STORE", "--artifacts", "config.yaml"), 1, "config.yaml: cannot be written"),
        (("promote", "latest"), 1, "no model is sealed yet"),
        (("promote", "abc"), 1, "no model with an id that begins with abc"),
        (("rollback",), 1, "no earlier model to return to"),
        (("retrain", "ticks.csv"), 2, "--once"),
        (("retrain", "--once", "nowhere.csv"), 1, "nowhere.csv"),
    ],
)
def test_mistakes_are_one_line(
    folder: Path,
    wave_store: FeatureStore,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    code: int,
    message: str,
) -> None:
    received, _, error = call(capsys, *(wave_store.path if word == "STORE" else word for word in arguments))
    assert (received, message in error) == (code, True), error
    assert not Path("artifacts/models").exists()
    assert not Path("artifacts/current.json").exists()


def test_what_speaks_against_a_model_is_said_in_red(monkeypatch: pytest.MonkeyPatch) -> None:
    from stockbot.cli import train

    said: list[str | None] = []
    monkeypatch.setattr(train.click, "secho", lambda line, err, fg: said.append(fg))
    for line in ("the model does NOT beat zero on 9 test windows", "audit skipped", "FAIL  purge", "epoch 1/2  loss 1"):
        train._say(line)
    assert said == ["red", "red", "red", None]


def test_models_without_any_names_the_next_step(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no model in artifacts/models yet; run `stockbot-hp train`" in call(capsys, "models")[1]["text"]


def test_training_without_its_packages_says_what_to_install(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    present = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "keras" else present(name))
    code, _, error = call(capsys, "train")
    assert code == 1
    assert error == "error: training needs keras, which is not installed; run pip install 'stockbot-hp[train]'"
