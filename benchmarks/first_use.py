"""How long a new process needs until `core17` gives its first row: with an empty cache, and with a filled one.

    python -m benchmarks.first_use                    # about half a minute

Processor seconds of a process of its own, from start to the first row; imports are stated apart.
"""

import json
import os
import subprocess
import sys
import tempfile
from typing import Any

import numpy as np

from benchmarks import goals

WARM_RUNS = 5
_CHILD = """
import json
from time import process_time
import numpy as np
from kernels.bars import COLUMN_NAMES
from pipelines.bars import Bars
from pipelines.features import FeaturePlan
imported = process_time()
plan = FeaturePlan(["core17"])
plan.update(plan.new_state(), Bars(np.ones((len(COLUMN_NAMES), 1))))
print(json.dumps({"imports": imported, "ready": process_time() - imported}))
"""


def _first_use(cache: str) -> dict[str, float]:
    environment = os.environ | {"NUMBA_CACHE_DIR": cache}
    done = subprocess.run([sys.executable, "-c", _CHILD], env=environment, capture_output=True, text=True, check=True)
    return {name: float(spent) for name, spent in json.loads(done.stdout).items()}


def bench() -> tuple[dict[str, Any], list[goals.Goal]]:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="stockbot-first-use-") as cache:
        empty = _first_use(cache)
        warm = [_first_use(cache) for _ in range(WARM_RUNS)]
    seconds = {
        "imports": float(np.median([run["imports"] for run in warm])),
        "core17 ready, empty cache": empty["ready"],
        "core17 ready, warm cache": float(np.median([run["ready"] for run in warm])),
    }
    for name, spent in seconds.items():
        print(f"{name:<34}{spent:>8.2f} s")
    return {"seconds": seconds}, [
        goals.at_most("core17 ready, empty cache, s", seconds["core17 ready, empty cache"], 15.0),
        goals.at_most("core17 ready, warm cache, s", seconds["core17 ready, warm cache"], 1.0),
    ]


if __name__ == "__main__":
    print(goals.show(bench()[1]))
