"""How every kernel is compiled: the one place for flags and the compilation cache, with the reason for each.

- `nogil`: kernels touch no Python object, so threads over symbols run side by side.
- `error_model="numpy"`: division by zero gives inf or NaN as in NumPy, and no branch guards each division.
- no `fastmath`: it may assume away NaN and reorder additions; both would break "same bits for every cut".
- no `parallel`: parallelism comes from partitions; OpenMP pools do not survive a fork and oversubscribe cores.
- `cache`: in a folder named after the sources of all kernels. Numba checks only the file that holds a
  function, so a change in a function that it calls from another file would otherwise go unnoticed.
"""

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np


def _sources_digest() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _user_cache() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", tempfile.gettempdir()))
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _writable_cache() -> str:
    """The cache folder, or "" when it cannot be written: kernels then compile in each process."""
    if numba.config.CACHE_DIR:
        return str(numba.config.CACHE_DIR)  # NUMBA_CACHE_DIR: the user decided
    try:
        folder = _user_cache() / "stockbot-hp" / f"kernels-{_sources_digest()}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # the cache is pickled code: nobody else may write
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, RuntimeError):
        return ""
    return str(folder)


CACHE_FOLDER = _writable_cache()
if CACHE_FOLDER:
    numba.config.CACHE_DIR = CACHE_FOLDER


ONE = np.uint64(1)


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile `function` on first call for the types it is given."""
    compiled: Callable[..., Any] = numba.njit(nogil=True, error_model="numpy", cache=bool(CACHE_FOLDER))(function)
    return compiled
