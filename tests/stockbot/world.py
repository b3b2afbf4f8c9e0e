"""A small market with everything that the application needs: archive, store, and a sealed model without training.

The model is a fixed linear map of the window, written as ONNX by hand: real files, real inference, no TensorFlow.
"""

import dataclasses
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from pipelines.files import pretty_json
from pipelines.scaling import Scaler
from pipelines.store import FeatureStore
from stockbot.build import build_features
from stockbot.bundle import Bundle
from stockbot.config import Config, load_config
from stockbot.inference import OnnxModel
from stockbot.promote import promote
from stockbot.sample_data import generate
from stockbot.sealing import seal

SETTINGS: dict[str, Any] = {
    "features": ["logret_1", "zscore_20", "ofi_5", "tod_sin"],
    "bars.kind": "time",
    "bars.size": "1m",
    "windows.lookback": 8,
    "labels.horizon": 3,
}
GAP_NS = 300 * 10**9


@dataclass(frozen=True)
class World:
    """Two days of history in a store, the next day as files, and a promoted model."""

    config: Config
    history: list[Path]
    today: list[Path]
    store: FeatureStore
    artifacts: Path
    bundle: Bundle


def make_world(folder: Path, **changes: Any) -> World:
    """Generate, build, seal and promote in `folder`; `section__key=value` changes the settings."""
    config = load_config(None, SETTINGS | {name.replace("__", "."): value for name, value in changes.items()})
    sample = generate(folder / "archive", symbols=2, days=3, ticks_per_day=4_000, seed=3)
    today = [path for path in sample.files if sample.days[-1].isoformat() in path.name]
    history = [path for path in sample.files if path not in today]
    store = build_features(history, config, folder / "store")[0].store
    artifacts = folder / "artifacts"
    bundle = Bundle.load(make_bundle(artifacts, config, store))
    promote(artifacts, bundle.id, "test")
    return World(config, history, today, store, artifacts, bundle)


def candle_world(folder: Path) -> World:
    """A store and a model of minute candles of one symbol, and their file as `today`."""
    source = write_candles(folder / "candles.csv", step_seconds=60)
    config = load_config(None, SETTINGS | {"features": ["logret_1", "zscore_5"], "source.symbol": "X"})
    store = build_features([source], config, folder / "store")[0].store
    artifacts = folder / "artifacts"
    bundle = Bundle.load(make_bundle(artifacts, config, store))
    promote(artifacts, bundle.id, "test")
    return World(config, [], [source], store, artifacts, bundle)


def write_candles(path: Path, *, step_seconds: int) -> Path:
    """Two hundred candles of a random walk."""
    close = 100 * np.exp(np.cumsum(np.random.default_rng(5).normal(0, 1e-3, 200)))
    rows = [f"{1_710_115_200 + step_seconds * i},{c},{c * 1.001},{c * 0.999},{c},5" for i, c in enumerate(close)]
    path.write_text("timestamp,open,high,low,close,volume\n" + "\n".join(rows) + "\n")
    return path


def make_bundle(artifacts: Path, config: Config, store: FeatureStore) -> Path:
    """Seal a linear model whose predictions spread about as wide as the round trip costs."""
    staging = artifacts / "staging"
    staging.mkdir(parents=True)
    rows = np.concatenate([store.read(symbol).select(config.features).to_numpy() for symbol in store.symbols])
    scaler = Scaler.fit(rows[np.isfinite(rows).all(axis=1)], config.features)
    lookback, width = config.windows.lookback, len(config.features)
    model = OnnxModel(linear_onnx(lookback, width))
    windows = np.random.default_rng(1).normal(size=(4, lookback, width)).astype(np.float32)
    np.savez(staging / "golden.npz", windows=windows, outputs=model.outputs(windows))
    (staging / "model.onnx").write_bytes(model.content)
    (staging / "scaler.json").write_bytes(pretty_json(scaler.to_json()))
    (staging / "feature_columns.json").write_bytes(pretty_json(config.features))
    manifest = {
        "features": config.features,
        "lookback": lookback,
        "horizon": config.labels.horizon,
        "objective": config.labels.objective,
        "target_scale": 1.0 if config.labels.objective == "direction" else 3e-4,
        "max_gap_ns": GAP_NS,
        "bars": dataclasses.asdict(store.bars),
        "source_kind": store.manifest["source_kind"],
        "row_step_ns": 60 * 10**9,
        "commit": "0123456789abcdef",
        "created_at": "2024-03-11T00:00:00Z",
        "metrics": {},
        "data_snapshot": store.snapshot,
        "data": {"test_start_ns": unseen_from(store)},
        "config": config.model_dump(mode="json"),
    }
    return seal(staging, artifacts / "models", manifest)[1]


def unseen_from(store: FeatureStore) -> int:
    """Midnight before the last day of the store: what the model is said not to have seen."""
    return int(np.datetime64(store.span()[1], "ns").astype(np.int64))


def linear_onnx(lookback: int, width: int) -> bytes:
    """A weighted sum of the window with weights that fall off into the past."""
    weights = np.linspace(0.1, 1.0, lookback * width, dtype=np.float32)[:, None] / np.float32(np.sqrt(lookback * width))
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["windows"], ["flat"], axis=1),
            helper.make_node("MatMul", ["flat", "weights"], ["prediction"]),
        ],
        "linear",
        [helper.make_tensor_value_info("windows", TensorProto.FLOAT, [None, lookback, width])],
        [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, [None, 1])],
        [numpy_helper.from_array(weights, "weights")],
    )
    opset = [helper.make_opsetid("", 17)]
    content: bytes = helper.make_model(graph, opset_imports=opset, ir_version=9).SerializeToString()
    return content


def copy_artifacts(world: World, folder: Path) -> Path:
    """A copy of the artifacts that a test may change."""
    return Path(shutil.copytree(world.artifacts, folder / "artifacts"))
