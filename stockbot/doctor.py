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
SMI_FIELDS = ("index", "name", "driver_version", "memory.total", "memory.free", "compute_cap")
DRIVER = 525  # the first that runs CUDA 12


def examine(folder: Path, *, gpu: bool = False) -> dict[str, Any]:
    """Everything that `doctor` shows; `problems` lists what would stop a command, empty when all is well.

    Args:
        folder: where artifacts go; its disk is measured.
        gpu: import TensorFlow and try each device (seconds), instead of only looking for a driver; none is a problem.
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
    """What can be told without TensorFlow: the driver's device files and what its own tool says of each device."""
    files = [path.name for pattern in ("nvidia[0-9]*", "dxg") for path in sorted(DEVICE_FILES.glob(pattern))]
    tool = shutil.which("nvidia-smi")
    return {"devices": files, "nvidia_smi": None if tool is None else _ask_the_driver(tool)}


def _ask_the_driver(tool: str) -> list[dict[str, str]] | str:
    """One entry a device, or what the tool complains of."""
    query = [tool, f"--query-gpu={','.join(SMI_FIELDS)}", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"does not answer: {error}"
    rows = [line.split(", ") for line in answer.stdout.splitlines()]
    if answer.returncode or not rows or any(len(row) != len(SMI_FIELDS) for row in rows):
        said = (answer.stderr.strip() or answer.stdout.strip() or f"exit code {answer.returncode}").splitlines()
        return said[0]
    return [dict(zip(SMI_FIELDS, row, strict=True)) for row in rows]


def _gpu_devices() -> dict[str, Any]:
    try:
        from stockbot.gpu import examine_gpus
    except ImportError as error:
        return {"tensorflow": f"not importable: {error}"}
    return {"tensorflow": examine_gpus()}


def _problems(report: dict[str, Any], folder: Path) -> list[str]:
    missing = [name for name in BASE if report["versions"][name] is None]
    problems = [f"{name}: not installed; install stockbot-hp again" for name in missing]
    if not report["folder_writable"]:
        problems.append(f"{folder}: not writable; give another --artifacts")
    if report["disk_free_gb"] < 1.0:
        problems.append(f"{folder}: {report['disk_free_gb']} GB free; builds need more")
    return problems + (_gpu_problems(report["gpu"]) if "tensorflow" in report["gpu"] else [])


def _gpu_problems(gpu: dict[str, Any]) -> list[str]:
    found = gpu["tensorflow"]
    if isinstance(found, str):
        return [f"gpu: TensorFlow is {found}; pip install 'stockbot-hp[gpu]'"]
    if not found["visible"]:
        return [f"gpu: TensorFlow sees none: {_why_none(gpu, found)}"]
    return [device["problem"] for device in found["visible"] if device["problem"]]


def _why_none(gpu: dict[str, Any], found: dict[str, Any]) -> str:
    """The first reason that holds, from the ground up, and what to do."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    listed = gpu["nvidia_smi"]
    old = [row["driver_version"] for row in listed if _major(row) < DRIVER] if isinstance(listed, list) else []
    lacking = [name for name, version in found["found"].items() if version is None]
    reasons = [
        (not found["built_for"]["cuda"], "it is built without CUDA; use Linux, or WSL2 on Windows, and there "
                                         "pip install 'stockbot-hp[gpu]'"),
        (hidden in ("", "-1"), f"CUDA_VISIBLE_DEVICES={hidden} hides them; unset it"),
        (not gpu["devices"] and listed is None,
         f"no NVIDIA driver is here; install {DRIVER} or later on the host (WSL2: in Windows), and start a container "
         "with --gpus all"),
        (isinstance(listed, str), f"nvidia-smi: {listed}; mend the driver on the host"),
        (bool(old), f"driver {', '.join(old)} is older than {DRIVER}, which CUDA 12 needs; update it on the host"),
        (bool(lacking), f"libraries are missing: {', '.join(lacking)}; pip install 'stockbot-hp[gpu]'"),
        (hidden is not None, f"CUDA_VISIBLE_DEVICES={hidden} may name none that is here; unset it"),
    ]  # fmt: skip
    unknown = "TF_CPP_MIN_LOG_LEVEL=0 stockbot-hp doctor --gpu shows TensorFlow's own reason"
    return next((reason for holds, reason in reasons if holds), unknown)


def _major(row: dict[str, str]) -> int:
    major = row["driver_version"].partition(".")[0]
    return int(major) if major.isdigit() else DRIVER
