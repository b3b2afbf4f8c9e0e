"""What the gate starts on a side: a worker that stays and runs kernels, and commands that run once."""

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.sides import GateError, Side


class WorkerClient:
    """A worker process of a side, driven line by line; use it in a `with`."""

    def __init__(self, side: Side) -> None:
        self._side = side
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._process = side.start("-m", "benchmarks.worker", **pipes)
        imported = Path(self._answer()["kernels"])
        if not imported.is_relative_to(side.folder):
            raise GateError(f"{side.name}: expected kernels of {side.folder}, imported {imported}")

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and wait for the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise GateError(f"{self._side.name}: the worker ended with code {self._process.wait()}; it says why above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __enter__(self) -> "WorkerClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()


@dataclass(frozen=True)
class Usage:
    """What a command took: processor seconds of its own, and the most memory it held at once."""

    seconds: float
    peak: float


def command(side: Side, *arguments: str) -> Usage:
    """Run `python ARGUMENTS` on a side to its end."""
    with tempfile.TemporaryFile("w+") as said:
        process = side.start(*arguments, stdout=subprocess.DEVNULL, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise GateError(f"{side.name}: {' '.join(arguments)} ended with {process.returncode}: {said.read()[-500:]}")
    return Usage(usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
