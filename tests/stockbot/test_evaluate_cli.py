"""`evaluate` as a user meets it: a sealed model on what it never saw, and a walk through time."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.errors import DataError
from pipelines.store import FeatureStore
from stockbot.audit import audit
from stockbot.bundle import Bundle
from stockbot.errors import ArtifactError, AuditError
from stockbot.promote import promote
from stockbot.scorecard import Scorecard
from stockbot.training_set import make_training_set
from stockbot.unseen import score_unseen, unseen_set
from stockbot.walk_forward import walk
from tests.stockbot.called import call
from tests.stockbot.markets import make_store, tiny_config, wave

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sealed: Path) -> Path:
    """A working folder with a small `config.yaml` and a sealed model."""
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(tiny_config(model__factory="linear").to_yaml())
    shutil.copytree(sealed, tmp_path / "artifacts" / "models" / sealed.name)
    return tmp_path


def test_a_sealed_model_is_scored_as_its_manifest_says(
    folder: Path, wave_store: FeatureStore, sealed_bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = call(capsys, "evaluate", "latest", wave_store.path, "--json")
    answer = json.loads(out.splitlines()[-1])
    assert (code, answer["model"], answer["store"]) == (0, sealed_bundle.id, str(wave_store.path))
    assert answer["figures"] == sealed_bundle.manifest["metrics"]["test"]["statistics"]["figures"]
    assert answer["windows"] == sealed_bundle.manifest["metrics"]["test"]["windows"]


def test_the_table_has_every_figure_and_says_what_is_not_beaten(
    folder: Path, wave_store: FeatureStore, sealed_bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    promote(folder / "artifacts", sealed_bundle.id, "test")
    code, out, _ = call(capsys, "evaluate", wave_store.path)
    lines = out.splitlines()
    assert code == 0
    assert lines[0] == f"model {sealed_bundle.short_id}"
    assert lines[2].split() == ["model", "zero", "last", "least_squares"]
    assert any(line.startswith("deflated sharpe") for line in lines)
    unbeaten = sealed_bundle.manifest["metrics"]["test"]["statistics"]["unbeaten"]
    said = [line for line in lines if line.startswith("the model ")]
    assert [("NOT" in line) for line in said] == [name in unbeaten for name in ("zero", "last", "least_squares")]


def test_what_is_not_beaten_is_said_in_red(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from stockbot.cli import evaluate
    from stockbot.statistics.bootstrap import Figure

    figures = {"model": {"loss": Figure(1.0, 0.5, 1.5)}}
    ahead = {"zero": Figure(0.1, 0.05, 0.2), "last": Figure(-0.1, -0.2, -0.05)}
    styled: list[tuple[str, str]] = []
    monkeypatch.setattr(evaluate.click, "secho", lambda line, fg, bold: styled.append((line.split(":")[0], fg)))
    evaluate._print({"model": "0" * 64}, Scorecard(10, 10, 1.0, 1, figures, ahead, ()))
    assert styled == [("the model does NOT beat zero", "red"), ("the model beats last", "green")]
    capsys.readouterr()


def test_a_walk_is_trained_audited_and_scored_fold_by_fold(
    folder: Path, wave_store: FeatureStore, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = call(
        capsys, "evaluate", wave_store.path, "--folds", "3", "--scheme", "sliding", "--epochs", "1", "--json"
    )
    answer = json.loads(out.splitlines()[-1])
    assert (code, answer["scheme"], len(answer["folds"])) == (0, "sliding", 3)
    assert sum(fold["test_windows"] for fold in answer["folds"]) == answer["windows"]
    assert all(fold["audit_passed"] for fold in answer["folds"])
    pooled = sum(fold["losses"]["model"] * fold["test_windows"] for fold in answer["folds"]) / answer["windows"]
    assert answer["figures"]["model"]["loss"]["value"] == pytest.approx(pooled)
    assert err.count("audit passed") == 3
    assert "fold 3 of 3" in err
    assert [path.name for path in (folder / "artifacts").iterdir()] == ["models"]


def test_every_window_after_the_first_stretch_is_judged_once(wave_store: FeatureStore) -> None:
    config = tiny_config(model__factory="linear", labels__objective="direction")
    said: list[str] = []
    walked = walk(config, wave_store, folds=2, scheme="expanding", trials=5, device="cpu", report=said.append)
    assert len(walked.folds) == 2
    assert walked.card.trials == 5
    data = make_training_set(config, wave_store)
    begins = data.panel.known[data.every.starts()]
    assert walked.card.windows == np.count_nonzero(begins >= np.sort(begins)[len(begins) // 3])


def test_a_fold_that_fails_the_audit_ends_the_walk(wave_store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stockbot.audit.copies.COPY", 0.0)
    with pytest.raises(AuditError, match="target_copy"):
        walk(
            tiny_config(model__factory="linear"), wave_store,
            folds=2, scheme="expanding", trials=1, device="cpu", report=lambda line: None,
        )  # fmt: skip


def test_unseen_windows_are_those_of_the_test_part(wave_store: FeatureStore, sealed_bundle: Bundle) -> None:
    found, made = (
        unseen_set(sealed_bundle, wave_store, sealed_bundle.config.loader),
        make_training_set(sealed_bundle.config, wave_store),
    )
    for part in ("train", "validation", "test"):
        np.testing.assert_array_equal(*(getattr(data.split, part).starts() for data in (found, made)))
    assert audit(found, wave_store).passed


def test_a_store_of_later_days_has_no_linear_baseline(tmp_path: Path, sealed_bundle: Bundle) -> None:
    later = wave(200, seed=4)
    store = make_store(tmp_path / "later", {"AAA": later}, sealed_bundle.features)
    shifted = Bundle(
        **{
            **vars(sealed_bundle),
            "manifest": {**sealed_bundle.manifest, "data": {"validation_start_ns": 1, "test_start_ns": 2}},
        }
    )
    card = score_unseen(shifted, store, config=sealed_bundle.config, trials=1)
    assert list(card.figures) == ["model", "zero", "last"]


def test_a_store_without_anything_new_is_refused(tmp_path: Path, sealed_bundle: Bundle) -> None:
    store = make_store(tmp_path / "early", {"AAA": wave(100)}, sealed_bundle.features)
    with pytest.raises(DataError, match=r"no window of 8 rows begins after .* give a store of later data"):
        score_unseen(sealed_bundle, store, config=sealed_bundle.config, trials=1)
    other = make_store(tmp_path / "other", {"AAA": wave(100)}, ["logret_1"])
    with pytest.raises(ArtifactError, match="lacks ma_dev_5"):
        score_unseen(sealed_bundle, other, config=sealed_bundle.config, trials=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "expected [MODEL] STORE, received 0 words: none"),
        (("a", "b", "c"), "expected [MODEL] STORE, received 3 words: a b c"),
        (("STORE", "--epochs", "2"), "flags of training: expected with --folds"),
        (("STORE", "--device", "cpu"), "flags of training: expected with --folds"),
        (("latest", "STORE", "--folds", "2"), "MODEL: received 'latest' beside --folds"),
        (("STORE", "--folds", "0"), "--folds"),
    ],
)
def test_mistakes_are_one_line(
    folder: Path,
    wave_store: FeatureStore,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    words = [str(wave_store.path) if word == "STORE" else word for word in arguments]
    code, _, err = call(capsys, "evaluate", *words)
    assert (code, message in err) == (2, True), err


def test_scoring_a_sealed_model_never_imports_tensorflow(folder: Path, wave_store: FeatureStore) -> None:
    program = (
        "import sys\nfrom stockbot.cli import main\n"
        "for words in (['evaluate', 'latest', sys.argv[1]], ['audit', sys.argv[1]]): main(words)\n"
        "print({name.split('.')[0] for name in sys.modules} & {'tensorflow', 'keras', 'onnx'})"
    )
    arguments: list[Any] = [sys.executable, "-c", program, wave_store.path]
    done = subprocess.run(
        arguments, cwd=folder, env={"PYTHONPATH": str(ROOT), "PATH": ""}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "set()"), done.stderr
