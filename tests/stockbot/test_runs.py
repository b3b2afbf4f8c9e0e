"""What a run leaves behind, however it ends, and how runs are listed and compared."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from pipelines.errors import DataError
from pipelines.files import sole_writer
from pipelines.store import FeatureStore
from stockbot.bundle import Bundle
from stockbot.run_folder import RunLog, at_work, new_run, record_run
from stockbot.run_plots import _binned, _loss_figure, plot_loss
from stockbot.run_records import compare_runs, list_runs, loss_against, read_run
from stockbot.tally import stretches
from stockbot.train import TrainResult, train
from stockbot.training_set import make_training_set
from tests.stockbot.called import call
from tests.stockbot.markets import tiny_config
from tests.stockbot.test_train import begin_training

ROOT = Path(__file__).resolve().parents[2]
LINEAR = {"model__factory": "linear"}


@pytest.fixture(scope="module")
def trained(wave_store: FeatureStore, tmp_path_factory: pytest.TempPathFactory) -> list[TrainResult]:
    """A regression and a model of directions, beside a run that failed."""
    artifacts = tmp_path_factory.mktemp("runs") / "artifacts"
    results = [
        train(tiny_config(training__epochs=3), wave_store, artifacts),
        train(tiny_config(labels__objective="direction", training__seed=5, **LINEAR), wave_store, artifacts),
    ]
    with pytest.raises(DataError):
        train(tiny_config(windows__lookback=300), wave_store, artifacts)
    return results


def artifacts_of(trained: list[TrainResult]) -> Path:
    return trained[0].run.parent.parent


def test_the_record_says_what_was_done_and_from_what(trained: list[TrainResult], wave_store: FeatureStore) -> None:
    for result in trained:
        record, manifest = read_run(result.run), result.manifest
        assert (record["run"], record["state"], record["error"]) == (result.run.name, "done", None)
        assert record["started"] <= manifest["created_at"] <= record["ended"]
        assert (record["store"], record["snapshot"]) == (str(wave_store.path), wave_store.snapshot)
        assert record["model"] == result.model_id
        for name in ("seed", "commit", "dirty", "library_versions"):
            assert record[name] == manifest[name]
        assert record["metrics"]["test"]["loss"] == result.metrics["test"]["loss"]
        assert record["hashes"]["model.onnx"] == Bundle.load(result.path).manifest["files"]["model.onnx"]["sha256"]
        assert record["input_wait_share"] == manifest["training"]["input_wait_share"]
        history = json.loads((result.run / "history.json").read_text())
        assert len(history) == result.metrics["epochs"]
        assert history[result.metrics["best_epoch"] - 1] == result.metrics["keras"]


def test_the_pictures_are_drawn(trained: list[TrainResult]) -> None:
    for result in trained:
        for name in ("loss.png", "predictions.png"):
            image = imread(result.run / name)
            assert image.shape[0] > 400
            assert image[..., :3].std() > 0.05  # not blank


def test_a_loss_of_zero_is_drawn_too(tmp_path: Path) -> None:
    plot_loss([{"loss": 0.0, "val_loss": 0.0}], 1, tmp_path / "loss.png")
    assert imread(tmp_path / "loss.png").size


def test_labels_that_overlap_make_no_error_smaller() -> None:
    rng = np.random.default_rng(0)
    said, came = rng.normal(size=(2, 240))
    once = _binned(said, came, np.arange(240))
    assert len(once[0]) == 12
    lowest = np.argsort(said)[:20]
    assert [value[0] for value in once] == pytest.approx(
        [said[lowest].mean(), came[lowest].mean(), came[lowest].std() / np.sqrt(20)]
    )
    again = _binned(np.repeat(said, 5), np.repeat(came, 5), np.arange(1200) // 5)
    np.testing.assert_allclose(again, once)


def test_a_stretch_is_some_labels_of_all_symbols_together(wave_store: FeatureStore) -> None:
    """Two symbols of a row a second and labels of two rows: eight seconds."""
    data = make_training_set(tiny_config(), wave_store)
    starts = data.split.test.starts()
    found = stretches(data, data.split.test)
    second = (data.panel.known[starts + 5] - data.panel.known[starts + 5].min()) // 10**9
    np.testing.assert_array_equal(found, second // 8)


def test_a_loss_that_falls_far_is_drawn_by_its_logarithm_with_marks_to_read(tmp_path: Path) -> None:
    shown = {}
    for name, last in (("near", 0.9), ("far", 0.004)):
        figure = _loss_figure([{"loss": 1.0, "val_loss": 0.95}, {"loss": last, "val_loss": last}], 2)
        figure.canvas.draw()
        panel = figure.axes[0]
        shown[name] = panel.get_yscale(), [label.get_text() for label in panel.get_yticklabels()]
    assert (shown["near"][0], shown["far"][0]) == ("linear", "log")
    assert {"0.01", "0.1", "1"} <= set(shown["far"][1])


def test_runs_are_listed_newest_first_with_their_state(
    trained: list[TrainResult], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = call(capsys, "runs", "--artifacts", artifacts_of(trained), "--json")
    rows = json.loads(out.splitlines()[-1])["runs"]
    assert code == 0
    assert sorted(row["state"] for row in rows) == ["done", "done", "failed"]
    assert [row["started"] for row in rows] == sorted((row["started"] for row in rows), reverse=True)
    (failed,) = (row for row in rows if row["state"] == "failed")
    assert "needed 302" in failed["error"]
    assert failed["against"] is None
    code, text, _ = call(capsys, "runs", "--artifacts", artifacts_of(trained))
    for result in trained:
        (line,) = (line for line in text.splitlines() if line.startswith(result.run.name))
        test = result.metrics["test"]
        least = min(test["baselines"].values(), key=lambda scores: scores["loss"])["loss"]
        assert result.model_id[:16] in line
        assert f"loss {test['loss']:.6g} {'<' if test['loss'] < least else 'NOT <'} {least:.6g}" in line


def test_the_best_baseline_of_the_part_that_was_scored() -> None:
    validation = {"loss": 1.0, "baselines": {"zero": {"loss": 2.0}, "last": {"loss": 0.5}}}
    told = {"part": "validation", "loss": 1.0, "baseline": "last", "baseline_loss": 0.5}
    assert loss_against({"metrics": {"validation": validation}}) == told
    test = {**validation, "loss": 3.0}
    assert loss_against({"metrics": {"validation": validation, "test": test}}) == told | {"part": "test", "loss": 3.0}


def test_one_run_is_shown(trained: list[TrainResult], capsys: pytest.CaptureFixture[str]) -> None:
    place = ["--artifacts", artifacts_of(trained)]
    code, out, _ = call(capsys, "runs", "show", trained[0].run.name, *place, "--json")
    shown = json.loads(out.splitlines()[-1])
    assert (code, shown["model"], shown["folder"]) == (0, trained[0].model_id, str(trained[0].run))
    assert {"config.yaml", "training_log.txt", "loss.png", "run.json"} <= set(shown["files"])
    text = call(capsys, "runs", *place, "show", trained[0].run.name)[1]  # before the word as well as behind it
    assert ["model", trained[0].model_id] in [line.split() for line in text.splitlines()]
    assert "metrics.test.loss" in text


def test_compared_runs_show_what_differs(trained: list[TrainResult], capsys: pytest.CaptureFixture[str]) -> None:
    names = [result.run.name for result in trained]
    code, out, _ = call(capsys, "runs", "compare", *names, "--artifacts", artifacts_of(trained), "--json")
    found = json.loads(out.splitlines()[-1])
    assert (code, found["runs"]) == (0, names)
    assert found["settings"] == {
        "labels.objective": ["regression", "direction"],
        "model.factory": ["lstm", "linear"],
        "training.epochs": [3, 1],
        "training.seed": [42, 5],
    }
    assert found["metrics"]["test.loss"] == [result.metrics["test"]["loss"] for result in trained]
    assert found["metrics"]["keras.val_binary_accuracy"][0] is None
    text = call(capsys, "runs", "compare", *names, "--artifacts", artifacts_of(trained))[1]
    assert [line.split() for line in text.splitlines() if line.startswith("model.factory")] == [
        ["model.factory", "lstm", "linear"]
    ]


def test_equal_settings_are_said_to_be_equal(
    wave_store: FeatureStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = (train(tiny_config(**LINEAR), wave_store, tmp_path).run.name for _ in range(2))
    assert compare_runs(tmp_path, [first, second])["settings"] == {}
    assert "the settings are the same" in call(capsys, "runs", "compare", first, second, "--artifacts", tmp_path)[1]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("show", "nothing-of-the-kind"), 1, "no run begins with 'nothing-of-the-kind'; expected one such as 20"),
        (("show", "2"), 1, "several runs begin with '2'"),
        (("compare", "FIRST"), 2, "expected two runs or more, received 2"),
        (("compare",), 2, "expected two runs or more, received none"),
        (("compare", "FIRST", "x-y-z"), 1, "no run begins with 'x-y-z'"),
        (("compare", "FIRST", "FAILED"), 1, "config.yaml: no settings; the run ended before it trained"),
    ],
)
def test_mistakes_are_one_line(
    trained: list[TrainResult],
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    code: int,
    message: str,
) -> None:
    (failed,) = (row["run"] for row in list_runs(artifacts_of(trained)) if row["state"] == "failed")
    names = {"FIRST": trained[0].run.name, "FAILED": failed}
    words = [names.get(word, word) for word in arguments]
    received, _, err = call(capsys, "runs", *words, "--artifacts", artifacts_of(trained))
    assert (received, message in err, err.count("\n")) == (code, True, 1), err


def test_without_any_run_the_next_step_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "runs", "--artifacts", tmp_path)
    assert (code, out) == (0, f"no run in {tmp_path / 'runs'} yet; run `stockbot-hp train`\n")


def test_a_run_is_running_killed_interrupted_or_unknown(wave_store: FeatureStore, tmp_path: Path) -> None:
    artifacts = tmp_path / "artifacts"
    process = begin_training(wave_store.path, artifacts)
    (record,) = list_runs(artifacts)
    assert record["state"] == "running"
    process.kill()
    process.communicate()
    (record,) = list_runs(artifacts)
    assert (record["state"], record["ended"]) == ("killed", None)
    run = artifacts / "runs" / record["run"]
    with pytest.raises(KeyboardInterrupt), at_work(run, RunLog(run / "training_log.txt", None)):
        raise KeyboardInterrupt
    found = read_run(run)
    assert (found["state"], found["error"], found["started"]) == ("interrupted", "KeyboardInterrupt", record["started"])
    (run / "run.json").write_text("[]")
    assert read_run(run)["state"] == "damaged"
    (run / "run.json").unlink()
    assert read_run(run) == {"run": run.name, "state": "unrecorded"}


def test_a_run_that_another_process_holds_keeps_its_record(tmp_path: Path) -> None:
    run = new_run(tmp_path, tiny_config())
    record_run(run, {"state": "running"})
    with sole_writer(run, "training"):
        before = (run / "run.json").read_bytes()
        with pytest.raises(DataError, match="another process is training it"), at_work(run, RunLog(run / "log", None)):
            raise AssertionError
        assert (run / "run.json").read_bytes() == before
        assert not (run / "log").exists()


def test_listing_runs_never_imports_tensorflow(trained: list[TrainResult]) -> None:
    program = (
        "import sys\nfrom stockbot.cli import main\nmain(sys.argv[1:])\n"
        "print({name.split('.')[0] for name in sys.modules} & {'tensorflow', 'keras', 'onnx', 'matplotlib'})"
    )
    arguments: list[Any] = [sys.executable, "-c", program, "runs", "--artifacts", artifacts_of(trained)]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "set()"), done.stderr
