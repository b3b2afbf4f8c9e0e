"""Speed and exactness measured: `python -m benchmarks` prints the table, `python -m benchmarks.gate` compares trees.

One thread everywhere: libraries read these names when they are first imported, so they are set before any of them is.
"""

import os

THREADS = dict.fromkeys(
    ("POLARS_MAX_THREADS", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"
)
os.environ.update(THREADS)
