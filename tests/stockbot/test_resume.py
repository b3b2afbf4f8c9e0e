"""A training that was killed at any step goes on to the same bits."""

import json
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipelines.errors import DataError
from pipelines.files import sole_writer
from pipelines.store import FeatureStore
from stockbot.cli import main
from stockbot.config import Config, load_config
from stockbot.errors import ArtifactError
from stockbot.fit.checkpoints import Checkpoints, Position
from stockbot.run_folder import find_run
from stockbot.train import TrainResult, resume, train
from tests.stockbot.markets import make_store, tiny_config, wave
from tests.stockbot.test_train import ROOT, weights

# Everything that has a state: masks, moving averages, slots, schedule, sums of metrics, patience.
STATEFUL = {
    "model__dropout": 0.3,
    "model__batch_norm": True,
    "model__metrics": ["mean_absolute_error", "r2_score"],
    "training__epochs": 4,
    "training__schedule": "cosine",
    "training__warmup_steps": 5,
    "training__weight_decay": 0.01,
    "training__clip_norm": 0.5,
    "training__accumulate": 2,
    "training__checkpoint_steps": 2,
}


def last_run(artifacts: Path) -> Path:
    return find_run(artifacts, "latest")


def train_on(config: Config, store: FeatureStore, artifacts: Path, dies_at: list[int]) -> TrainResult:
    """Train, and go on each time it was interrupted after so many batches of its life."""

    def dying(after: int) -> object:
        calls = iter(range(1, 1_000_000))

        def progress(done: int, total: int) -> None:
            if next(calls) == after:
                raise KeyboardInterrupt

        return progress

    begun = False
    for after in [*dies_at, 0]:
        try:
            if not begun:
                begun = True
                return train(config, store, artifacts, progress=dying(after))
            return resume(last_run(artifacts), config, store, progress=dying(after))
        except KeyboardInterrupt:
            assert after
    raise AssertionError("the last life does not end")


@pytest.fixture(scope="module")
def undisturbed(wave_store: FeatureStore, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    return train(tiny_config(**STATEFUL), wave_store, tmp_path_factory.mktemp("undisturbed"))


def assert_same(found: TrainResult, expected: TrainResult) -> None:
    for name in ("best_model.keras", "final_model.keras"):
        assert weights(found.path, name) == weights(expected.path, name)
    assert (found.path / "model.onnx").read_bytes() == (expected.path / "model.onnx").read_bytes()
    assert {**found.metrics, "test": None} == {**expected.metrics, "test": None}


@pytest.mark.parametrize("seed", range(2))
def test_interrupted_anywhere_it_ends_with_the_same_bits(
    wave_store: FeatureStore, tmp_path: Path, undisturbed: TrainResult, seed: int
) -> None:
    chance = random.Random(seed)
    result = train_on(tiny_config(**STATEFUL), wave_store, tmp_path, [chance.randint(1, 14) for _ in range(3)])
    assert_same(result, undisturbed)
    log = (result.run / "training_log.txt").read_text()
    assert log.count("failed: KeyboardInterrupt") >= 1
    assert "resumed at epoch" in log
    kept = {path.name for path in (result.run / "checkpoints").iterdir()}
    assert kept == {"last.npz", f"best-{result.metrics['best_epoch']:04d}.npz"}


KILLED = """
import os, signal, sys
from pathlib import Path
from pipelines.errors import DataError
from pipelines.files import sole_writer
from pipelines.store import FeatureStore
from stockbot.config import load_config
from stockbot.fit.checkpoints import Checkpoints
from stockbot.run_folder import find_run
from stockbot.train import resume, train
store, artifacts, after = FeatureStore.open(Path(sys.argv[1])), Path(sys.argv[2]), int(sys.argv[3])
config = load_config(artifacts / "config.yaml")
calls = iter(range(1, 1_000_000))
def progress(done, total):
    if next(calls) == after:
        os.kill(os.getpid(), signal.SIGKILL)
if (artifacts / "runs").exists():
    resume(find_run(artifacts, "latest"), config, store, progress=progress)
else:
    train(config, store, artifacts, progress=progress)
"""


def test_killed_it_ends_with_the_same_bits(wave_store: FeatureStore, tmp_path: Path, undisturbed: TrainResult) -> None:
    config = tiny_config(**STATEFUL)
    (tmp_path / "config.yaml").write_text(config.to_yaml())
    for after in (5, 9):
        command = [sys.executable, "-c", KILLED, str(wave_store.path), str(tmp_path), str(after)]
        assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == -signal.SIGKILL
    result = resume(last_run(tmp_path), config, wave_store)
    assert_same(result, undisturbed)
    assert list((tmp_path / "runs").glob(".tmp-*")) == []


def test_with_xla_it_ends_with_the_same_bits(wave_store: FeatureStore, tmp_path: Path) -> None:
    config = tiny_config(
        model__dropout=0.3, training__epochs=3, training__checkpoint_steps=2, training__xla=True, model__lstm_units=[5]
    )
    undisturbed = train_on(config, wave_store, tmp_path / "undisturbed", [])
    assert undisturbed.manifest["training"]["xla"] is True
    assert_same(train_on(config, wave_store, tmp_path / "killed", [5, 4]), undisturbed)


def test_a_run_that_is_done_or_never_trained_is_not_resumed(
    wave_store: FeatureStore, tmp_path: Path, undisturbed: TrainResult
) -> None:
    config = load_config(undisturbed.run / "config.yaml")
    with pytest.raises(ArtifactError, match=f"is done and sealed as {undisturbed.model_id[:16]}"):
        resume(undisturbed.run, config, wave_store)
    (tmp_path / "runs" / "r1").mkdir(parents=True)
    with pytest.raises(ArtifactError, match="ended before it trained"):
        resume(tmp_path / "runs" / "r1", config, wave_store)


def interrupted(store: FeatureStore, artifacts: Path, **changes: object) -> tuple[Path, Config]:
    config = tiny_config(training__epochs=2, training__checkpoint_steps=2, model__factory="linear", **changes)

    def progress(done: int, total: int) -> None:
        if done >= 5 * 32:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, store, artifacts, device="cpu:0", progress=progress)
    return last_run(artifacts), config


