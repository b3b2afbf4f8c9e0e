"""The doctor reports without changing anything, and works where TensorFlow is absent."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numba.core.dispatcher import Dispatcher

import kernels
from kernels.table import row_kernels
from pipelines.features import FeaturePlan, FeatureStream
from stockbot.build import bar_spec
from stockbot.cli.doctor import command
from stockbot.config import Config
from stockbot.doctor import BASE, examine
from stockbot.errors import ConfigError
from stockbot.warm_up import warm_up

ROOT = Path(__file__).resolve().parents[2]


def test_it_names_versions_threads_cache_disk_and_devices(tmp_path: Path) -> None:
    report = examine(tmp_path / "not" / "yet" / "there")
    assert all(report["versions"][name] for name in BASE)
    assert report["cores"] >= 1
    assert {"polars", "numba"} <= set(report["threads"])
    assert set(report["numba_cache"]) == {"folder", "compiled", "megabytes", "problem"}
    assert set(report["gpu"]) == {"devices", "nvidia_smi"}
    assert report["disk_free_gb"] > 0
    assert report["problems"] == []
    assert list(tmp_path.iterdir()) == []


def test_threads_set_by_the_user_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert examine(tmp_path)["threads"]["OMP_NUM_THREADS"] == "3"


def test_it_does_not_import_tensorflow_and_says_so_when_it_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    assert "tensorflow" not in examine(tmp_path)["gpu"]
    assert examine(tmp_path, gpu=True)["gpu"]["tensorflow"].startswith("not importable")


def test_a_driver_is_reported_by_its_own_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU 0: Model X'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert examine(tmp_path)["gpu"]["nvidia_smi"] == ["GPU 0: Model X"]


def test_a_file_where_the_folder_should_be_is_no_crash(tmp_path: Path) -> None:
    (tmp_path / "artifacts").write_text("")
    assert examine(tmp_path / "artifacts")["folder_writable"] in (True, False)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder that nobody can write")
def test_a_folder_that_cannot_be_written_is_a_problem() -> None:
    report = examine(Path("/proc"))
    assert not report["folder_writable"]
    result = CliRunner().invoke(command, ["--artifacts", "/proc", "--json"])
    assert result.exit_code == 1
    assert "/proc: not writable; give another --artifacts" in json.loads(result.output)["problems"]


def test_the_command_prints_one_json_object(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, ["--artifacts", str(tmp_path), "--json"])
    assert result.exit_code == 0
    assert json.loads(result.output.splitlines()[-1])["problems"] == []
    plain = CliRunner().invoke(command, ["--artifacts", str(tmp_path)])
    assert re.search(r"^problems +none$", plain.output, re.MULTILINE)


def doctor(*arguments: str, **environment: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "stockbot", "doctor", "--json", *arguments],
        cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def test_it_clears_the_cache_and_says_what_it_removed(tmp_path: Path) -> None:
    stale = tmp_path / "stockbot-hp" / "kernels-0123456789abcdef"
    stale.mkdir(parents=True)
    report = doctor("--clear-cache", NUMBA_CACHE_DIR=str(tmp_path))
    assert str(stale) in report["cleared"]
    assert not stale.exists()


def test_a_cache_that_cannot_be_used_is_told_and_no_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    report = doctor(NUMBA_CACHE_DIR=str(tmp_path / "file"))
    assert report["numba_cache"]["folder"] is None
    assert "every process compiles anew" in report["numba_cache"]["problem"]
    assert report["problems"] == []


def test_a_wrong_feature_stops_the_warm_up_before_it_begins(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("features: [rsi_wilder_14, nonsense_3]\n")
    result = CliRunner().invoke(command, ["--warm-up", "--config", str(config)])
    assert isinstance(result.exception, ConfigError)
    assert str(config) in str(result.exception)


def compiled_forms() -> dict[str, int]:
    """How many signatures of each kernel this process holds."""
    modules = [module for name, module in sys.modules.items() if name.startswith("kernels.")]
    found = [value for module in modules for value in vars(module).values() if isinstance(value, Dispatcher)]
    return {f"{kernel.__module__}.{kernel.__name__}": len(kernel.overloads) for kernel in found}


def test_nothing_is_left_to_compile_after_a_warm_up() -> None:
    config = Config()
    warm_up(config)
    before = compiled_forms()
    timestamp, price, volume = np.arange(200) * 10**9, np.linspace(1.0, 2.0, 200), np.ones(200)
    for kernel in row_kernels().values():
        required = [part for part in kernel.parameters if part.default is part.empty]
        parameters = [5 if part.annotation is int else 0.5 for part in required]
        kernel.function(*[price] * len(kernel.inputs), *parameters)
    kernels.dollar_bars(timestamp, price, volume, 3)
    kernels.gather_windows(np.zeros((9, 2), np.float32), np.arange(3), 4)
    kernels.direction(kernels.horizon_return(price, 1))
    stream = FeatureStream(bar_spec(config.bars), FeaturePlan(config.features))
    stream.push_ticks(timestamp, price, volume, np.ones(200))
    stream.push_ticks(timestamp[-1:], price[:1], volume[:1])
    assert compiled_forms() == before
