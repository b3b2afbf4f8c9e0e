"""A feature store of rows without meaning, written once and kept."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.train.rows import FEATURES, HORIZON, LOOKBACK
from kernels.labels import horizon_return
from pipelines.batches import WindowLoader
from pipelines.parquet_writer import Codec, Encoding
from pipelines.parts import PartFile
from pipelines.row_groups import StoredRows
from pipelines.scaling import Scaler
from pipelines.scan import scan
from pipelines.store import FeatureStore
from pipelines.streamed import StreamedWindows

NAMES = [f"f{number}" for number in range(FEATURES)]
_PART = 500_000
_SECOND = 10**9
# Nothing to scale, so that rows equal those of the file beside them; the division takes its time all the same.
_SCALER = Scaler("standard", tuple(NAMES), np.zeros(FEATURES), np.ones(FEATURES), None, 1)


CODECS: tuple[Codec, ...] = ("lz4", "none", "zstd")


def folder(cache: Path, rows: int, codec: Codec) -> Path:
    """Where such a store is."""
    return cache / f"store-{codec}-{rows}"


def made(cache: Path, rows: int, codec: Codec, *, times: int = 1) -> FeatureStore:
    """A store of so many rows of one symbol, or of as many symbols as `times`, which share their files.

    `rows.f32` and `targets.f32` beside it hold the same rows as they lie in memory.
    """
    root = folder(cache, rows, codec)
    listed = root / "entries.json"
    if not listed.exists():
        root.mkdir(parents=True, exist_ok=True)
        listed.write_text(json.dumps(_written(root, rows, codec)), encoding="utf-8")
    entries = json.loads(listed.read_text(encoding="utf-8"))
    symbols = [f"S{number:03}" for number in range(times)]
    manifest: dict[str, Any] = {
        "features": NAMES, "bars": {"kind": "none", "size": 1}, "source_kind": "ticks", "snapshot": "",
        "partitions": [], "materialize": "all",
        "symbols": {symbol: {"open_bar": 0} for symbol in symbols},
        "files": [{**entry, "symbol": symbol} for symbol in symbols for entry in entries],
    }  # fmt: skip
    return FeatureStore(root, manifest)


def _written(root: Path, rows: int, codec: Codec) -> list[dict[str, Any]]:
    rng = np.random.default_rng(7)
    entries = []
    with open(root / "rows.f32", "wb") as plain, open(root / "targets.f32", "wb") as targets:
        for begin in range(0, rows, _PART):
            count = min(_PART, rows - begin)
            block = rng.standard_normal((FEATURES, count), dtype=np.float32)
            close = 100.0 + block[0].astype(np.float64)
            stamps = (begin + np.arange(count)) * _SECOND
            part = PartFile(root, "S000", f"{begin:012}", Encoding(codec))
            part.write({"timestamp": stamps, "close": close, "volume": close, **dict(zip(NAMES, block, strict=True))})
            entries.append(part.finish())
            plain.write(np.ascontiguousarray(block.T))
            targets.write(labels(close)[:, 0])
    return entries


def labels(close: np.ndarray) -> np.ndarray:
    """(rows, 1) float32, from prices of rows that follow one another."""
    return horizon_return(close, HORIZON)[:, None].astype(np.float32)


def streamed(store: FeatureStore) -> StreamedWindows:
    """All windows of it."""
    rows = StoredRows(store, NAMES)
    windows = scan(rows, max_gap_ns=None).windows(LOOKBACK, HORIZON)
    return StreamedWindows(rows, windows, lookback=LOOKBACK, horizon=HORIZON, scaler=_SCALER, targets=labels)


def loader(cache: Path, rows: int, codec: Codec, batch: int = 1024) -> WindowLoader:
    """All windows of such a store, streamed."""
    return WindowLoader(streamed(made(cache, rows, codec)), batch_size=batch, seed=1)
