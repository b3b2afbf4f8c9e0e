"""A bundle is whole or refused: every file, the id, the fit of its parts, and the golden outputs."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.files import canonical_json, pretty_json, sha256_bytes, sha256_file
from stockbot.bundle import Bundle, damaged_models, list_models, resolve
from stockbot.errors import ArtifactError, UsageError
from stockbot.sealing import SCHEMA, seal
from tests.stockbot.markets import FEATURES

FILES = [
    "best_model.h5", "best_model.keras", "config.yaml", "feature_columns.json", "final_model.keras", "golden.npz",
    "model.onnx", "scaler.json", "scaler.pkl", "training_log.txt",
]  # fmt: skip


@pytest.fixture
def copied(sealed: Path, tmp_path: Path) -> Path:
    """A bundle of one's own, inside `models` of a fresh artifacts folder."""
    return shutil.copytree(sealed, tmp_path / "artifacts" / "models" / sealed.name)


def resealed(bundle: Path, name: str, content: bytes) -> Path:
    """The same bundle with one file replaced and a manifest that agrees with it."""
    staging = bundle.parent / "staging"
    shutil.copytree(bundle, staging)
    manifest = json.loads((staging / "manifest.json").read_bytes())
    (staging / "manifest.json").unlink()
    (staging / name).write_bytes(content)
    return seal(staging, bundle.parent, manifest)[1]


def test_the_id_is_the_hash_of_the_canonical_manifest_and_names_the_folder(sealed: Path) -> None:
    bundle = Bundle.load(sealed)
    manifest = json.loads((sealed / "manifest.json").read_bytes())
    assert bundle.id == sha256_bytes(canonical_json(manifest))
    assert sealed.name == bundle.short_id == bundle.id[:16]


def test_the_manifest_holds_what_a_run_must_remember(sealed: Path) -> None:
    manifest = Bundle.load(sealed).manifest
    # Whoever changes a key raises `SCHEMA` with it: old bundles must be refused, not misread.
    assert SCHEMA == 5
    assert set(manifest) == {
        "schema", "features", "lookback", "horizon", "objective", "target_scale", "max_gap_ns", "row_step_ns", "bars",
        "source_kind", "seed", "commit", "dirty", "data_snapshot", "data", "config", "library_versions", "metrics",
        "model_path", "onnx_max_difference", "created_at", "files", "audit", "training",
    }  # fmt: skip
    assert set(manifest["data"]) == {
        "store", "rows", "symbols", "first", "last", "validation_start_ns", "test_start_ns", "train_windows",
        "validation_windows", "test_windows", "placement",
    }  # fmt: skip
    assert manifest["features"] == FEATURES
    assert (sealed / manifest["model_path"]).is_file()
    assert sorted(manifest["files"]) == FILES
    assert all(sha256_file(sealed / name) == entry["sha256"] for name, entry in manifest["files"].items())
    assert manifest["onnx_max_difference"] < 1e-5
    assert manifest["config"]["bars"]["kind"] == "none"


def test_predictions_are_in_natural_units(sealed: Path) -> None:
    bundle = Bundle.load(sealed)
    windows = np.random.default_rng(0).standard_normal((4, bundle.lookback, len(FEATURES)), dtype=np.float32)
    assert bundle.predict(windows).dtype == np.float64
    np.testing.assert_array_equal(
        bundle.predict(windows), bundle.model.outputs(windows).astype(float) * bundle.target_scale
    )
    assert 0.0 < bundle.target_scale < 0.1
    rows = windows.reshape(-1, len(FEATURES))
    np.testing.assert_allclose(bundle.predict_at(rows, np.arange(0, 24, 6)), bundle.predict(windows), atol=1e-8)


