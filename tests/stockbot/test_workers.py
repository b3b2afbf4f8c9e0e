"""Several processes train one model: as one would, and on after one of them was killed."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipelines.store import FeatureStore
from stockbot.cli import main
from stockbot.errors import UsageError
from stockbot.train import train
from stockbot.workers import cluster_position, cluster_text
from tests.stockbot.markets import tiny_config
from tests.stockbot.test_train import ROOT, weights

ADDRESSES = ["10.0.0.1:7000", "10.0.0.2:7000"]


def free_addresses(count: int) -> str:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return ",".join(addresses)


def start(worker: int, workers: str, arguments: list[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "stockbot", "train", *arguments, "--workers", workers, "--worker", str(worker)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_workers_train_like_one_and_go_on_after_one_was_killed(wave_store: FeatureStore, tmp_path: Path) -> None:
    config = tiny_config(training__epochs=40, training__patience=40, training__batch_size=31, training__clip_norm=0.5)
    (tmp_path / "config.yaml").write_text(config.to_yaml())
    shared = ["--config", str(tmp_path / "config.yaml"), "--artifacts", str(tmp_path / "two")]

    workers = free_addresses(2)
    first, second = (start(number, workers, [str(wave_store.path), *shared]) for number in range(2))
    assert first.stderr is not None
    while not first.stderr.readline().startswith("epoch 3/"):
        assert first.poll() is None
    second.kill()
    second.communicate()
    err = first.communicate(timeout=120)[1]
    assert first.returncode == 1
    (run,) = (path for path in (tmp_path / "two" / "runs").iterdir() if path.is_dir())
    assert f"start all of them again with --resume {run.name}" in err.splitlines()[-1]

    workers = free_addresses(2)
    pair = [start(number, workers, ["--resume", run.name, *shared, "--json"]) for number in range(2)]
    outputs = [process.communicate(timeout=200) for process in pair]
    assert [process.returncode for process in pair] == [0, 0], outputs
    summary = json.loads(outputs[0][0])
    assert json.loads(outputs[1][0]) == {"sealed_by": "worker 0"}

    alone = train(config, wave_store, tmp_path / "one")
    assert json.loads((Path(summary["path"]) / "manifest.json").read_text())["training"]["workers"] == 2
    for ours, expected in zip(weights(Path(summary["path"])), weights(alone.path), strict=True):
        np.testing.assert_allclose(np.frombuffer(ours, np.float32), np.frombuffer(expected, np.float32), atol=1e-5)


def test_the_place_among_workers_is_read_back() -> None:
    assert [cluster_position(cluster_text(ADDRESSES, number)) for number in range(2)] == [(0, 2), (1, 2)]


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"cluster": {}}', cluster_text(ADDRESSES, 1).replace('"index": 1', '"index": 2'),
     cluster_text(ADDRESSES, 1).replace('"cluster": {', '"cluster": {"ps": ["10.0.0.3:7000"], ')],
)  # fmt: skip
def test_a_cluster_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"TF_CONFIG: expected workers alone, such as .* received"):
        cluster_position(text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workers", "a:1,b:2"], "--workers and --worker: expected both"),
        (["--worker", "1"], "--workers and --worker: expected both"),
        (["--workers", "a:1,b", "--worker", "0"], "--workers: expected addresses such as 10.0.0.1:7000"),
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
