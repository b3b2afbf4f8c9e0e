"""`build-features --cluster`: a cluster that is started for the build, one that is not there, and none installed."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from stockbot import cluster
from stockbot.cli import main as run_main
from tests.pipelines.test_archive import content, csv, parquet, ticks

SCRIPT = "from stockbot.cli import main\nif __name__ == '__main__':\n    main()\n"


@pytest.mark.parametrize("mode", ["all", "none"])
def test_local_cluster_builds_the_same_store(tmp_path: Path, mode: str) -> None:
    for number, symbol in enumerate(["AAA", "BBB"]):
        if mode == "none":
            parquet(tmp_path / "in" / f"{symbol}.parquet", ticks(2000, number))
        else:
            csv(tmp_path / "in" / f"{symbol}.csv", ticks(2000, number))
    (tmp_path / "stockbot-hp.py").write_text(SCRIPT)
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    for out, more in (("here", []), ("there", ["--cluster", "local", "--workers", "2"])):
        command = [sys.executable, "stockbot-hp.py", "build-features", "in", "--out", out, "--json", *more]
        command += ["--materialize", mode]
        answer = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert answer.returncode == 0, answer.stderr
        assert json.loads(answer.stdout.splitlines()[-1])["rows_in"] == 4000
    assert content(tmp_path / "there") == content(tmp_path / "here")


def _refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    with pytest.raises(SystemExit) as stop:
        run_main(arguments)
    return int(stop.value.code or 0), capsys.readouterr().err


def test_scheduler_that_is_not_there_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cluster, "_WAIT", 0.5)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        source = str(csv(tmp_path / "AAA.csv", ticks(100)))
        code, error = _refused(["build-features", source, "--out", str(tmp_path / "out"), "--cluster", address], capsys)
    assert code == 1
    assert f"--cluster {address}: no Dask scheduler with a worker answers" in error


def test_missing_extra_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    source = str(csv(tmp_path / "AAA.csv", ticks(100)))
    code, error = _refused(["build-features", source, "--out", str(tmp_path / "out"), "--cluster", "local"], capsys)
    assert code == 2
    assert "--cluster needs dask.distributed; install it: pip install 'stockbot-hp[cluster]'" in error


def test_worker_process_is_kept_to_one_thread() -> None:
    told = "import pyarrow, polars; print(polars.thread_pool_size(), pyarrow.cpu_count())"
    script = f"from stockbot.cluster import one_thread; one_thread(); {told}"
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_THREADS")}
    answer = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["1", "1"]
