"""The programs: ours by its public command, and the peers'."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.build.job import Job
from benchmarks.build.processes import ROOT, BenchError, Usage, run

OURS = "stockbot-hp"
BASE_COLUMNS = {  # beside the features: of a tick, of a bar
    False: ["timestamp", "close", "volume"],
    True: ["timestamp", "last_timestamp", "open", "high", "low", "close", "volume"],
}
RECURSIONS = ("rsi14", "ema12", "ema26", "macd", "signal")

# Largest difference of a value from ours, relative to the largest of its column. Rounding to float32 makes 6e-8 of a
# level and up to 2e-7 of a z-score; pandas' running sums drift to 1e-6 of one.
BOUND = 2e-6


@dataclass(frozen=True)
class Program:
    """A peer.

    Attributes:
        module: of this package. needs: what must be installed. has_bars: whether it also does bars of a second.
        missing: features it cannot make. grows: its memory grows with the archive, so it gets the first day only.
        by_hand: no library's way of doing it, but what is left when one writes all by hand for speed; it has a goal of
            its own.
    """

    name: str
    module: str
    needs: tuple[str, ...]
    has_bars: bool = True
    missing: tuple[str, ...] = ()
    grows: bool = False
    by_hand: bool = False

    @property
    def absent(self) -> list[str]:
        """What it needs and is not installed."""
        return [name for name in self.needs if importlib.util.find_spec(name) is None]

    def run(self, job: Job) -> Usage:
        return run("-m", "benchmarks.build.job", self.module, job.as_json(), out=Path(job.out))


PEERS = (
    Program("Polars lazy, by file", "polars_lazy", ("polars",)),
    Program("Polars over, one query", "polars_over", ("polars",), has_bars=False, grows=True),
    Program("polars-talib, by file", "polars_with_talib", ("polars", "polars_talib")),
    Program("TA-Lib + NumPy + pyarrow", "numpy_with_talib", ("talib", "pyarrow"), has_bars=False, by_hand=True),
    Program("pandas, by file", "pandas_files", ("pandas",)),
    Program("DuckDB, 16 of 21", "duckdb_sql", ("duckdb",), missing=RECURSIONS),
)
FLOOR = Program("floor", "floor", ())
CSV_SOURCE = Program("our reading alone", "csv_source", ())
POLARS_CSV = Program("Polars read_csv", "polars_csv", ("polars",))


def has_option(option: str) -> bool:
    """Whether the command knows an option."""
    return option in _help()


def run_ours(job: Job, more: Sequence[str] = (), bar_size: str = "1s") -> Usage:
    """Build a store at `out`/store.

    Raises:
        BenchError: it failed, or took in other rows than all.
    """
    settings = Path(job.out) / "settings.yaml"
    settings.write_text(json.dumps(_settings(job.codec)), encoding="utf-8")
    bars = ["--bars", "time", "--bar-size", bar_size] if job.bars else ["--bars", "none"]
    where = ["--out", str(store_of(job)), "--config", str(settings)]
    alone = ["--workers", "1"] if has_option("--workers") and "--workers" not in more else []
    usage = run(*_COMMAND, *job.files, *where, *bars, "--json", *alone, *more, out=Path(job.out))
    if usage.said["quarantined"]:
        raise BenchError(f"{OURS}: quarantined {usage.said['quarantined']} rows of an archive without bad ones")
    return usage


def store_of(job: Job) -> Path:
    return Path(job.out) / "store"


_COMMAND = ("-m", "stockbot", "build-features")


def _settings(codec: str) -> dict[str, object]:
    settings: dict[str, object] = {"features": ["set21"], "feature_modules": ["benchmarks.build.feature_set"]}
    if codec != "default":
        settings["store"] = {"codec": codec, "level": 1 if codec == "zstd" else None}
    return settings


@cache
def _help() -> str:
    command = [sys.executable, *_COMMAND, "--help"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
