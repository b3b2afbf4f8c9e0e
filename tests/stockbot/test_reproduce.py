"""A run is trained anew to the same bits; whatever is not as it was is named before."""

import json
import shutil
from pathlib import Path

import pytest

from pipelines.files import pretty_json
from pipelines.store import FeatureStore
from stockbot import reproduce as reproducing
from stockbot.errors import ArtifactError
from stockbot.reproduce import reproduce
from stockbot.run_records import list_runs, read_run
from stockbot.train import TrainResult, train
from tests.stockbot.called import call
from tests.stockbot.markets import make_store, tiny_config, wave

DROPPED = {"model__dropout": 0.3, "training__epochs": 2}


@pytest.fixture(autouse=True)
def clean_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tree that is tested may hold changes, or be no repository."""
    for module in ("stockbot.run_folder", "stockbot.reproduce"):
        monkeypatch.setattr(f"{module}.git_state", lambda: ("c0ffee" * 6, False))


@pytest.fixture
def trained(wave_store: FeatureStore, tmp_path: Path) -> TrainResult:
    return train(tiny_config(**DROPPED), wave_store, tmp_path / "artifacts")


def change(run: Path, **changes: object) -> None:
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_bytes(pretty_json(record | changes))


def test_the_same_bits_come_out_and_nothing_is_left(trained: TrainResult, capsys: pytest.CaptureFixture[str]) -> None:
    artifacts = trained.run.parent.parent
    before = sorted(path.name for path in artifacts.rglob("*"))
    code, out, _ = call(capsys, "reproduce", "latest", "--artifacts", artifacts, "--json")
    found = json.loads(out.splitlines()[-1])
    assert (code, found["run"], found["same"], found["figures"]) == (0, trained.run.name, True, {})
    assert found["hashes"] == {"weights": True, "model.onnx": True, "history": True}
    assert sorted(path.name for path in artifacts.rglob("*")) == before
    assert len(list_runs(artifacts)) == 1


def test_what_differs_is_named_with_exit_code_1(trained: TrainResult, capsys: pytest.CaptureFixture[str]) -> None:
    record = read_run(trained.run)
    metrics = {**record["metrics"], "best_epoch": 77}
    change(trained.run, hashes={**record["hashes"], "weights": "0" * 64}, metrics=metrics)
    code, out, _ = call(capsys, "reproduce", trained.run.name, "--artifacts", trained.run.parent.parent)
    assert code == 1
    lines = [line.split() for line in out.splitlines()]
    assert [line for line in lines if line[-1] in ("same", "differs")] == [
        ["history", "same"], ["model.onnx", "same"], ["weights", "differs"],
    ]  # fmt: skip
    assert f"best_epoch: recorded 77, received {trained.metrics['best_epoch']}" in out
    assert f"{trained.run.name} is NOT reproduced" in out


def test_another_seed_is_found_out(trained: TrainResult) -> None:
    settings = trained.run / "config.yaml"
    settings.write_text(settings.read_text().replace("seed: 42", "seed: 43"))
    found = reproduce(trained.run)
    assert not found.same
    assert not any(found.hashes.values())
    assert "validation.loss" in found.figures


def test_what_is_not_as_it_was_is_named_before_any_training(
    trained: TrainResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_store(tmp_path / "other", {"AAA": wave(260), "BBB": wave(260, seed=2)})
    monkeypatch.setattr(reproducing, "git_state", lambda: ("decade" * 6, True))
    monkeypatch.setattr(reproducing, "library_versions", lambda: {"python": "3.99", "numpy": "1"})
    with pytest.raises(ArtifactError) as caught:
        reproduce(trained.run, other)
    said, snapshot = str(caught.value), read_run(trained.run)["snapshot"][:16]
    assert f"store {other.path}: expected snapshot {snapshot}, received {other.snapshot[:16]}" in said
    assert "commit: expected c0ffeec0ffee, received decadedecade" in said
    assert "commit: there are changes that are not committed" in said
    assert "python: expected 3.1" in said
    assert "keras: expected 3." in said
    assert said.endswith("make it as it was, or go on with --anyway")
    found = reproduce(trained.run, other, anyway=True)
    assert not found.same
    assert len(found.differences) > 4
    assert all(difference in said for difference in found.differences)


def test_a_run_with_changes_that_nobody_kept_is_refused(
    trained: TrainResult, capsys: pytest.CaptureFixture[str]
) -> None:
    change(trained.run, dirty=True)
    place = ["--artifacts", trained.run.parent.parent]
    code, _, err = call(capsys, "reproduce", "latest", *place)
    assert (code, "the run was made with changes that were not committed" in err) == (1, True)
    code, out, _ = call(capsys, "reproduce", "latest", *place, "--anyway")
    assert code == 0
    assert out.startswith("passed over: commit: the run was made with changes")
    assert f"{trained.run.name} is reproduced" in out


def test_a_store_that_moved_is_named(trained: TrainResult, wave_store: FeatureStore, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(wave_store.path, tmp_path / "moved"))
    change(trained.run, store=str(tmp_path / "gone"))
    with pytest.raises(Exception, match=r"gone: no manifest.json"):
        reproduce(trained.run)
    assert reproduce(trained.run, FeatureStore.open(moved)).same


def test_a_run_that_left_no_hashes_is_refused(trained: TrainResult) -> None:
    record = read_run(trained.run)
    (trained.run / "run.json").write_bytes(pretty_json({"run": record["run"], "state": "failed"}))
    with pytest.raises(ArtifactError, match=r"the run is failed and left no store, .*expected a training that is done"):
        reproduce(trained.run)
