"""Whether a place can be written, asked before the work that would fill it."""

import tempfile
from pathlib import Path

from stockbot.errors import UsageError


def require_file_place(path: Path) -> None:
    """Raises UsageError unless a file can be written at `path`, or replaced there."""
    if path.exists() and not path.is_file():
        raise UsageError(f"{path}: expected a file or nothing, received a folder or device; give another --out")
    require_writable_parent(path)


def require_writable_parent(path: Path) -> None:
    """Raises UsageError unless something new can be made at `path`; missing folders above it are no problem."""
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    if not is_writable(parent):
        reason = "cannot be written" if parent.is_dir() else "is no folder"
        raise UsageError(f"{path}: cannot be made, for {parent} {reason}; give another --out")


def nearest_folder(folder: Path) -> Path:
    """The folder, or the nearest parent that is there."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())


def is_writable(folder: Path) -> bool:
    """Whether a file can be made there; permission bits alone do not tell."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
