"""The journal of a build under way: what is finished, so that the same command goes on where the last one was killed.

One file of lines a symbol, and one for the sources; each line is the hash of a JSON value and the value. A kill may
tear the last line: it is cut off when the journal is opened again.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from pipelines.files import append_line, canonical_json, cut_off, make_folder, sha256_bytes, write_atomic

FOLDER = "_journal"
_HEAD = "plan.json"
_DIGITS = 16  # of the hash of a line


class Journal:
    """What was finished of one plan, below the folder in which it is built.

    Attributes:
        folder: where its files are.
    """

    def __init__(self, root: Path) -> None:
        self.folder = root / FOLDER

    def begin(self, plan: str) -> None:
        """Start the journal of a plan; `plan` is the identity that `is_of` asks for."""
        make_folder(self.folder)
        write_atomic(self.folder / _HEAD, canonical_json(plan))

    @property
    def is_there(self) -> bool:
        """Whether a journal was begun and is not removed."""
        return (self.folder / _HEAD).is_file()

    def is_of(self, plan: str) -> bool:
        """Whether a journal of this very plan is there."""
        head = self.folder / _HEAD
        return head.is_file() and head.read_bytes() == canonical_json(plan)

    @property
    def begun(self) -> int:
        """When it was begun, in ns, by the clock of the disk."""
        return (self.folder / _HEAD).stat().st_mtime_ns

    def add(self, name: str, value: dict[str, Any]) -> None:
        """Enter a value under a name, durably."""
        body = canonical_json(value)
        append_line(self._file(name), sha256_bytes(body)[:_DIGITS].encode("ascii") + b" " + body)

    def values(self, name: str) -> list[dict[str, Any]]:
        """What was entered under a name, in order; a torn last line is removed."""
        file = self._file(name)
        if not file.is_file():
            return []
        data = file.read_bytes()
        found, size = [], 0
        for line, value in _whole_lines(data):
            found.append(value)
            size += len(line)
        if size < len(data):
            cut_off(file, size)
        return found

    def names(self) -> list[str]:
        """Every name under which something was entered, sorted."""
        return sorted(unquote(file.name.removesuffix(".log")) for file in self.folder.glob("*.log"))

    def _file(self, name: str) -> Path:
        return self.folder / f"{quote(name, safe='^')}.log"


def _whole_lines(data: bytes) -> Iterator[tuple[bytes, dict[str, Any]]]:
    for line in data.splitlines(keepends=True):
        body = line[_DIGITS + 1 :]
        if not line.endswith(b"\n") or line[:_DIGITS] != sha256_bytes(body)[:_DIGITS].encode("ascii"):
            return
        yield line, json.loads(body)
