"""Where compiled kernels are kept between processes: one checked file for each function and signature.

It takes the place of Numba's own cache, whose index and data files fail three ways: a torn or damaged file raises at
the call that meets it, a damaged byte of machine code is run, and two processes that compile one function at once
can leave an index that names the code of another signature. Here a file holds the hash of its content, appears whole
by one rename, and whatever is wrong with it only costs the compilation that replaces it.
"""

import contextlib
import hashlib
import os
import pickle
import tempfile
from functools import cache, cached_property
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import numba
import numpy as np
from numba.core.compiler import CompileResult
from numba.core.dispatcher import Dispatcher
from numba.core.serialize import dumps

_HASH_BYTES = 32


@cache
def _file_digest(path: str) -> bytes:
    return hashlib.sha256(Path(path).read_bytes()).digest()


def _identity(function: Any, met: set[Any]) -> list[Any]:
    """What the code of a function is made of: its source, and what it uses that is frozen into it.

    A function registered from outside the package may use others of its own files; all of them count.
    """
    met.add(function)
    code = function.__code__
    closed = [cell.cell_contents for cell in function.__closure__ or ()]
    names = _names(code)
    named = [function.__globals__[name] for name in names if name in function.__globals__]
    modules = [value for value in named if isinstance(value, ModuleType)]
    named += [getattr(module, name) for module in modules for name in names if hasattr(module, name)]
    used = [_frozen(value, met) for value in (*closed, *named)]
    return [_file_digest(code.co_filename), code.co_firstlineno, code.co_code, used]


def _names(code: CodeType) -> list[str]:
    """Global names and attributes that a function and the functions inside it use."""
    inner = [part for part in code.co_consts if isinstance(part, CodeType)]
    return [*code.co_names, *(name for part in inner for name in _names(part))]


def _frozen(value: Any, met: set[Any]) -> Any:
    if isinstance(value, Dispatcher):
        return None if value.py_func in met else _identity(value.py_func, met)
    if isinstance(value, tuple):
        return [_frozen(part, met) for part in value]
    if isinstance(value, np.ndarray):
        return hashlib.sha256(value.tobytes()).digest()
    return repr(value) if isinstance(value, bool | int | float | str | bytes | np.generic) else None


class CodeCache:
    """The compiled forms of one function, as a dispatcher asks for them; see `numba.core.caching`.

    It is consulted where a signature is compiled, never where a kernel is called.
    """

    def __init__(self, function: Any, folder: Path) -> None:
        self._folder = folder
        self._name = f"{Path(function.__code__.co_filename).stem}.{function.__name__}"
        self._function = function

    @cached_property
    def _source(self) -> list[Any]:
        return _identity(self._function, set())  # at the first compilation, when all that it names is defined

    @property
    def cache_path(self) -> str:
        """The folder, as a dispatcher's `stats` shows it."""
        return str(self._folder)

    def load_overload(self, signature: Any, target: Any) -> Any:
        """The compiled form of a signature, or None where there is none that can be relied on."""
        target.refresh()
        try:
            stored = self._path(signature, target.codegen()).read_bytes()
            if hashlib.sha256(stored[_HASH_BYTES:]).digest() != stored[:_HASH_BYTES]:
                return None
            return CompileResult._rebuild(target, *pickle.loads(stored[_HASH_BYTES:]))  # noqa: S301 - own folder, 0700
        except Exception:  # whatever it is, compiling anew mends it
            return None

    def save_overload(self, signature: Any, result: Any) -> None:
        """Keep a compiled form; a disk that is full or read-only is no reason to stop."""
        if result.lifted or result.library.has_dynamic_globals:
            return  # holds addresses of this process
        content = dumps(result._reduce())
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(self._path(signature, result.codegen), hashlib.sha256(content).digest() + content)

    def flush(self) -> None:
        """Forget all forms of this function, as `recompile` asks."""
        for path in self._folder.glob(f"{self._name}-*.nbc"):
            path.unlink(missing_ok=True)

    def _path(self, signature: Any, codegen: Any) -> Path:
        key = repr((signature, codegen.magic_tuple(), self._source, numba.__version__))
        return self._folder / f"{self._name}-{hashlib.sha256(key.encode()).hexdigest()[:24]}.nbc"


def _write(path: Path, content: bytes) -> None:
    """Make the file appear whole, or not at all, also where several processes write it at once."""
    handle, temporary = tempfile.mkstemp(prefix=f"{path.stem}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