def test_other_rows_and_a_damaged_checkpoint_are_refused(wave_store: FeatureStore, tmp_path: Path) -> None:
    run, config = interrupted(wave_store, tmp_path)
    other = make_store(tmp_path / "other", {"AAA": wave(260, seed=5)})
    with pytest.raises(ArtifactError, match=f"trains on snapshot {wave_store.snapshot[:16]}, .* holds"):
        resume(run, config, other)
    checkpoint = run / "checkpoints" / "last.npz"
    whole = checkpoint.read_bytes()
    checkpoint.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArtifactError, match=r"last.npz: no checkpoint can be read from it: .* train anew"):
        resume(run, config, wave_store)
    checkpoint.write_bytes(whole)
    resume(run, config, wave_store)


def test_no_byte_of_a_checkpoint_can_be_altered_or_lost(tmp_path: Path) -> None:
    """The names of arrays in the directory of a ZIP have no checksum, and an empty file is what a full disk leaves."""
    checkpoints, last = Checkpoints(tmp_path), tmp_path / "last.npz"
    arrays = [np.arange(3, dtype=np.float32), np.ones((2, 2), np.float32)]
    checkpoints.save(Position(1, 2, [{"val_loss": 0.5}]), arrays, {"replicas": 1})
    found = checkpoints.load()
    assert found is not None
    assert (found[0], found[2]) == (Position(1, 2, [{"val_loss": 0.5}]), {"replicas": 1})
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(found[1], arrays, strict=True))
    whole = last.read_bytes()
    altered = (whole[:at] + bytes([whole[at] ^ 0x5A]) + whole[at + 1 :] for at in range(len(whole)))
    for damaged in (*altered, b"", whole[:40], whole[:-1], whole + b"0"):
        last.write_bytes(damaged)
        with pytest.raises(ArtifactError, match=r"last.npz: no checkpoint can be read from it: it was altered or cut"):
            checkpoints.load()


def test_a_checkpoint_of_other_devices_is_refused(wave_store: FeatureStore, tmp_path: Path) -> None:
    run, config = interrupted(wave_store, tmp_path)
    checkpoints = Checkpoints(run / "checkpoints")
    found = checkpoints.load()
    assert found is not None
    position, arrays, identity = found
    assert (position.epoch, position.step) == (0, 4)
    checkpoints.save(position, arrays, {**identity, "replicas": 2})
    with pytest.raises(ArtifactError, match=r"--resume: the run trained as .*'replicas': 2.* use the same devices"):
        resume(run, config, wave_store)
    checkpoints.save(position, arrays, {**identity, "kind": "GPU"})
    with pytest.raises(ArtifactError, match=r"trained as .*'kind': 'GPU'.* this process would as .*'kind': 'CPU'"):
        resume(run, config, wave_store)


def test_a_run_at_work_is_not_resumed(wave_store: FeatureStore, tmp_path: Path) -> None:
    run, config = interrupted(wave_store, tmp_path)
    with sole_writer(run, "training"), pytest.raises(DataError, match="another process is training it"):
        resume(run, config, wave_store)


def test_the_command_goes_on_with_a_run_and_its_settings(
    wave_store: FeatureStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, config = interrupted(wave_store, tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["train", "--resume", run.name, "--artifacts", str(tmp_path), "--epochs", "9"])
    assert ended.value.code == 2
    assert "--resume: the run goes on with its own settings, received training.epochs" in capsys.readouterr().err
    main(["train", "--resume", "latest", "--artifacts", str(tmp_path), "--json"])
    captured = capsys.readouterr()
    resumed = json.loads(captured.out)
    assert resumed["run"] == str(run)
    assert "resumed at epoch 1 step 4" in captured.err
    assert json.loads((run / "run.json").read_text())["device"] == "cpu:0"  # as it began
    undisturbed = train(config, wave_store, tmp_path / "undisturbed")
    assert weights(Path(resumed["path"]), "final_model.keras") == weights(undisturbed.path, "final_model.keras")


def test_a_run_is_found_by_its_beginning(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="there is no run yet; run `stockbot-hp train`"):
        find_run(tmp_path, "x")
    for name in ("20260101T000000Z-aa", "20260102T000000Z-bb", "20260102T000000Z-bb-2", ".tmp-1-bundle"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    assert find_run(tmp_path, "20260101").name == "20260101T000000Z-aa"
    assert find_run(tmp_path, "20260102T000000Z-bb").name == "20260102T000000Z-bb"
    assert find_run(tmp_path, "latest").name == "20260102T000000Z-bb-2"
    with pytest.raises(ArtifactError, match="several runs begin with '20260102'; expected one such as 20260102T"):
        find_run(tmp_path, "20260102")
    with pytest.raises(ArtifactError, match="no run begins with '20260103T'; expected one such as 2026010"):
        find_run(tmp_path, "20260103T")
