"""Several processes train one model: as one would, and on after one of them was killed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipelines.store import FeatureStore
from stockbot import agreed
from stockbot.agreed import facts_of
from stockbot.cli import main
from stockbot.config import PathsConfig
from stockbot.errors import UsageError
from stockbot.train import train
from stockbot.workers import cluster_text, read_cluster
from tests.stockbot.markets import make_store, tiny_config, wave
from tests.stockbot.test_meeting import free_addresses
from tests.stockbot.test_train import ROOT, weights

ADDRESSES = ["10.0.0.1:7000", "10.0.0.2:7000"]


def start(worker: int, workers: str, arguments: list[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "stockbot", "train", *arguments, "--workers", workers, "--worker", str(worker)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_workers_train_like_one_and_go_on_after_one_was_killed(wave_store: FeatureStore, tmp_path: Path) -> None:
    config = tiny_config(training__epochs=40, training__patience=40, training__batch_size=31, training__clip_norm=0.5)
    (tmp_path / "config.yaml").write_text(config.to_yaml())
    shared = ["--config", str(tmp_path / "config.yaml"), "--artifacts", str(tmp_path / "two")]

    workers = ",".join(free_addresses(2))
    first, second = (start(number, workers, [str(wave_store.path), *shared]) for number in range(2))
    assert first.stderr is not None
    while not first.stderr.readline().startswith("epoch 3/"):
        assert first.poll() is None
    second.kill()
    second.communicate()
    err = first.communicate(timeout=120)[1]
    assert first.returncode == 1
    (run,) = (path for path in (tmp_path / "two" / "runs").iterdir() if path.is_dir())
    assert "worker 0 of 2, from 0, has lost " in err.splitlines()[-1]
    assert "Graph execution error" not in err.splitlines()[-1]
    assert f"start all of them again with --resume {run.name}" in err.splitlines()[-1]

    workers = ",".join(free_addresses(2))
    pair = [start(number, workers, ["--resume", run.name, *shared, "--json"]) for number in range(2)]
    outputs = [process.communicate(timeout=200) for process in pair]
    assert [process.returncode for process in pair] == [0, 0], outputs
    summary = json.loads(outputs[0][0])
    assert json.loads(outputs[1][0]) == {"sealed_by": "worker 0"}

    alone = train(config, wave_store, tmp_path / "one")
    assert json.loads((Path(summary["path"]) / "manifest.json").read_text())["training"]["workers"] == 2
    for ours, expected in zip(weights(Path(summary["path"])), weights(alone.path), strict=True):
        np.testing.assert_allclose(np.frombuffer(ours, np.float32), np.frombuffer(expected, np.float32), atol=1e-5)


def test_workers_that_would_train_otherwise_end_before_they_do(wave_store: FeatureStore, tmp_path: Path) -> None:
    other = make_store(tmp_path / "other", {"AAA": wave(260, seed=5)})
    addresses = free_addresses(2)
    (tmp_path / "config.yaml").write_text(tiny_config().to_yaml())
    shared = ["--config", str(tmp_path / "config.yaml"), "--artifacts", str(tmp_path / "artifacts")]
    pair = [
        start(0, ",".join(addresses), [str(wave_store.path), *shared]),
        start(1, ",".join(addresses), [str(other.path), *shared, "--seed", "7"]),
    ]
    errors = [process.communicate(timeout=200)[1].splitlines()[-1] for process in pair]
    first, second = (f"worker {number} ({address})" for number, address in enumerate(addresses))
    assert errors == 2 * [
        f"error: workers: training.seed is 42 on {first}; 7 on {second}, and snapshot of the store is "
        f'"{wave_store.snapshot[:16]}" on {first}; "{other.snapshot[:16]}" on {second}; all must train with the same'
    ]
    assert [process.returncode for process in pair] == [1, 1]


def test_a_worker_does_not_wait_for_ever(
    wave_store: FeatureStore, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_CONFIG", "")  # is taken back after the test
    (tmp_path / "config.yaml").write_text(tiny_config(training__worker_wait="1s").to_yaml())
    addresses = free_addresses(2)
    with pytest.raises(SystemExit) as ended:
        main(["train", str(wave_store.path), "--config", str(tmp_path / "config.yaml"), "--artifacts", str(tmp_path),
              "--workers", ",".join(addresses), "--worker", "0"])  # fmt: skip
    assert ended.value.code == 1
    assert f"workers: worker 1 ({addresses[1]}) did not come within training.worker_wait" in capsys.readouterr().err
    (log,) = tmp_path.glob("runs/*/training_log.txt")
    assert "failed: workers: worker 1" in log.read_text()


def test_what_workers_have_in_common(wave_store: FeatureStore, tmp_path: Path) -> None:
    module = tmp_path / "mine.py"
    module.write_text("")
    config = tiny_config(feature_modules=[str(module)])
    facts = facts_of(config, wave_store, None)
    assert {"training.seed", "snapshot of the store", "version of tensorflow", "devices"} < facts.keys()
    assert facts["devices"] == "CPU"
    elsewhere = shutil.copytree(tmp_path, tmp_path / "elsewhere") / "mine.py"
    moved = config.model_copy(update={"feature_modules": [str(elsewhere)], "paths": PathsConfig(store="elsewhere")})
    assert facts_of(moved, wave_store, None) == facts
    elsewhere.write_text("a = 1")
    assert differing(facts, facts_of(moved, wave_store, None)) == {"code of feature_modules"}
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.npz").write_bytes(b"a")
    assert differing(facts, facts_of(config, wave_store, tmp_path)) == {"checkpoint"}


def test_other_code_of_the_program_is_a_difference(wave_store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = facts_of(tiny_config(), wave_store, None)
    code = agreed._code()
    assert {path.name for path in code} > {"recursive.py", "store.py", "agreed.py"}
    monkeypatch.setattr(agreed, "_code", lambda: code[1:])
    assert differing(facts, facts_of(tiny_config(), wave_store, None)) == {"code of stockbot-hp"}


def differing(ones: dict[str, object], others: dict[str, object]) -> set[str]:
    return {name for name in ones.keys() | others.keys() if ones.get(name) != others.get(name)}


def test_the_place_among_workers_is_read_back() -> None:
    assert [read_cluster(cluster_text(ADDRESSES, number)) for number in range(2)] == [
        (number, tuple(ADDRESSES)) for number in range(2)
    ]


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"cluster": {}}', cluster_text(ADDRESSES, 1).replace('"index": 1', '"index": 2'),
     cluster_text(ADDRESSES, 1).replace('"cluster": {', '"cluster": {"ps": ["10.0.0.3:7000"], ')],
)  # fmt: skip
def test_a_cluster_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"TF_CONFIG: expected workers alone, such as .* received"):
        read_cluster(text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workers", "a:1,b:2"], "--workers and --worker: expected both"),
        (["--worker", "1"], "--workers and --worker: expected both"),
        (["--workers", "a:1,b", "--worker", "0"], "--workers: expected addresses such as 10.0.0.1:7000"),
        (["--workers", "a:1,b:65536", "--worker", "0"], "--workers: expected addresses such as 10.0.0.1:7000"),
        (["--workers", "a:1,a:1", "--worker", "0"], "expected an address of its own for each worker, received a:1 tw"),
        (["--workers", "a:1,b:2", "--worker", "-1"], "--worker: expected 0 to 1, the number of this process"),
        (
            ["--workers", "a:1,b:2", "--worker", "2"],
            "--worker: expected 0 to 1, the number of this process",
        ),
    ],
)
def test_workers_are_checked_before_anything_else(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(SystemExit) as ended:
        main(["train", "nowhere", *arguments])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
    assert "TF_CONFIG" not in os.environ
