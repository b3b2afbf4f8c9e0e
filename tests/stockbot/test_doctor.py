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
    monkeypatch.setitem(sys.modules, "stockbot.gpu", None)
    assert "tensorflow" not in examine(tmp_path)["gpu"]
    report = examine(tmp_path, gpu=True)
    assert report["gpu"]["tensorflow"].startswith("not importable")
    assert re.match(r"gpu: TensorFlow is not importable: .*; pip install 'stockbot-hp\[gpu\]'$", report["problems"][0])


SMI = "0, Model X, 580.65.06, 81559 MiB, 80994 MiB, 9.0"


def put_nvidia_smi(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    tool = folder / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (
            f"echo '{SMI}'",
            [{"index": "0", "name": "Model X", "driver_version": "580.65.06", "memory.total": "81559 MiB",
              "memory.free": "80994 MiB", "compute_cap": "9.0"}],
        ),
        ("echo 'Failed to initialize NVML: mismatch'; exit 18", "Failed to initialize NVML: mismatch"),
        ("echo 'Field \"compute_cap\" is not valid' >&2; exit 2", 'Field "compute_cap" is not valid'),
        ("echo 'No devices were found'", "No devices were found"),
        ("exit 9", "exit code 9"),
    ],
)  # fmt: skip
def test_the_driver_is_asked_by_its_own_tool(
    script: str, told: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_nvidia_smi(tmp_path, monkeypatch, script)
    assert examine(tmp_path)["gpu"]["nvidia_smi"] == told


def test_a_tool_that_cannot_be_started_is_no_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_nvidia_smi(tmp_path, monkeypatch, "")
    (tmp_path / "nvidia-smi").write_text("#!/no/such/shell\n")
    assert examine(tmp_path)["gpu"]["nvidia_smi"].startswith("does not answer: ")


def tensorflow_told(*, cuda: str | None = "12.5.1", nccl: str | None = "2.32.3", visible: tuple = ()) -> dict[str, Any]:
    """What `stockbot.gpu` tells, for machines that are not here: every test that uses it stands in for a GPU."""
    return {
        "version": "2.21.0",
        "built_for": {"cuda": cuda, "cudnn": "9", "compute_capabilities": ["sm_80"]},
        "found": {"cuda": "12.9.0", "cudnn": "9.28.0", "nccl": nccl},
        "visible": list(visible),
    }


DEVICE = {
    "device": "GPU:1", "model": "Model X", "compute_capability": "9.0", "cudnn": True, "difference": 1e-6,
    "busy": False, "problem": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("told", "files", "smi", "hidden", "reason"),
    [
        ({"cuda": None}, ["nvidia0"], SMI, None, "it is built without CUDA; use Linux, or WSL2 on Windows, and there"),
        ({}, ["nvidia0"], SMI, "", "CUDA_VISIBLE_DEVICES= hides them; unset it"),
        ({}, ["nvidia0"], SMI, "-1", "CUDA_VISIBLE_DEVICES=-1 hides them; unset it"),
        ({}, [], None, None, "no NVIDIA driver is here; install 525 or later on the host"),
        ({}, ["nvidia0"], "No devices were found", None, "nvidia-smi: No devices were found; mend the driver"),
        ({}, ["dxg"], SMI.replace("580.65.06", "470.1"), None, "driver 470.1 is older than 525, which CUDA 12 needs"),
        ({"nccl": None}, ["dxg"], SMI, None, "libraries are missing: nccl; pip install 'stockbot-hp[gpu]'"),
        ({}, ["nvidia0"], SMI, "7", "CUDA_VISIBLE_DEVICES=7 may name none that is here; unset it"),
        ({}, ["nvidia0"], SMI, None, "TF_CPP_MIN_LOG_LEVEL=0 stockbot-hp doctor --gpu shows TensorFlow's own reason"),
        ({}, ["nvidia0"], SMI.replace("580.65.06", "[N/A]"), None, "TF_CPP_MIN_LOG_LEVEL=0 stockbot-hp doctor"),
    ],
)
def test_why_there_is_no_gpu_and_what_to_do(
    told: dict[str, Any],
    files: list[str],
    smi: str | None,
    hidden: str | None,
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stockbot.gpu.examine_gpus", lambda: tensorflow_told(**told))
    monkeypatch.setattr("stockbot.doctor.DEVICE_FILES", tmp_path / "dev")
    for name in files:
        (tmp_path / "dev").mkdir(exist_ok=True)
        (tmp_path / "dev" / name).touch()
    monkeypatch.setattr("shutil.which", lambda name: None)
    if smi is not None:
        put_nvidia_smi(tmp_path, monkeypatch, f"echo '{smi}'")
        monkeypatch.setattr("shutil.which", lambda name: str(tmp_path / name))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if hidden is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    (problem,) = examine(tmp_path, gpu=True)["problems"]
    assert problem.startswith(f"gpu: TensorFlow sees none: {reason}")
    assert "\n" not in problem


def test_each_device_has_its_line_and_problems_stand_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = DEVICE | {"device": "GPU:0", "cudnn": False, "problem": "GPU:0: LSTMs run without cuDNN"}
    monkeypatch.setattr("stockbot.gpu.examine_gpus", lambda: tensorflow_told(visible=(slow, DEVICE)))
    put_nvidia_smi(tmp_path, monkeypatch, f"echo '{SMI}'")
    result = CliRunner().invoke(command, ["--gpu", "--artifacts", str(tmp_path)])
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert [line.split("  ")[0] for line in lines[-5:]] == ["nvidia smi 0", "tensorflow", "gpu 0", "gpu 1", "problems"]
    assert "memory.free 80994 MiB" in lines[-5]
    assert re.search(r"found cuda 12.9.0, cudnn 9.28.0, nccl 2.32.3$", lines[-4])
    assert re.search(r"compute_capability 9.0, cudnn yes, difference 1e-06, busy no, problem -$", lines[-2])
    assert re.search(r"^problems +GPU:0: LSTMs run without cuDNN$", lines[-1])


def test_a_machine_whose_gpus_are_well_has_no_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stockbot.gpu.examine_gpus", lambda: tensorflow_told(visible=(DEVICE,)))
    result = CliRunner().invoke(command, ["--gpu", "--json", "--artifacts", str(tmp_path)])
    assert result.exit_code == 0
    assert json.loads(result.output)["gpu"]["tensorflow"]["visible"] == [DEVICE]


def test_hidden_gpus_fail_the_health_check_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stockbot", "doctor", "--gpu", "--artifacts", str(tmp_path)],
        cwd=ROOT, env=os.environ | {"CUDA_VISIBLE_DEVICES": "-1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "")
    told = done.stdout.splitlines()[-1]
    assert re.search(r"^problems +gpu: TensorFlow sees none: CUDA_VISIBLE_DEVICES=-1 hides them; unset it$", told)


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
