"""A sealed model in memory, proven whole at every load, and how to find one by id.

Nothing here imports TensorFlow, and nothing unpickles `scaler.pkl`.
"""

import io
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.errors import DataError
from pipelines.files import sha256_bytes
from pipelines.scaling import Scaler
from stockbot.config import Config, parse_config
from stockbot.errors import ArtifactError, ConfigError, UsageError
from stockbot.inference import OnnxModel
from stockbot.sealing import MANIFEST, checked_files, parse_manifest, read_bytes
from stockbot.sealing import SHORT_ID as SHORT_ID

GOLDEN_TOLERANCE = 1e-5  # in model units; engines differ by 5e-7 at most on the layers used


@dataclass(frozen=True)
class Bundle:
    """A verified model with all that inference needs.

    Attributes:
        path: its folder.
        id: 64 hex digits, the SHA-256 of its manifest.
        manifest: what training recorded.
        config: the resolved configuration it was trained with.
        scaler: fitted on its training rows.
        model: the network.
    """

    path: Path
    id: str
    manifest: Mapping[str, Any]
    config: Config
    scaler: Scaler
    model: OnnxModel

    @classmethod
    def load(cls, path: Path) -> "Bundle":
        """Read a bundle and prove it whole: id, size and hash of each file, features, shapes, golden outputs.

        Raises:
            ArtifactError: anything missing, altered, of another schema, or that does not fit together.
        """
        model_id, manifest = read_manifest(path)
        files = checked_files(path, manifest["files"])
        bundle = cls(
            path=path,
            id=model_id,
            manifest=manifest,
            config=_config(path, manifest["config"]),
            scaler=_scaler(path, files),
            model=OnnxModel(files["model.onnx"]),
        )
        _check_fit(bundle, json.loads(files["feature_columns.json"]))
        _check_golden(bundle, files["golden.npz"])
        return bundle

    @property
    def short_id(self) -> str:
        """First 16 hex digits of the id: the folder's name."""
        return self.id[:SHORT_ID]

    @property
    def features(self) -> list[str]:
        """Ordered feature columns."""
        return list(self.manifest["features"])

    @property
    def lookback(self) -> int:
        """Rows of a window."""
        return int(self.manifest["lookback"])

    @property
    def horizon(self) -> int:
        """Rows ahead that the prediction speaks of."""
        return int(self.manifest["horizon"])

    @property
    def objective(self) -> str:
        """`regression` (predicts the log return over the horizon) or `direction` (predicts P(up))."""
        return str(self.manifest["objective"])

    @property
    def target_scale(self) -> float:
        """Log return that one unit of the network's output stands for; 1.0 for direction."""
        return float(self.manifest["target_scale"])

    @property
    def max_gap_ns(self) -> int:
        """Longest pause between bar labels that a window may hold, ns."""
        return int(self.manifest["max_gap_ns"])

    @property
    def row_step_ns(self) -> int:
        """Usual step between row labels, ns: how long a candle is, which candles do not say."""
        return int(self.manifest["row_step_ns"])

    @property
    def unseen_from_ns(self) -> int:
        """Rows known from here on, ns UTC, played no part in its making: neither trained on nor stopped by."""
        return int(self.manifest["data"]["test_start_ns"])

    @property
    def session(self) -> Any:
        """The ONNX Runtime session, one thread."""
        return self.model.session

    def predict(self, windows: np.ndarray) -> np.ndarray:
        """Predicted log return over the horizon, or P(up), (batch,) float64.

        Args:
            windows: (batch, lookback, features) float32, already scaled with `scaler`.
        """
        return self.model.outputs(windows).astype(np.float64) * self.target_scale

    def predict_at(self, matrix: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """Predictions of many windows of one matrix, (windows,) float64.

        Args:
            matrix: (rows, features) float32, already scaled, C-contiguous.
            starts: (windows,) int64, first row of each window.
        """
        return self.model.outputs_at(matrix, starts) * self.target_scale


def resolve(artifacts: Path, model: str | None = None) -> Bundle:
    """The bundle of that id, of a unique beginning of one, the `latest` sealed, or (None) the current one.

    `latest` passes over damaged bundles, but not over one that may be the latest itself.

    Raises:
        ArtifactError: no such bundle, more than one, or one that fails its checks. UsageError: an empty id.
    """
    if model == "":
        raise UsageError(
            "model: expected an id, the beginning of one, or `latest`, received ''; see `stockbot-hp models`"
        )
    if model is None:
        model = current(artifacts)
        if model is None:
            raise ArtifactError(f"{artifacts / 'current.json'}: no current model; run `stockbot-hp promote latest`")
    if model == "latest":
        model = _latest(artifacts)
    bundle = Bundle.load(_one_folder(artifacts / "models", model))
    if not bundle.id.startswith(model):
        raise ArtifactError(f"{bundle.path}: expected id {model}, received {bundle.id}")
    return bundle


def list_models(artifacts: Path) -> list[dict[str, Any]]:
    """Manifest of every sealed bundle with its `id`, oldest first; files are not hashed, damaged bundles left out."""
    found = []
    for folder in _folders(artifacts / "models"):
        with suppress(ArtifactError):
            model_id, manifest = read_manifest(folder)
            found.append({"id": model_id, **manifest})
    return sorted(found, key=lambda manifest: (manifest["created_at"], manifest["id"]))


def damaged_models(artifacts: Path) -> dict[Path, str]:
    """What is wrong with the manifest of each bundle that `list_models` leaves out, under its folder."""
    problems = {}
    for folder in _folders(artifacts / "models"):
        try:
            read_manifest(folder)
        except ArtifactError as error:
            problems[folder] = str(error)
    return problems


def read_manifest(folder: Path) -> tuple[str, dict[str, Any]]:
    """Id and manifest of the bundle in a folder.

    Raises:
        ArtifactError: unreadable, altered since it was sealed, or of another version.
    """
    content = read_bytes(folder / MANIFEST)
    model_id = sha256_bytes(content)
    if folder.name != model_id[:SHORT_ID]:
        raise ArtifactError(
            f"{folder / MANIFEST}: altered or moved: expected a SHA-256 that begins with the folder's name "
            f"{folder.name}, received {model_id[:SHORT_ID]}; restore the folder or train again"
        )
    return model_id, parse_manifest(folder, content)


def _latest(artifacts: Path) -> str:
    listed = list_models(artifacts)
    sealed_at = (artifacts / "models" / listed[-1]["id"][:SHORT_ID]).stat().st_mtime if listed else 0.0
    for folder, problem in damaged_models(artifacts).items():
        if folder.stat().st_mtime >= sealed_at:
            raise ArtifactError(f"the latest model is damaged: {problem}; or name another by its id")
    if not listed:
        raise ArtifactError(f"{artifacts / 'models'}: no model is sealed yet; run `stockbot-hp train`")
    return str(listed[-1]["id"])


def _folders(models: Path) -> list[Path]:
    return sorted(path.parent for path in models.glob(f"[!.]*/{MANIFEST}"))


def current(artifacts: Path) -> str | None:
    """Id of the promoted model; None when nothing was promoted yet."""
    pointer = read_pointer(artifacts)
    return None if pointer is None else str(pointer["model"])


def read_pointer(artifacts: Path) -> dict[str, Any] | None:
    """Content of `current.json`: model, previous, reason, metrics, promoted_at.

    Raises:
        ArtifactError: the file is not what `promote` writes.
    """
    path = artifacts / "current.json"
    if not path.exists():
        return None
    mend = "make a model current again with `stockbot-hp promote MODEL`"
    try:
        pointer = json.loads(read_bytes(path))
    except ValueError as error:
        raise ArtifactError(f"{path}: not valid JSON ({error}); {mend}") from None
    if not isinstance(pointer, dict) or not isinstance(pointer.get("model"), str):
        raise ArtifactError(f"{path}: expected an object with `model`; {mend}")
    if not isinstance(pointer.get("previous"), str | None):
        raise ArtifactError(f"{path}: expected an id or null in `previous`, received {pointer['previous']!r}; {mend}")
    return pointer


def _one_folder(models: Path, prefix: str) -> Path:
    found = [folder for folder in _folders(models) if folder.name.startswith(prefix[:SHORT_ID])]
    if len(found) == 1:
        return found[0]
    what = "no model" if not found else f"{len(found)} models ({', '.join(sorted(path.name for path in found))})"
    raise ArtifactError(f"{models}: {what} with an id that begins with {prefix}; `stockbot-hp models` lists them")


def _config(path: Path, values: Mapping[str, Any]) -> Config:
    try:
        return parse_config(values, str(path / MANIFEST))
    except ConfigError as error:
        raise ArtifactError(f"{error}; made by another version: train again with this one") from None


def _scaler(path: Path, files: Mapping[str, bytes]) -> Scaler:
    try:
        return Scaler.from_json(json.loads(files["scaler.json"]))
    except DataError as error:
        raise ArtifactError(f"{path}: {error}; train again") from None


def _check_fit(bundle: Bundle, columns: list[str]) -> None:
    if not list(bundle.scaler.feature_columns) == columns == bundle.features:
        raise ArtifactError(
            f"{bundle.path}: the scaler's columns ({', '.join(bundle.scaler.feature_columns)}), "
            f"feature_columns.json ({', '.join(columns)}) and the manifest ({', '.join(bundle.features)}) "
            f"differ; train again"
        )
    expected = (bundle.lookback, len(columns))
    if bundle.model.window_shape != expected:
        raise ArtifactError(
            f"{bundle.path / 'model.onnx'}: takes windows of (rows, features) {bundle.model.window_shape}, "
            f"the manifest says {expected}; train again"
        )


def _check_golden(bundle: Bundle, content: bytes) -> None:
    with np.load(io.BytesIO(content), allow_pickle=False) as golden:
        windows, expected = golden["windows"], golden["outputs"]
    difference = float(np.max(np.abs(bundle.model.outputs(windows) - expected)))
    if not difference <= GOLDEN_TOLERANCE:
        raise ArtifactError(
            f"{bundle.path / 'golden.npz'}: the model's outputs differ by {difference:.1e} from what training "
            f"recorded, expected {GOLDEN_TOLERANCE:.0e} at most; check the onnxruntime version or train again"
        )
