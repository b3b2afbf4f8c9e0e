"""Rehash a feature store or a bundle, and list every problem instead of the first."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipelines.errors import DataError
from pipelines.files import sha256_bytes
from pipelines.objects import Location, located
from pipelines.parts import Entry
from pipelines.store import MANIFEST, FeatureStore
from stockbot.bundle import SHORT_ID, Bundle
from stockbot.errors import ArtifactError


@dataclass(frozen=True)
class Verdict:
    """What a folder is, how many files its manifest names, and every problem found; none means it is whole."""

    kind: Literal["feature store", "bundle"]
    path: Location
    files: int
    problems: list[str]


def verify(path: Path) -> Verdict:
    """Rehash every file that the folder's manifest names; files that it does not name are problems too.

    Raises:
        DataError: the folder has no readable manifest, so nothing says what it should hold.
    """
    place = located(path)
    content, manifest = _manifest(place)
    if "snapshot" in manifest:
        return _verify_store(place)
    if isinstance(manifest.get("files"), dict):
        return _verify_bundle(path, content, manifest["files"])
    raise DataError(f"{path / MANIFEST}: expected the manifest of a feature store or a bundle, received another")


def _manifest(path: Location) -> tuple[bytes, dict[str, Any]]:
    file = path / MANIFEST
    try:
        content = file.read_bytes()
        manifest = json.loads(content)
    except OSError as error:
        raise DataError(
            f"{file}: cannot be read: {error.strerror}; give the folder of a feature store or a bundle"
        ) from error
    except ValueError as error:
        raise DataError(f"{file}: not valid JSON ({error}); the folder cannot be verified, make it anew") from error
    return content, manifest if isinstance(manifest, dict) else {}


def _verify_store(path: Location) -> Verdict:
    try:
        store = FeatureStore.open(path)
    except DataError as error:
        return Verdict("feature store", path, 0, [str(error)])
    return Verdict("feature store", path, len(store.entries()), store.verify())


def _verify_bundle(path: Path, content: bytes, files: dict[str, Any]) -> Verdict:
    problems = []
    received = sha256_bytes(content)[:SHORT_ID]
    if path.resolve().name != received:
        problems.append(
            f"{path / MANIFEST}: expected an id that begins with {path.resolve().name}, received {received}"
        )
    entries = [Entry(name, entry["sha256"], entry["bytes"]) for name, entry in sorted(files.items())]
    problems += [problem for entry in entries if (problem := entry.problem_at(path / entry.path))]
    strays = sorted(file.name for file in path.iterdir() if file.name not in {*files, MANIFEST})
    problems += [f"{path / name}: not named in {MANIFEST}" for name in strays]
    return Verdict("bundle", path, len(entries), problems or _problems_of_use(path))


def _problems_of_use(path: Path) -> list[str]:
    """What only loading shows: parts that do not fit together, golden outputs that differ."""
    try:
        Bundle.load(path.resolve())
    except ArtifactError as error:
        return [str(error)]
    return []
