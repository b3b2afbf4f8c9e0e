"""Users' own features: modules that enter them in the catalogue when they are imported."""

import importlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path

from stockbot.errors import ConfigError


def load_feature_modules(names: Iterable[str], origin: str) -> None:
    """Import each module once, by its dotted name or by the path of its file; `origin` names the settings in errors.

    Raises:
        ConfigError: a module that cannot be found or that fails when imported.
    """
    for name in names:
        try:
            if name.endswith(".py"):
                _import_file(Path(name).resolve())
            else:
                importlib.import_module(name)
        except Exception as error:
            problem = " ".join(str(error).split())
            raise ConfigError(
                f"{origin}: `feature_modules`: {name!r} cannot be imported ({type(error).__name__}: {problem}); "
                "expected an installed module or the path of a .py file that enters features"
            ) from error


def _import_file(path: Path) -> None:
    """Import under the whole path as its name: that of the file alone may be the name of another module."""
    if str(path) in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(str(path), path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[str(path)] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[str(path)]
        raise
