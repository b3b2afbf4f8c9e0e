"""How every kernel is compiled: the one place for flags and the compilation cache, with the reason for each.

- `nogil`: kernels touch no Python object, so threads over symbols run side by side.
- `error_model="numpy"`: division by zero gives inf or NaN as in NumPy, and no branch guards each division.
- no `fastmath`: it may assume away NaN and reorder additions; both would break "same bits for every cut".
- no `parallel`: parallelism comes from partitions; OpenMP pools do not survive a fork and oversubscribe cores.
- a cache of our own (`code_cache`), in a folder named after the sources of all kernels. Numba checks only the file
  that holds a function, so a change in a function that it calls from another file would otherwise go unnoticed.
"""

import contextlib
import hashlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np

from kernels.code_cache import CodeCache

_KEPT = 4  # cache folders: this one and the last used of other sources, such as a second checkout


def _sources_digest() -> str:
    """Says which code a folder holds: sources, and the settings of Numba that change what is made of them."""
    settings = (numba.__version__, numba.config.BOUNDSCHECK, numba.config.OPT, numba.config.DEBUGINFO_DEFAULT)
    digest = hashlib.sha256(repr(settings).encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _caches() -> Path:
    """The folder of our cache folders: below NUMBA_CACHE_DIR, or the user's own cache."""
    if numba.config.CACHE_DIR:
        return Path(numba.config.CACHE_DIR) / "stockbot-hp"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", tempfile.gettempdir())) / "stockbot-hp"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stockbot-hp"


def _cache_folders() -> list[Path]:
    """Our cache folders of all sources, last used first."""
    used = []
    for folder in _caches().glob("kernels-*"):
        with contextlib.suppress(OSError):  # swept by another process just now
            if re.fullmatch(r"kernels-[0-9a-f]{16}", folder.name) and not folder.is_symlink():
                used.append((folder.stat().st_mtime_ns, folder))
    return [folder for _, folder in sorted(used, reverse=True)]


def _require_private(folder: Path) -> None:
    """The cache is code that will run: nobody else may have written it."""
    if not hasattr(os, "geteuid"):
        return
    status = folder.stat()
    if status.st_uid not in (0, os.geteuid()):
        raise PermissionError(f"{folder} belongs to another user")
    if status.st_mode & 0o022:
        folder.chmod(0o700)


def _open_cache() -> tuple[Path | None, str]:
    """The cache folder, None where there can be none, and what keeps it from being used fully, "" if nothing does."""
    try:
        folder = _caches() / f"kernels-{_sources_digest()}"
        is_new = not folder.is_dir()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _require_private(folder)
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home folder
        return None, f"no cache, every process compiles anew: {error}"
    try:
        os.utime(folder)
    except OSError as error:
        return folder, f"cannot be written, what is not in it is compiled anew by every process: {error}"
    for stale in _cache_folders()[_KEPT:] if is_new else ():
        shutil.rmtree(stale, ignore_errors=True)
    return folder, ""


CACHE_FOLDER, CACHE_PROBLEM = _open_cache()


def clear_cache() -> list[Path]:
    """Remove our cache folders of all sources, and say which."""
    try:
        folders = _cache_folders()
    except RuntimeError:  # there is no home folder
        return []
    for folder in folders:
        shutil.rmtree(folder)
    return folders


ONE = np.uint64(1)


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile `function` on first call for the types it is given."""
    compiled: Any = numba.njit(nogil=True, error_model="numpy")(function)
    if CACHE_FOLDER and not numba.config.DISABLE_JIT:
        compiled._cache = CodeCache(function, CACHE_FOLDER)
    return compiled  # type: ignore[no-any-return]


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """A kernel that is compiled into its callers: a call that passes arrays counts their references."""
    compiled: Callable[..., Any] = numba.njit(nogil=True, error_model="numpy", forceinline=True)(function)
    return compiled