@pytest.mark.parametrize("name", FILES)
def test_one_flipped_bit_in_any_file_is_found(copied: Path, name: str) -> None:
    content = bytearray((copied / name).read_bytes())
    content[len(content) // 2] ^= 1
    expected = sha256_file(copied / name)
    (copied / name).write_bytes(content)
    with pytest.raises(ArtifactError) as caught:
        Bundle.load(copied)
    received = sha256_bytes(bytes(content))
    assert all(part in str(caught.value) for part in (str(copied / name), expected, received))
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 1


def test_a_missing_file_or_a_link_in_its_place_is_found(copied: Path, tmp_path: Path) -> None:
    (copied / "scaler.pkl").rename(tmp_path / "elsewhere.pkl")
    with pytest.raises(ArtifactError, match=r"scaler\.pkl: cannot be read: No such file"):
        Bundle.load(copied)
    (copied / "scaler.pkl").symlink_to(tmp_path / "elsewhere.pkl")
    with pytest.raises(ArtifactError, match=r"scaler\.pkl: expected a plain file"):
        Bundle.load(copied)


def test_a_changed_manifest_no_longer_fits_its_folder(copied: Path) -> None:
    manifest = json.loads((copied / "manifest.json").read_bytes()) | {"horizon": 99}
    (copied / "manifest.json").write_bytes(canonical_json(manifest))
    with pytest.raises(ArtifactError, match=f"altered or moved: expected .* {copied.name}, received"):
        Bundle.load(copied)


def rewritten(bundle: Path, manifest: dict[str, Any]) -> Path:
    """The bundle as it would be with another manifest, under the name that fits it."""
    content = canonical_json(manifest)
    (bundle / "manifest.json").write_bytes(content)
    return bundle.rename(bundle.with_name(sha256_bytes(content)[:16]))


@pytest.mark.parametrize("lost", ["schema", "row_step_ns"])
def test_a_manifest_of_another_version_is_one_line(copied: Path, lost: str) -> None:
    manifest = json.loads((copied / "manifest.json").read_bytes())
    del manifest[lost]
    with pytest.raises(ArtifactError, match=r"manifest\.json: made by another version .*; train again with this one"):
        Bundle.load(rewritten(copied, manifest))


def test_settings_of_another_version_are_an_artifact_that_does_not_fit(copied: Path) -> None:
    manifest = json.loads((copied / "manifest.json").read_bytes())
    manifest["config"]["model"]["loss"] = "binary_crossentropy"
    with pytest.raises(ArtifactError, match=r"`model\.loss`: expected one of .*; made by another version: train again"):
        Bundle.load(rewritten(copied, manifest))


def _scaler(change: dict[str, Any], bundle: Path) -> bytes:
    return pretty_json(json.loads((bundle / "scaler.json").read_bytes()) | change)


def test_a_scaler_of_other_columns_is_refused(copied: Path) -> None:
    other = resealed(copied, "scaler.json", _scaler({"feature_columns": [*FEATURES[:2], "ema_dev_9"]}, copied))
    with pytest.raises(ArtifactError, match=r"scaler's columns \(logret_1, ma_dev_5, ema_dev_9\).* differ"):
        Bundle.load(other)


def test_a_scaler_that_does_not_fit_itself_is_refused(copied: Path) -> None:
    other = resealed(copied, "scaler.json", _scaler({"center": [0.0]}, copied))
    with pytest.raises(ArtifactError, match="center has 1 numbers for 3 feature columns"):
        Bundle.load(other)


def test_a_feature_list_that_the_model_does_not_take_is_refused(copied: Path) -> None:
    manifest = json.loads((copied / "manifest.json").read_bytes())
    staging = shutil.copytree(copied, copied.parent / "short")
    (staging / "manifest.json").unlink()
    scaler = json.loads((staging / "scaler.json").read_bytes())
    scaler |= {name: scaler[name][:2] for name in ("feature_columns", "center", "scale", "variance")}
    (staging / "scaler.json").write_bytes(pretty_json(scaler))
    (staging / "feature_columns.json").write_bytes(pretty_json(FEATURES[:2]))
    path = seal(staging, copied.parent, manifest | {"features": FEATURES[:2]})[1]
    with pytest.raises(
        ArtifactError, match=r"takes windows of \(rows, features\) \(6, 3\), the manifest says \(6, 2\)"
    ):
        Bundle.load(path)


def test_other_golden_outputs_are_refused(copied: Path, tmp_path: Path) -> None:
    with np.load(copied / "golden.npz") as golden:
        np.savez(tmp_path / "golden.npz", windows=golden["windows"], outputs=golden["outputs"] + 2e-5)
    other = resealed(copied, "golden.npz", (tmp_path / "golden.npz").read_bytes())
    with pytest.raises(ArtifactError, match=r"golden\.npz: the model's outputs differ by 2\.\de-05"):
        Bundle.load(other)


def test_a_bundle_is_found_by_beginning_and_latest(copied: Path) -> None:
    artifacts = copied.parent.parent
    newer = resealed(copied, "training_log.txt", b"another\n")
    assert {entry["id"][:16] for entry in list_models(artifacts)} == {copied.name, newer.name}
    assert resolve(artifacts, copied.name[:9]).path == copied
    full = Bundle.load(copied).id
    assert resolve(artifacts, full).id == full
    assert resolve(artifacts, "latest").id == list_models(artifacts)[-1]["id"]
    with pytest.raises(UsageError, match=r"expected an id, the beginning of one, or `latest`, received ''"):
        resolve(artifacts, "")
    with pytest.raises(ArtifactError, match=r"no model with an id that begins with zzz; `stockbot-hp models` lists"):
        resolve(artifacts, "zzz")
    with pytest.raises(ArtifactError, match=f"expected id {copied.name}f, received" if full[16] != "f" else "expected"):
        resolve(artifacts, copied.name + ("f" if full[16] != "f" else "e"))


def test_a_damaged_bundle_is_named_and_latest_passes_over_it(copied: Path) -> None:
    artifacts = copied.parent.parent
    older, newer = copied, resealed(copied, "training_log.txt", b"another\n")
    manifests = {path: (path / "manifest.json").read_bytes() for path in (older, newer)}
    os.utime(older, (1_000, 1_000))
    os.utime(newer, (2_000, 2_000))

    (older / "manifest.json").write_bytes(manifests[older][:-20])
    assert list(damaged_models(artifacts)) == [older]
    assert "altered or moved" in damaged_models(artifacts)[older]
    assert [entry["id"][:16] for entry in list_models(artifacts)] == [newer.name]
    assert resolve(artifacts, "latest").path == newer

    (older / "manifest.json").write_bytes(manifests[older])
    (newer / "manifest.json").write_bytes(b"{}")
    with pytest.raises(
        ArtifactError, match=rf"the latest model is damaged: .*{newer.name}.*; or name another by its id"
    ):
        resolve(artifacts, "latest")
    assert resolve(artifacts, older.name).path == older


def test_a_hidden_folder_is_no_bundle(copied: Path) -> None:
    shutil.copytree(copied, copied.with_name(".tmp-0123abcd-bundle"))
    artifacts = copied.parent.parent
    assert len(list_models(artifacts)) == 1
    assert damaged_models(artifacts) == {}
    with pytest.raises(ArtifactError, match=r"no model with an id that begins with \.tmp"):
        resolve(artifacts, ".tmp-0123abcd-bundle")


def test_without_models_the_next_step_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"no current model; run `stockbot-hp promote latest`"):
        resolve(tmp_path)
    with pytest.raises(ArtifactError, match=r"no model is sealed yet; run `stockbot-hp train`"):
        resolve(tmp_path, "latest")


def test_loading_needs_neither_tensorflow_nor_pickle(sealed: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from stockbot import compare, evaluate, promote\n"
        "from stockbot.bundle import Bundle\n"
        "import pickle; pickle.loads = pickle.load = pickle.Unpickler = None\n"
        f"Bundle.load(Path({str(sealed)!r}))\n"
        "print(sorted({'tensorflow', 'keras', 'onnx'} & set(sys.modules)))"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
