"""The seed's smoke test: a sine wave of 100 rows, LOOKBACK 10, one epoch, the artefacts are there."""

import math
import pickle
from pathlib import Path

from pipelines.bars import BarSpec
from pipelines.build import build_store
from pipelines.features import FeaturePlan
from pipelines.ingest import read_archive
from pipelines.schema import SourceHints
from stockbot.bundle import Bundle
from stockbot.config import load_config
from stockbot.train import train

FEATURES = ["logret_1", "rsi_wilder_5"]


def test_sine_wave_trains_and_leaves_scaler_and_model(tmp_path: Path) -> None:
    rows = [f"{1_704_067_200 + row},{100.0 + math.sin(row / 5.0):.6f},1.0" for row in range(100)]
    (tmp_path / "tick_data.csv").write_text("\n".join(["timestamp,price,volume", *rows]) + "\n")
    config = load_config(
        None,
        {
            "features": FEATURES,
            "bars.kind": "none",
            "windows.lookback": 10,
            "labels.horizon": 1,
            "model.lstm_units": [8],
            "training.epochs": 1,
            "training.batch_size": 16,
        },
    )
    store = build_store(
        read_archive([tmp_path / "tick_data.csv"], SourceHints(symbol="SINE")),
        bars=BarSpec("none", 1),
        plan=FeaturePlan(config.features),
        out=tmp_path / "features",
        config_text=config.to_yaml(),
    ).store

    result = train(config, store, tmp_path / "artifacts")

    names = {path.name for path in result.path.iterdir()}
    assert names == {
        "manifest.json", "feature_columns.json", "scaler.json", "scaler.pkl", "best_model.keras", "final_model.keras",
        "best_model.h5", "model.onnx", "golden.npz", "training_log.txt", "config.yaml",
    }  # fmt: skip
    assert pickle.loads((result.path / "scaler.pkl").read_bytes()).n_features_in_ == len(FEATURES)
    bundle = Bundle.load(result.path)
    assert (bundle.lookback, bundle.features, bundle.id) == (10, FEATURES, result.model_id)
