"""What a run must remember to be traced: the commit, the versions, the time."""

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

DISTRIBUTIONS = (
    "stockbot-hp", "numpy", "numba", "polars", "pyarrow", "scikit-learn", "onnx", "onnxruntime", "keras",
    "tensorflow",
)  # fmt: skip


def git_state(*folders: Path) -> tuple[str, bool]:
    """Commit of the first repository around `folders`, and whether its files differ from that commit.

    Args:
        folders: default: the working folder (the user's experiment), then the checkout this code runs from.

    Returns:
        where there is no git, no repository or no commit yet: what STOCKBOT_COMMIT says, as images do, or "unknown".
    """
    for folder in folders or (Path.cwd(), Path(__file__).parent):
        commit = _git(folder, "rev-parse", "--verify", "HEAD")
        if commit is not None:
            return commit, bool(_git(folder, "status", "--porcelain"))
    return os.environ.get("STOCKBOT_COMMIT", "unknown"), False


def library_versions() -> dict[str, str]:
    """Version of Python and of each library that shapes a model; absent ones are left out."""
    found = {"python": sys.version.split()[0]}
    for name in DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def utc_now() -> str:
    """The present moment, ISO 8601, UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _git(folder: Path, *arguments: str) -> str | None:
    program = shutil.which("git")
    if program is None:
        return None
    try:
        answer = subprocess.run(  # noqa: S603 - fixed arguments
            [program, *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=True
        )
    except (subprocess.SubprocessError, OSError):
        return None
    return answer.stdout.strip()
