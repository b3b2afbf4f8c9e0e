"""Two trees to compare, each a copy of its own: the work tree (head) and a commit (base). The work tree stays as is.

Both run the benchmarks of head, in an environment without the caller's settings for Python and Numba, on one thread
and one core.
"""

import io
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import THREADS

PINS = "requirements/base.txt"  # what kernels, builds and the command line run on


class GateError(Exception):
    """The comparison cannot be made; the message says why and what to do."""


@dataclass(frozen=True)
class Side:
    """A tree, and the interpreter that runs it."""

    name: str
    folder: Path
    python: Path

    def start(self, *arguments: str, **streams: Any) -> "subprocess.Popen[str]":
        """A Python process that imports this tree and works in its folder."""
        command = [str(self.python), *arguments]
        return subprocess.Popen(command, cwd=self.folder, env=self._environment(), text=True, **streams)

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA_", "PYTHON"))}
        cache = self.folder.parent / "cache"  # shared: its folders are named after the sources of the kernels
        return kept | THREADS | {"PYTHONPATH": str(self.folder), "NUMBA_CACHE_DIR": str(cache)}


def make_sides(root: Path, base: str, folder: Path) -> tuple[Side, Side]:
    """Copies of the work tree and of `base` below `folder`: (head, base)."""
    head = Side("head", folder / "head", Path(sys.executable))
    _copy_work_tree(root, head.folder)
    _extract(root, base, folder / "base")
    shutil.rmtree(folder / "base" / "benchmarks", ignore_errors=True)
    shutil.copytree(head.folder / "benchmarks", folder / "base" / "benchmarks")
    same = (folder / "base" / PINS).read_bytes() == (head.folder / PINS).read_bytes()
    python = Path(sys.executable) if same else _new_environment(folder / "base", folder / "venv")
    return head, Side("base", folder / "base", python)


def commit_of(root: Path, reference: str) -> str:
    """The full hash of a commit."""
    return _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{reference}^{{commit}}").strip()


def default_base(root: Path) -> str:
    """Where this tree left `main`; on `main` the commit before, or the last when the work tree differs from it."""
    main = next((name for name in ("main", "origin/main") if _knows(root, name)), None)
    if main is None:
        raise GateError("base: there is no branch main here; name a commit with --base")
    base, head = _git(root, "merge-base", "HEAD", main).strip(), commit_of(root, "HEAD")
    if base == head and not _git(root, "status", "--porcelain"):
        return commit_of(root, "HEAD~1")
    return base


def _knows(root: Path, reference: str) -> bool:
    try:
        return bool(commit_of(root, reference))
    except GateError:
        return False


def _git(root: Path, *arguments: str) -> str:
    return _git_bytes(root, *arguments).decode()


def _git_bytes(root: Path, *arguments: str) -> bytes:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode().strip() or "no such commit here"
        raise GateError(f"git {' '.join(arguments)}: {said}; name a commit of this clone with --base")
    return done.stdout


def _copy_work_tree(root: Path, folder: Path) -> None:
    for name in _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0"):
        if name and (root / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / name, folder / name)


def _extract(root: Path, reference: str, folder: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(_git_bytes(root, "archive", "--format=zip", reference))) as archive:
        archive.extractall(folder)


def _new_environment(tree: Path, folder: Path) -> Path:
    """An environment from the pins of `tree`."""
    python = folder / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for command in (
        [sys.executable, "-m", "venv", str(folder)],
        [*pip, "--require-hashes", "--requirement", str(tree / PINS)],
        [*pip, "--no-deps", "--no-build-isolation", "--editable", str(tree)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise GateError(f"environment of the base: {' '.join(command)} failed: {done.stderr.strip()[-500:]}")
    return python
