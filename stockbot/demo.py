"""The whole way on a synthetic archive: ticks → features → model → signals of a day it has not seen → CSV, chart."""

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import polars as pl

from pipelines.build import append_store
from pipelines.ingest import read_archive
from pipelines.store import FeatureStore
from stockbot.baselines import judge
from stockbot.build import build_features, source_hints
from stockbot.bundle import resolve
from stockbot.chart_data import chart_of_rows
from stockbot.charts import save_chart
from stockbot.config import Config, load_config
from stockbot.errors import UsageError
from stockbot.evaluate import Rule
from stockbot.export import TIME_FORMAT, export
from stockbot.live.replay import ReplayRequest, replay
from stockbot.live.signals import read_signals
from stockbot.sample_data import PLANTED, generate
from stockbot.scored import scored_rows

Progress = Callable[[int, int], None]
Stage = Callable[[str, str], AbstractContextManager[Progress]]

DAYS = 10  # nine to learn from, across a weekend, and one to replay
MARKER = ".stockbot-demo"
SETTINGS = {
    "bars.kind": "time", "bars.size": "1m", "labels.horizon": 5, "windows.lookback": 32,
    "features": ["logret_1", "logret_5", "rvol_20", "vol_z_20", "ofi_1", "ofi_5"],
    "model.lstm_units": [32], "model.dropout": 0.3, "training.epochs": 12, "training.batch_size": 512,
    "training.learning_rate": 1e-3, "training.patience": 3,
}  # fmt: skip


@dataclass(frozen=True)
class _Places:
    """Where the parts of a demo go."""

    folder: Path

    @property
    def archive(self) -> Path:
        return self.folder / "archive"

    @property
    def store(self) -> Path:
        return self.folder / "features"

    @property
    def signals(self) -> Path:
        return self.folder / "signals.txt"

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"


def run_demo(
    folder: Path, *, days: int = DAYS, seed: int = 7, ticks_per_day: int = 40_000, stage: Stage
) -> dict[str, Any]:
    """Go the whole way in `folder`, made anew each time; returns the paths and the key figures.

    Args:
        days: of the archive; the last one is replayed, the others train.
        stage: called with a description and a unit for each part; gives the progress callable of that part.

    Raises:
        UsageError: `folder` holds something that is no earlier demo.
    """
    started = perf_counter()
    places = _Places(folder)
    _prepare(folder)
    config = load_config(None, SETTINGS | {"training.seed": seed})
    places.config.write_text(config.to_yaml(), encoding="utf-8")
    with stage("sample data", "files") as advance:
        sample = generate(places.archive, days=days, ticks_per_day=ticks_per_day, seed=seed, progress=advance)
    held_out = sample.days[-1].isoformat()
    history = [path for path in sample.files if held_out not in path.name]
    today = [path for path in sample.files if held_out in path.name]
    result: dict[str, Any] = {"note": PLANTED, "ticks_generated": sample.rows, "bad_rows_planted": sample.bad_rows}
    result |= _build(history, config, places, stage)
    result |= _train(config, places, stage)
    result |= {"held_out_day": held_out} | _replay(today, config, places, stage)
    result |= _show(today, sample.days[-1], config, places, stage)
    return result | {"seconds": round(perf_counter() - started, 1)}


def _prepare(folder: Path) -> None:
    """An empty folder with our marker; only a folder with the marker is ever emptied."""
    if folder.exists() and any(folder.iterdir()) and not (folder / MARKER).exists():
        raise UsageError(f"{folder}: is not empty and holds no earlier demo; give another --out")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / MARKER).touch()


def _build(sources: list[Path], config: Config, places: _Places, stage: Stage) -> dict[str, Any]:
    started = perf_counter()
    with stage("reading", "files") as reading, stage("features", "rows") as building:
        report, _ = build_features(
            sources,
            config,
            places.store,
            reading=reading,
            building=lambda done, total, partitions: building(done, total),
        )
    seconds = perf_counter() - started
    return {
        "rows_in": report.rows_in,
        "rows_out": report.rows_out,
        "quarantined": report.quarantined,
        "build_ticks_per_second": round(report.rows_in / seconds),
        "feature_rows": report.feature_rows,
        "features": len(report.store.features),
    }


def _train(config: Config, places: _Places, stage: Stage) -> dict[str, Any]:
    from stockbot.promote import promote
    from stockbot.train import train  # TensorFlow: seconds to import, and only needed here

    started = perf_counter()
    with stage("training", "windows") as advance:
        result = train(config, FeatureStore.open(places.store), places.folder, progress=advance)
    promote(places.folder, result.model_id, "demo")
    test = result.metrics["test"]
    return {
        "model": result.model_id,
        "training_seconds": round(perf_counter() - started, 1),
        "test_loss": test["loss"],
        "test_directional_accuracy": test["directional_accuracy"],
        "baseline_losses": {name: scores["loss"] for name, scores in test["baselines"].items()},
        "verdict": judge(test),
    }


def _replay(sources: list[Path], config: Config, places: _Places, stage: Stage) -> dict[str, Any]:
    request = ReplayRequest(
        sources=sources,
        hints=source_hints(config.source),
        artifacts=places.folder,
        signals=places.signals,
        settings=config,
        warm_start=places.store,
    )
    with stage("live replay", "ticks") as advance:
        report = replay(request, progress=advance)
    kept = ("signals", "skipped", "latency_p50_us", "latency_p99_us", "rows_per_second", "signals_file")
    return {"replayed_ticks": report["rows"]} | {name: report[name] for name in kept}


def _show(today: list[Path], day: date, config: Config, places: _Places, stage: Stage) -> dict[str, Any]:
    """Append the held-out day to the store, export everything, and draw the day for each symbol."""
    store = FeatureStore.open(places.store)
    append_store(store, read_archive(today, source_hints(config.source)))
    store = FeatureStore.open(places.store)
    bundle = resolve(places.folder)
    with stage("export", "symbols") as advance:
        report = export(store, places.folder / "export.csv", bundle=bundle, progress=advance)
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    worth, charts = {}, []
    with stage("charts", "symbols") as advance:
        for symbol in store.symbols:
            rows = scored_rows(store, symbol, bundle, Rule.of(config))
            data = chart_of_rows(rows, bundle, settings=config, span=(midnight, None))
            charts.append(places.folder / "charts" / f"{symbol}_{day.isoformat()}.png")
            save_chart(data, charts[-1])
            figures = {"signal": data.net_return, "hold": data.hold_return, "turnover": data.turnover}
            worth[symbol] = {name: round(value, 5) for name, value in figures.items()}
            advance(len(charts), len(store.symbols))
    return {
        "net_return_after_costs": worth,
        **_agreement(places.signals, report.path),
        "csv": str(report.path),
        "csv_rows": report.rows,
        "charts": [str(path) for path in charts],
    }


def _agreement(signals: Path, exported: Path) -> dict[str, int]:
    """How many lines the live runner wrote, and how many of them the batch export repeats: symbol, bar, action."""
    live = read_signals(signals).select("symbol", "bar", "action")
    batch = pl.read_csv(exported, columns=["symbol", "timestamp", "action"])
    batch = batch.with_columns(pl.col("timestamp").str.to_datetime(TIME_FORMAT, time_unit="ns", time_zone="UTC"))
    same = live.join(batch, left_on=["symbol", "bar", "action"], right_on=["symbol", "timestamp", "action"])
    return {"live_lines": live.height, "live_lines_that_equal_the_batch": same.height}
