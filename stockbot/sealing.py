"""What makes a model folder a bundle: `manifest.json` with the size and SHA-256 of every other file.

A bundle is one immutable folder `models/<first 16 hex digits of its id>/`. Its id is the SHA-256 of the
manifest, so whoever knows the id knows every byte.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.files import canonical_json, publish_folder, sha256_bytes, sha256_file
from stockbot.errors import ArtifactError

SCHEMA = 5  # raised with every change of the manifest's layout, which tests/stockbot/test_bundle.py pins
KEYS = {
    "schema", "files", "features", "lookback", "horizon", "objective", "target_scale", "max_gap_ns", "row_step_ns",
    "bars", "source_kind", "commit", "created_at", "config", "data", "data_snapshot", "metrics",
}  # fmt: skip
SHORT_ID = 16
MANIFEST = "manifest.json"
PARSED_FILES = ("feature_columns.json", "scaler.json", "model.onnx", "golden.npz")


def seal(staging: Path, models: Path, manifest: Mapping[str, Any]) -> tuple[str, Path]:
    """Add the manifest to a staging folder that holds all other files, and publish it under its id.

    Args:
        staging: folder on the file system of `models`; it is renamed, not copied.
        models: folder of all bundles.
        manifest: everything but `schema` and `files`.

    Returns:
        The id, 64 hex digits, and the published folder.
    """
    files = {
        file.name: {"bytes": file.stat().st_size, "sha256": sha256_file(file)} for file in sorted(staging.iterdir())
    }
    content = canonical_json({**manifest, "schema": SCHEMA, "files": files})
    (staging / MANIFEST).write_bytes(content)
    model_id = sha256_bytes(content)
    models.mkdir(parents=True, exist_ok=True)
    publish_folder(staging, models / model_id[:SHORT_ID])
    return model_id, models / model_id[:SHORT_ID]


def read_bytes(path: Path) -> bytes:
    """Content of a file. Raises ArtifactError when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read: {error.strerror}; restore it or train again") from None


def parse_manifest(path: Path, content: bytes) -> dict[str, Any]:
    """The manifest of the bundle in `path` from its bytes. Raises ArtifactError for another version or no JSON."""
    try:
        manifest = json.loads(content)
    except ValueError as error:
        raise ArtifactError(f"{path / MANIFEST}: not valid JSON ({error}); train again") from None
    schema = manifest.get("schema") if isinstance(manifest, dict) else None
    if schema != SCHEMA or not manifest.keys() >= KEYS:
        raise ArtifactError(
            f"{path / MANIFEST}: made by another version (expected schema {SCHEMA}, received {schema}); "
            f"train again with this one"
        )
    return dict(manifest)


def checked_files(path: Path, entries: Mapping[str, Mapping[str, Any]]) -> dict[str, bytes]:
    """Bytes of the files that inference parses; hashed and parsed are the same bytes, read once.

    Args:
        entries: `files` of the manifest.

    Raises:
        ArtifactError: a file is missing, a link, or differs from its entry in size or hash.
    """
    for name in PARSED_FILES:
        if name not in entries:
            raise ArtifactError(f"{path / MANIFEST}: lists no {name}; train again")
    kept = {}
    for name, entry in entries.items():
        if Path(name).name != name or (path / name).is_symlink():
            raise ArtifactError(f"{path / name}: expected a plain file of the bundle; train again")
        content = read_bytes(path / name)
        received = sha256_bytes(content)
        if len(content) != entry["bytes"] or received != entry["sha256"]:
            raise ArtifactError(
                f"{path / name}: altered: expected SHA-256 {entry['sha256']} ({entry['bytes']} bytes), "
                f"received {received} ({len(content)} bytes); restore the file or train again"
            )
        if name in PARSED_FILES:
            kept[name] = content
    return kept
