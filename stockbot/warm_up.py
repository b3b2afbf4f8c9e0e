"""Compile ahead of use what builds and the live loop run, so that no first tick waits for the compiler."""

from time import perf_counter
from typing import Any

import numpy as np
from numba import float64

import kernels
from kernels.byte_streams import split_bytes
from kernels.compilation import CACHE_FOLDER
from kernels.delta_packing import pack_deltas
from kernels.row_sums import row_sum
from kernels.table import row_kernels
from pipelines.features import FeaturePlan, FeatureStream
from stockbot.build import bar_spec
from stockbot.config import Config


def warm_up(config: Config) -> dict[str, Any]:
    """Compile every public kernel, the bars, labels, windows and encoders, and the plan of the configured features.

    Returns:
        seconds it took, how many compiled forms it added to the cache, and where that is.
    """
    started, before = perf_counter(), _cached()
    for kernel in row_kernels().values():
        kernel.update.compile((float64[::1],) * (1 + len(kernel.inputs) + len(kernel.outputs)))
    _compile_the_rest()
    _compile_stream(config)
    return {
        "seconds": round(perf_counter() - started, 1),
        "added_to_cache": _cached() - before,
        "cache": CACHE_FOLDER and str(CACHE_FOLDER),
    }


def _cached() -> int:
    return len(list(CACHE_FOLDER.glob("*.nbc"))) if CACHE_FOLDER else 0


def _compile_the_rest() -> None:
    """What takes more than float64 vectors is compiled by a first use."""
    timestamp, price, volume = np.arange(3), np.array([1.0, 2.0, 1.0]), np.ones(3)
    for bars in (kernels.time_bars, kernels.tick_bars, kernels.volume_bars, kernels.dollar_bars):
        bars(timestamp, price, volume, 2)
    kernels.outlier_prints(np.ones(100))
    kernels.direction(kernels.horizon_return(price, 1))
    for dtype in (np.float32, np.float64):
        kernels.gather_windows(np.zeros((3, 1), dtype), np.zeros(1, np.int64), 2)
        split_bytes(np.zeros(3, dtype))
    pack_deltas(timestamp)
    for held in (price, np.frombuffer(price.tobytes())):  # what Polars lends is read-only
        row_sum(held)


def _compile_stream(config: Config) -> None:
    """The way of a tick through builds and the live loop: bars, engine, and every kernel of the features."""
    stream = FeatureStream(bar_spec(config.bars), FeaturePlan(config.features))
    stream.push_ticks(np.arange(3), np.array([1.0, 2.0, 1.0]), np.ones(3), np.ones(3))
    stream.flush()
