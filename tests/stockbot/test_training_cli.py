"""`train`, `models`, `promote`, `rollback` and `retrain` as a user meets them, in one process."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.store import FeatureStore
from stockbot.cli import main
from tests.stockbot.markets import tiny_config, wave, write_ticks


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a small `config.yaml`."""
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(tiny_config(model__factory="linear").to_yaml())
    return tmp_path


def call(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, dict[str, Any], str]:
    """Exit code, the JSON object on the last line of stdout, and the last line of stderr."""
    code = 0
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stop:
        code = int(str(stop.code))
    out, err = capsys.readouterr()
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


def test_retrain_promotes_then_refuses_with_exit_code_1(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_ticks(folder / "ticks.csv", {"AAA": wave(250)})
    code, first, _ = call(capsys, "retrain", "--once", "ticks.csv", "--json")
    assert (code, first["outcome"]) == (0, "promoted")
    code, second, error = call(capsys, "retrain", "--once", "ticks.csv", "--json")
    assert (code, second["outcome"], second["incumbent"]) == (1, "refused", first["candidate"])
    assert error == f"error: not promoted: {second['reason']}"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("train", "nowhere"), 1, "nowhere: no manifest.json; expected a feature store"),
        (("train", "STORE", "--model", "oracle"), 2, "'oracle' is not known; choose one of lstm, gru, linear"),
        (("train", "STORE", "--device", "gpu:3"), 2, "'gpu:3' is not visible"),
        (("train", "STORE", "--lookback", "0"), 2, "`windows.lookback`"),
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
