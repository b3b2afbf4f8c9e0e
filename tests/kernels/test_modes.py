"""The kernels where Numba checks every index, and their twins where it compiles nothing.

The first is a short part of what `make check-kernels` runs.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.kernels.catalogue import CASES, market

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


TWINS = """
import sys
import numpy as np
from tests.kernels.catalogue import CASES, market
np.savez(sys.argv[1], *(out for case in CASES for out in case.twin(market(150, seed=4))))
"""


def test_the_twins_run_uncompiled(tmp_path: Path) -> None:
    made = tmp_path / "twins.npz"
    subprocess.run(
        [sys.executable, "-c", TWINS, str(made)], cwd=ROOT, env=os.environ | {"NUMBA_DISABLE_JIT": "1"}, check=True
    )
    with np.load(made) as twins:
        outputs = iter(twins.values())
        for case in CASES:
            for ours in case.whole(market(150, seed=4)):
                np.testing.assert_allclose(ours, next(outputs), rtol=1e-11, atol=1e-11, err_msg=case.name)
        assert next(outputs, None) is None
