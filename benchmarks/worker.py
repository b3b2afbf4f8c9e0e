"""Runs kernels of one tree when it is told to: one JSON request a line on stdin, one JSON answer a line on stdout.

    {"case": "mean 64", "repeats": 40}         ->  {"seconds": 0.021}
    {"accuracy": ["mean 64"], "rows": 200000}  ->  {"errors": [...]}

What a tree cannot run is answered with {"problem": "..."}. Knows nothing of the other side.
"""

import json
import os
import sys
from typing import Any

import kernels
from benchmarks import accuracy
from benchmarks.cases import NAMED, Run
from benchmarks.data import market
from benchmarks.measuring import spent_on

ROWS = 400_000  # 3.2 MB an array: stays in the last cache, and what a call checks beforehand weighs a percent or two


class Worker:
    def __init__(self) -> None:
        self._data = market(ROWS)
        self._runs: dict[str, Run] = {}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if "accuracy" in request:
            cases = [NAMED[name] for name in request["accuracy"]]
            return {"errors": accuracy.measured(request["rows"], cases)}
        run = self._run_of(request["case"])

        def repeated() -> None:
            for _ in range(request["repeats"]):
                run()

        return {"seconds": spent_on(repeated)}

    def _run_of(self, name: str) -> Run:
        if name not in self._runs:
            self._runs[name] = NAMED[name].reusing(self._data)
            self._runs[name]()  # compiles
        return self._runs[name]


def main() -> None:
    if hasattr(os, "sched_setaffinity"):  # both sides on one core: cores of one machine differ
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    print(json.dumps({"kernels": kernels.__file__}), flush=True)
    worker = Worker()
    for line in sys.stdin:
        try:
            answer = worker.answer(json.loads(line))
        except Exception as problem:  # a tree of another day may lack the kernel or an argument
            answer = {"problem": f"{type(problem).__name__}: {problem}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
