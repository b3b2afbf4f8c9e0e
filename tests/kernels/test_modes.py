"""The kernels where Numba checks every index, and where it compiles nothing.

A short part; `make check-kernels` runs all. `kernels.engine` stays out of the second: it calls kernels by the
address of their machine code.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# One of each construction: sums in blocks, spans that double, discounted sums, Wilder's averages, lags.
COMPILED = "rolling_std-5 or rolling_max-7 or ema-12 or rsi-14 or log_returns-5"


def run_suite(*arguments: str, **environment: str) -> str:
    """Run a part of the kernels' tests in a process of its own; returns its last line."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=ROOT, env=os.environ | environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[-1]


def test_no_index_leaves_its_array(tmp_path: Path) -> None:
    part = ["tests/kernels/test_state_machines.py", "-k", f"({COMPILED}) and not cut"]
    assert "passed" in run_suite(*part, NUMBA_BOUNDSCHECK="1", NUMBA_CACHE_DIR=str(tmp_path))
    assert list(tmp_path.rglob("*.nbc"))


def test_the_kernels_run_uncompiled(tmp_path: Path) -> None:
    part = ["tests/kernels/test_state_machines.py", "-k", "missing or row_by_row", "-W", "ignore::RuntimeWarning"]
    assert "passed" in run_suite(*part, NUMBA_DISABLE_JIT="1", NUMBA_CACHE_DIR=str(tmp_path))
    assert not list(tmp_path.rglob("*.nbc"))
