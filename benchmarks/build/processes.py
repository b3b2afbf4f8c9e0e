"""A program in a process of its own: what it took, what it wrote.

Nothing here imports more than the standard library: a child begins as a copy of its parent, and counts what the parent
held as its own peak.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

ROOT = Path(__file__).parents[2]


class BenchError(Exception):
    """A program failed, or computed something else."""


@dataclass(frozen=True)
class Usage:
    """What a process took; `said` is the object that it printed on its last line, if it did."""

    seconds: float  # of processor time, all threads, user and system
    wall: float
    peak_mb: float
    written: int  # bytes
    said: dict[str, Any]


def run(*arguments: str, out: Path | None = None) -> Usage:
    """Run `python ARGUMENTS` to its end; what it wrote below `out` is counted."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as complained:
        begun = perf_counter()
        process = subprocess.Popen(
            [sys.executable, *arguments], env=environment, stdout=said, stderr=complained, text=True
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        complained.seek(0)
        if process.returncode:
            told = (said.read() + complained.read()).strip()[-500:]
            raise BenchError(f"{' '.join(arguments)[:200]}: ended with {process.returncode}: {told}")
        lines = said.read().splitlines()
    peak_mb = usage.ru_maxrss / 1024
    written = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) if out else 0
    return Usage(usage.ru_utime + usage.ru_stime, wall, peak_mb, written, _object_in(lines))


@contextmanager
def on_processors(count: int) -> Iterator[None]:
    """What is run in the block has so many processors.

    Raises:
        BenchError: there are fewer, or the system has no such call.
    """
    if not hasattr(os, "sched_setaffinity"):
        raise BenchError("processes cannot be kept to some processors here: leave `workers` out, or run on Linux")
    allowed = os.sched_getaffinity(0)
    if len(allowed) < count:
        raise BenchError(f"expected {count} processors or more, received {len(allowed)}: leave `workers` out")
    os.sched_setaffinity(0, sorted(allowed)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def emptied(folder: Path) -> Path:
    """The folder, new."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _object_in(lines: list[str]) -> dict[str, Any]:
    return dict(json.loads(lines[-1])) if lines and lines[-1].startswith("{") else {}
