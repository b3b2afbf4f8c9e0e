"""The one place that moves `current.json`, the atomic pointer to the model that is live."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from pipelines.files import pretty_json, write_atomic, writing
from stockbot.bundle import Bundle, read_pointer, resolve
from stockbot.bundle import current as current
from stockbot.errors import ArtifactError, PromotionRefusedError, StockbotError
from stockbot.provenance import utc_now

LOCK_SECONDS = 10.0


def promote(
    artifacts: Path,
    model: str,
    reason: str,
    metrics: Mapping[str, Any] | None = None,
    *,
    instead_of: str | Literal["any"] | None = "any",
) -> dict[str, Any]:
    """Verify a bundle and make it the current model; returns the new content of `current.json`.

    A damaged `current.json` is written anew, unless the decision rested on what it said.

    Args:
        model: id, a unique beginning of one, or `latest`.
        metrics: what the decision rested on; the bundle's own test metrics when None.
        instead_of: id of the model that the decision compared with (None: there was none); `any` for no condition.

    Raises:
        ArtifactError: no such bundle, or it fails its checks; the pointer stays as it was.
        PromotionRefusedError: another model has become current since the decision.
    """
    with exclusive(artifacts / ".promote.lock", timeout=LOCK_SECONDS):
        bundle = resolve(artifacts, model)
        before = _pointer(artifacts, mend=instead_of == "any")
        previous = None if before is None else before["model"]
        if before is not None and previous == bundle.id:
            return before
        if instead_of not in ("any", previous):
            raise PromotionRefusedError(
                f"the current model became {previous} while {bundle.short_id} was compared with {instead_of}: run again"
            )
        return _point(artifacts, "promote", bundle, previous, reason, metrics)


def rollback(artifacts: Path, reason: str) -> dict[str, Any]:
    """Make the model before the current one current again; a second rollback returns to where it started.

    Raises:
        ArtifactError: nothing to return to, or the earlier bundle fails its checks.
    """
    with exclusive(artifacts / ".promote.lock", timeout=LOCK_SECONDS):
        before = read_pointer(artifacts)
        if before is None or before.get("previous") is None:
            raise ArtifactError(f"{artifacts / 'current.json'}: no earlier model to return to; promote one by id")
        return _point(artifacts, "rollback", resolve(artifacts, before["previous"]), before["model"], reason, None)


@contextmanager
def exclusive(lock_file: Path, *, timeout: float) -> Iterator[None]:
    """Hold a lock that the system frees when the process dies; its folder is made when missing.

    Raises:
        ArtifactError: the folder cannot be written.
        StockbotError: another process holds the lock.
    """
    try:
        lock_file.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(lock_file, timeout=timeout)
        lock.acquire()
    except Timeout:
        raise StockbotError(f"{lock_file}: another run holds this lock; wait until it has ended") from None
    except OSError as error:
        raise ArtifactError(
            f"{lock_file.parent}: cannot be written: {error.strerror}; give another folder with --artifacts"
        ) from None
    try:
        yield
    finally:
        lock.release()


def append_line(path: Path, line: str) -> None:
    """Append one line and make it durable. Raises DataError when it cannot be written."""
    with writing(path), open(path, "ab", buffering=0) as file:
        file.write((line.replace("\n", " ") + "\n").encode())
        os.fsync(file.fileno())


def _pointer(artifacts: Path, *, mend: bool) -> dict[str, Any] | None:
    try:
        return read_pointer(artifacts)
    except ArtifactError:
        if mend:
            return None
        raise


def _point(
    artifacts: Path,
    action: str,
    bundle: Bundle,
    previous: str | None,
    reason: str,
    metrics: Mapping[str, Any] | None,
) -> dict[str, Any]:
    pointer = {
        "model": bundle.id,
        "previous": previous,
        "reason": reason,
        "metrics": dict(bundle.manifest["metrics"] if metrics is None else metrics),
        "promoted_at": utc_now(),
    }
    write_atomic(artifacts / "current.json", pretty_json(pointer))
    append_line(
        artifacts / "promotions.log",
        f"{pointer['promoted_at']} {action} model={bundle.id} previous={previous} reason={reason}",
    )
    return pointer
