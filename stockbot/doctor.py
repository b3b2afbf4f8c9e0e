"""What this machine offers to STOCKBOT: versions, threads, caches, devices. Looks, changes nothing."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

from stockbot.destination import is_writable, nearest_folder

BASE = (
    "numpy", "numba", "polars", "pyarrow", "scikit-learn", "onnxruntime", "pydantic", "pyyaml", "click",
    "rich", "filelock", "matplotlib",
)  # fmt: skip
TRAIN = ("tensorflow", "keras", "onnx")
THREAD_VARIABLES = (
    "POLARS_MAX_THREADS", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS", "TF_ENABLE_ONEDNN_OPTS", "TF_DETERMINISTIC_OPS", "CUDA_VISIBLE_DEVICES",
)  # fmt: skip
DEVICE_FILES = Path("/dev")


def examine(folder: Path, *, gpu: bool = False) -> dict[str, Any]:
    """Everything that `doctor` shows; `problems` lists what would stop a command, empty when all is well.

    Args:
        folder: where artifacts go; its disk is measured.
        gpu: import TensorFlow and ask it for devices (seconds), instead of only looking for a driver.
    """
    report: dict[str, Any] = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "stockbot_hp": _version("stockbot-hp"),
        "versions": {name: _version(name) for name in BASE + TRAIN},
        "cores": _usable_cores(),
        "threads": _threads(),
        "numba_cache": _numba_cache(),
        "gpu": _gpu_driver() | (_gpu_devices() if gpu else {}),
        "disk_free_gb": round(shutil.disk_usage(nearest_folder(folder)).free / 1e9, 1),
        "folder_writable": is_writable(nearest_folder(folder)),
    }
    return report | {"problems": _problems(report, folder)}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _usable_cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _threads() -> dict[str, Any]:
    import numba
    import polars as pl

    set_by_user = {name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ}
    return {"polars": pl.thread_pool_size(), "numba": numba.config.NUMBA_NUM_THREADS, **set_by_user}


def _numba_cache() -> dict[str, Any]:
    from kernels.compilation import CACHE_FOLDER, CACHE_PROBLEM

    files = list(CACHE_FOLDER.glob("*.nbc")) if CACHE_FOLDER else []
    return {
        "folder": CACHE_FOLDER and str(CACHE_FOLDER),
        "compiled": len(files),
        "megabytes": round(sum(file.stat().st_size for file in files) / 1e6, 1),
        "problem": CACHE_PROBLEM or None,
    }


def _gpu_driver() -> dict[str, Any]:
    """What can be told without TensorFlow: the driver's device files and what its own tool lists."""
    files = sorted(path.name for path in DEVICE_FILES.glob("nvidia[0-9]*"))
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return {"devices": files, "nvidia_smi": None}
    answer = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=20, check=False)  # noqa: S603
    listed = answer.stdout.strip().splitlines() if answer.returncode == 0 else [answer.stderr.strip()]
    return {"devices": files, "nvidia_smi": listed}


def _gpu_devices() -> dict[str, Any]:
    try:
        import tensorflow as tf
    except ImportError as error:
        return {"tensorflow": f"not importable: {error}"}
    return {"tensorflow": [device.name for device in tf.config.list_physical_devices("GPU")]}


def _problems(report: dict[str, Any], folder: Path) -> list[str]:
    missing = [name for name in BASE if report["versions"][name] is None]
    problems = [f"{name}: not installed; install stockbot-hp again" for name in missing]
    if not report["folder_writable"]:
        problems.append(f"{folder}: not writable; give another --artifacts")
    if report["disk_free_gb"] < 1.0:
        problems.append(f"{folder}: {report['disk_free_gb']} GB free; builds need more")
    return problems
