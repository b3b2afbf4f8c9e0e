"""Small feature stores and configurations that train in a second or two."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.bars import BarSpec
from pipelines.build import build_store
from pipelines.features import FeaturePlan
from pipelines.ingest import read_archive
from pipelines.schema import SourceHints
from pipelines.store import FeatureStore
from stockbot.config import Config, load_config

FEATURES = ["logret_1", "ma_dev_5", "rsi_wilder_5"]
TINY: dict[str, Any] = {
    "features": FEATURES,
    "bars.kind": "none",
    "windows.lookback": 6,
    "labels.horizon": 2,
    "model.lstm_units": [4],
    "model.dropout": 0.0,
    "training.epochs": 1,
    "training.batch_size": 32,
    "promotion.min_windows": 20,
}


def tiny_config(**changes: Any) -> Config:
    """The smallest useful configuration; `section__key=value` changes it."""
    return load_config(None, TINY | {name.replace("__", "."): value for name, value in changes.items()})


def wave(rows: int, seed: int = 0) -> np.ndarray:
    """Prices that swing and jitter around 100: something to learn, never constant."""
    jitter = np.random.default_rng(seed).normal(0.0, 0.02, rows)
    return np.round(100.0 + np.sin(np.arange(rows) / 4.0) + jitter, 5)


def write_ticks(path: Path, prices: Mapping[str, np.ndarray], first_second: int = 0) -> Path:
    """A CSV of one tick a second for each symbol."""
    lines = ["timestamp,symbol,price,volume"]
    for symbol, series in prices.items():
        lines += [
            f"{1_704_067_200 + first_second + second},{symbol},{price},1.5" for second, price in enumerate(series)
        ]
    path.write_text("\n".join(lines) + "\n")
    return path


def make_store(folder: Path, prices: Mapping[str, np.ndarray], features: list[str] = FEATURES) -> FeatureStore:
    """A feature store with a row for each tick."""
    folder.mkdir(parents=True, exist_ok=True)
    source = write_ticks(folder / "tick_data.csv", prices)
    report = build_store(
        read_archive([source], SourceHints()),
        bars=BarSpec("none", 1),
        plan=FeaturePlan(features),
        out=folder / "store",
        config_text=tiny_config().to_yaml(),
    )
    return report.store
