"""Feature stores of many small row groups, with gaps and symbols of different lengths."""

from pathlib import Path

import numpy as np

from pipelines.bars import BarSpec
from pipelines.build import build_store
from pipelines.features import FeaturePlan
from pipelines.ingest import read_archive
from pipelines.parquet_writer import Encoding
from pipelines.schema import SourceHints
from pipelines.store import FeatureStore

FEATURES = ["logret_1", "rsi_wilder_5"]
MINUTE = 60 * 10**9
STEPS = {"AAA": [1] * 99, "BBB": [1] * 20 + [2000] + [1] * 30, "CCC": [1, 1], "DDD": [3, 1, 700, 1] * 30}


def gapped_store(folder: Path, *, group: int = 7, bars: BarSpec | None = None) -> FeatureStore:
    """Ticks at these steps in seconds, one row each unless bars are asked for; made once in a folder."""
    if (folder / "store").exists():
        return FeatureStore.open(folder / "store")
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["timestamp,symbol,price,volume"]
    for number, (symbol, steps) in enumerate(STEPS.items()):
        chance = np.random.default_rng(number)
        seconds = np.cumsum([1_704_067_200 + number, *steps])
        lines += [f"{second},{symbol},{100 + chance.normal():.3f},1.5" for second in seconds]
    (folder / "ticks.csv").write_text("\n".join(lines) + "\n")
    return build_store(
        read_archive([folder / "ticks.csv"], SourceHints()),
        bars=bars or BarSpec("none", 1),
        plan=FeaturePlan(FEATURES),
        out=folder / "store",
        config_text="",
        encoding=Encoding(row_group_rows=group),
    ).store
