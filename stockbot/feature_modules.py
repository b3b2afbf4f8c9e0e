"""Users' own features: modules that enter them in the catalogue when they are imported."""

import importlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path

from stockbot.errors import ConfigError


def load_feature_modules(names: Iterable[str]) -> None:
    """Import each module once, by its dotted name or by the path of its file.

    Raises:
        ConfigError: a module that cannot be found or that fails when imported.
    """
    for name in names:
        try:
            if not name.endswith(".py"):
                importlib.import_module(name)
            elif str(Path(name).resolve()) not in _loaded_files():
                _import_file(Path(name).resolve())
        except Exception as error:
            raise ConfigError(
                f"`feature_modules`: {name!r} cannot be imported ({type(error).__name__}: {error}); expected a module "
                "or a .py file that registers features"
            ) from error


def _loaded_files() -> set[str]:
    return {str(module.__file__) for module in list(sys.modules.values()) if getattr(module, "__file__", None)}


def _import_file(path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(path)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise
