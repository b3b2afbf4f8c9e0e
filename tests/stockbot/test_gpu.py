"""What is asked of a GPU, on CPUs; what only a GPU could answer is stood in for, and the test says so."""

import ctypes
import ctypes.util
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from stockbot import gpu

ROOT = Path(__file__).resolve().parents[2]


def test_versions_are_told_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    report = gpu.examine_gpus()
    assert report["version"] == tf.__version__
    assert report["built_for"]["cuda"] == tf.sysconfig.get_build_info().get("cuda_version")
    assert set(report["found"]) == {"cuda", "cudnn", "nccl"}
    assert report["visible"] == []


def test_a_gpu_is_described_and_its_memory_taken_as_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands in for a GPU: TensorFlow's answers are those of its documentation."""
    device, growing = tf.config.PhysicalDevice("/physical_device:GPU:1", "GPU"), []
    details = {"device_name": "Model X", "compute_capability": (9, 0)}
    tried = {"cudnn": True, "difference": 0.0, "busy": False, "problem": None}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [device] if kind == "GPU" else [])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda asked: details)
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", lambda *asked: growing.append(asked))
    monkeypatch.setattr(gpu, "try_lstm", lambda name: tried)
    expected = {"device": "GPU:1", "model": "Model X", "compute_capability": "9.0"} | tried
    assert gpu.examine_gpus()["visible"] == [expected]
    assert growing == [(device, True)]


def test_each_of_several_devices_gives_what_the_first_gives() -> None:
    script = textwrap.dedent(
        """
        import tensorflow as tf
        tf.config.set_visible_devices([], "GPU")
        two = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], two)
        tf.config.set_soft_device_placement(False)
        from stockbot.gpu import try_lstm
        print([try_lstm(name) for name in ("CPU:0", "CPU:1", "CPU:2")])
        """
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    *there, absent = eval(done.stdout.splitlines()[-1])
    for outcome in there:
        assert outcome["difference"] < 1e-6
        assert (outcome["cudnn"], outcome["busy"], outcome["problem"]) == (False, False, None)
    assert absent["problem"].startswith("CPU:2: an LSTM cannot run on it: ")
    assert "\n" not in absent["problem"]


def test_cudnn_in_the_graph_is_noticed_and_its_failure_told(monkeypatch: pytest.MonkeyPatch) -> None:
    # Told of a GPU, Keras writes cuDNN's LSTM into the graph; a CPU has none, and TensorFlow says so when it runs.
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [kind])
    outcome = gpu.try_lstm("CPU:0")
    assert outcome["cudnn"] is None
    assert re.search(r"^CPU:0: an LSTM cannot run on it: .*CudnnRNN.*; see docs/gpu.md", outcome["problem"])


def other_device(monkeypatch: pytest.MonkeyPatch, change: Any, *, cudnn: bool = True) -> dict[str, Any]:
    """The outcome of a device that gives `change(values)` where the CPU gives values; stands in for a GPU."""
    values, _ = gpu._step("CPU:0", use_cudnn=False)

    def step(device: str, *, use_cudnn: bool | str) -> tuple[list[Any], bool]:
        if device == "CPU:0":
            return values, False
        assert use_cudnn == "auto"
        return [change(array) for array in values], cudnn

    monkeypatch.setattr(gpu, "_step", step)
    return gpu.try_lstm("GPU:0")


def test_arithmetic_in_another_order_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = other_device(monkeypatch, lambda array: array * np.float32(1.001))
    assert outcome["difference"] == pytest.approx(1e-3, rel=0.01)
    assert (outcome["cudnn"], outcome["problem"]) == (True, None)


@pytest.mark.parametrize("change", [np.negative, lambda array: array * 1.02, lambda array: array * np.nan])
def test_other_numbers_are_a_problem(change: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = other_device(monkeypatch, change)["problem"]
    assert re.search(
        r"^GPU:0: an LSTM differs from the CPU by \S+ of the largest value, expected at most 0.01", problem
    )


def test_a_gpu_without_cudnn_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = other_device(monkeypatch, lambda array: array, cudnn=False)
    assert outcome["problem"].startswith("GPU:0: LSTMs run without cuDNN")


@pytest.mark.parametrize(
    ("error", "busy"),
    [
        (tf.errors.ResourceExhaustedError(None, None, "OOM: Out of memory while trying to allocate 4096 bytes"), True),
        (tf.errors.InternalError(None, None, "failed call to cuInit: CUDA_ERROR_OUT_OF_MEMORY"), True),
        (RuntimeError("no kernel image is available for execution on the device\nand more"), False),
        (RuntimeError(""), False),
    ],
)
def test_a_gpu_that_another_process_fills_is_busy_and_no_problem(
    error: Exception, busy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stands in for a GPU that fails."""

    def step(device: str, *, use_cudnn: bool | str) -> tuple[list[Any], bool]:
        raise error

    monkeypatch.setattr(gpu, "_step", step)
    outcome = gpu.try_lstm("GPU:0")
    assert outcome["busy"] is busy
    assert (outcome["problem"] is None) is busy
    assert busy or "\n" not in outcome["problem"]


def test_a_library_that_is_not_there_has_no_version() -> None:
    assert gpu._library_version("libnosuchthing.so.1", "nosuchthing", "version", (10, 1)) is None
    assert gpu._library_version("libc.so.6", "nosuchthing", "no_such_function", (10, 1)) is None


@pytest.mark.skipif(ctypes.util.find_library("zstd") is None, reason="needs libzstd, which tells its version as cuDNN")
def test_a_library_that_returns_its_version_is_read() -> None:
    told = gpu._library_version("libzstd.so.1", "nosuchthing", "ZSTD_versionNumber", (10_000, 100))
    assert re.fullmatch(r"1\.\d+\.\d+", str(told))


def test_a_library_that_writes_its_version_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands in for NVIDIA's packages beside TensorFlow: the file is where they are, what it tells is made up."""
    file = tmp_path / "nvidia" / "cuda_runtime" / "lib" / "libcudart.so.12"
    file.parent.mkdir(parents=True)
    file.touch()

    class Library:
        def __init__(self, name: str) -> None:
            assert name == str(file)

        @staticmethod
        def cudaRuntimeGetVersion(number: Any) -> int:  # noqa: N802
            ctypes.cast(number, ctypes.POINTER(ctypes.c_int))[0] = 12090
            return 0

    monkeypatch.setattr(gpu.tf, "__file__", str(tmp_path / "tensorflow" / "__init__.py"))
    monkeypatch.setattr(gpu.ctypes, "CDLL", Library)
    assert gpu._library_version(*gpu.LIBRARIES["cuda"]) == "12.9.0"
