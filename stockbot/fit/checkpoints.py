"""What a run needs to go on after a kill, in files that are whole or not there."""

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.files import make_folder, sha256_bytes, write_atomic
from stockbot.errors import ArtifactError

FOLDER, LAST = "checkpoints", "last.npz"
DIGEST_BYTES = 64  # hex digits

Arrays = list[np.ndarray]


@dataclass
class Position:
    """How far a training is; what follows from it and the arrays is the same for every life of the run.

    Attributes:
        epoch: under way, or to begin, from 0. step: that comes next in it.
        history: one entry for each epoch that is done: loss, val_loss and the metrics.
    """

    epoch: int = 0
    step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def best(self) -> int | None:
        """Number of the best epoch, from 0: the first of the lowest validation loss."""
        return int(np.argmin([entry["val_loss"] for entry in self.history])) if self.history else None


class Checkpoints:
    """The last state of a run and its best weights: `last.npz` and the `best-*.npz` that it names.

    Each file appears whole, and the best weights before the state that names them; those of an epoch that is no longer
    the best go after it. So whatever is killed, `last.npz` and all it needs are there.
    """

    def __init__(self, folder: Path, *, writes: bool = True) -> None:
        """
        Args:
            writes: false for all processes of a run but one.
        """
        self._folder, self._writes = folder, writes

    def save(self, position: Position, arrays: Arrays, identity: Mapping[str, Any]) -> None:
        """Keep a state.

        Args:
            identity: what must be the same in the process that goes on.

        Raises:
            DataError: it cannot be written.
        """
        if not self._writes:
            return
        about = {"epoch": position.epoch, "step": position.step, "history": position.history, "identity": identity}
        make_folder(self._folder)
        write_atomic(self._folder / LAST, _packed(arrays, about))
        self._remove_all_but(position.best)

    def load(self) -> tuple[Position, Arrays, dict[str, Any]] | None:
        """The last state; None when the run has kept none.

        Raises:
            ArtifactError: the file was altered.
        """
        if not (self._folder / LAST).exists():
            return None
        arrays, about = _unpacked(self._folder / LAST)
        return Position(about["epoch"], about["step"], about["history"]), arrays, about["identity"]

    def save_best(self, epoch: int, arrays: Arrays) -> None:
        """Keep the weights of the best epoch so far.

        Raises:
            DataError: they cannot be written.
        """
        if not self._writes:
            return
        make_folder(self._folder)
        write_atomic(self._best(epoch), _packed(arrays, {"epoch": epoch}))

    def load_best(self, epoch: int) -> Arrays:
        """The weights of that epoch.

        Raises:
            ArtifactError: the file was altered or removed.
        """
        return _unpacked(self._best(epoch))[0]

    def _best(self, epoch: int) -> Path:
        return self._folder / f"best-{epoch + 1:04d}.npz"

    def _remove_all_but(self, best: int | None) -> None:
        kept = None if best is None else self._best(best)
        for path in self._folder.iterdir():
            if re.fullmatch(r"best-\d+\.npz|\.tmp-.*", path.name) and path != kept:
                path.unlink()


def _packed(arrays: Arrays, about: Mapping[str, Any]) -> bytes:
    """A ZIP of arrays with its SHA-256 behind it: the checksums that ZIP has are of its members, not of their names."""
    buffer = io.BytesIO()
    named = {f"{number:04d}": array for number, array in enumerate(arrays)}
    np.savez(buffer, allow_pickle=False, about=np.frombuffer(json.dumps(about).encode(), np.uint8), **named)
    content = buffer.getvalue()
    return content + sha256_bytes(content).encode()


def _unpacked(path: Path) -> tuple[Arrays, dict[str, Any]]:
    try:
        held = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path}: no checkpoint can be read from it: {error.strerror}; train anew") from error
    content, digest = held[:-DIGEST_BYTES], held[-DIGEST_BYTES:]
    if sha256_bytes(content).encode() != digest:
        raise ArtifactError(
            f"{path}: no checkpoint can be read from it: it was altered or cut, its content does not match the "
            f"SHA-256 at its end; train anew"
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        about = json.loads(file["about"].tobytes())
        return [file[name] for name in sorted(file.files) if name != "about"], about
