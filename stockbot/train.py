"""One training run: data in, a sealed bundle out; one that was killed goes on from its last checkpoint."""

import pickle
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.columns import Column
from pipelines.files import pretty_json, staging_beside, writing
from pipelines.splits import usual_step
from pipelines.store import FeatureStore
from pipelines.window_runs import WindowRuns
from stockbot.agreed import meet_workers
from stockbot.audit import audited
from stockbot.baselines import baselines, judge, predictions
from stockbot.config import Config
from stockbot.errors import ArtifactError, StockbotError
from stockbot.evaluate import score
from stockbot.fit import Fitted, fit_model
from stockbot.fit.devices import require_devices
from stockbot.inference import OnnxModel
from stockbot.model import require_factory
from stockbot.onnx_graph import onnx_bytes
from stockbot.provenance import git_state, library_versions, utc_now
from stockbot.run_folder import CONFIG, LOG, RunLog, at_work, config_hash, new_run, record_origin, record_run, resumable
from stockbot.run_results import keep_history, keep_model
from stockbot.scorecard import MODEL, count_runs, scorecard
from stockbot.sealing import seal
from stockbot.tally import stretches
from stockbot.training_set import TrainingSet, make_training_set

ONNX_TOLERANCE = 1e-4  # in model units
CHECKED_WINDOWS = 256
GOLDEN_WINDOWS = 8


@dataclass(frozen=True)
class TrainResult:
    """What a run produced.

    Attributes:
        model_id: 64 hex digits.
        path: the bundle. run: folder with the log and the resolved configuration.
        metrics: `validation` and `test`, each with the model's scores and those of the baselines.
    """

    model_id: str
    path: Path
    run: Path
    manifest: Mapping[str, Any]
    metrics: Mapping[str, Any]


def train(
    config: Config,
    store: FeatureStore,
    artifacts: Path,
    *,
    device: str = "auto",
    progress: Callable[[int, int], None] | None = None,
    report: Callable[[str], None] | None = None,
) -> TrainResult:
    """Train a model on a store and seal it under `artifacts/models`.

    Args:
        device: as `fit.devices.open_devices` takes it: `auto`, `cpu`, `gpu`, a number, or names such as `gpu:1`.
        progress: called with (windows seen, windows of all epochs).
        report: called with each line of the training log.

    Raises:
        DataError: the store does not hold what the configuration needs. ConfigError: an unknown model or loss.
        AuditError: something of the future may reach training.
        ArtifactError: `artifacts` cannot be written. StockbotError: training diverged, or ONNX differs from Keras.
    """
    run = new_run(artifacts, config)
    return _run(run, config, store, device=device, progress=progress, report=report)


def resume(
    run: Path,
    config: Config,
    store: FeatureStore,
    *,
    device: str = "auto",
    progress: Callable[[int, int], None] | None = None,
    report: Callable[[str], None] | None = None,
) -> TrainResult:
    """Go on with a run that was killed or interrupted, from its last checkpoint; the rest as `train`.

    Args:
        run: its folder. config: what it keeps in `config.yaml`. store: with the rows that it began with.

    Raises:
        ArtifactError: it is done, never trained, or the store holds other rows. What `train` raises.
    """
    record = resumable(run)
    if store.snapshot != record["snapshot"]:
        raise ArtifactError(
            f"{run}: the run trains on snapshot {record['snapshot'][:16]}, {store.path} holds {store.snapshot[:16]}: "
            f"name the store that it began with, or start a new run"
        )
    return _run(run, config, store, device=device, progress=progress, report=report)


def assist(
    config: Config,
    store: FeatureStore,
    *,
    device: str = "auto",
    run: Path | None = None,
    report: Callable[[str], None] | None = None,
) -> None:
    """Train as one of several workers that is not the first, which alone keeps and seals what comes out.

    Args:
        device: as `train` takes it.
        run: the folder of a run to go on with, which this process must be able to read; None for a new one.
    """
    require_devices(device)
    with meet_workers(config, store, run) as begin:
        data = make_training_set(config, store)
        begin()
    with tempfile.TemporaryDirectory() as folder:
        fit_model(data, Path(folder), device=device, run=run, report=report)


def _run(
    run: Path,
    config: Config,
    store: FeatureStore,
    *,
    device: str,
    progress: Callable[[int, int], None] | None,
    report: Callable[[str], None] | None,
) -> TrainResult:
    log = RunLog(run / LOG, report)
    artifacts = run.parent.parent
    # The bundle is made beside all runs, not inside this one: the next training removes what a killed one left.
    with at_work(run, log), writing(artifacts), staging_beside(run.with_name("bundle")) as staging:
        log.line(f"run {run.name}  store {store.path}  snapshot {store.snapshot[:16]}")
        result = _train(config, store, artifacts, staging=staging, log=log, device=device, progress=progress)
        record_run(run, {"model": result.model_id})
        log.line(f"sealed {result.model_id}")
    return result


def _train(
    config: Config,
    store: FeatureStore,
    artifacts: Path,
    *,
    staging: Path,
    log: RunLog,
    device: str,
    progress: Callable[[int, int], None] | None,
) -> TrainResult:
    run = log.path.parent
    require_devices(device)  # before the work that they are for
    require_factory(config)
    with meet_workers(config, store, run) as begin:
        data = _prepared(config, store, log=log, device=device)
        audit = audited(data, store, log.line)
        begin()
    fitted = fit_model(data, staging, device=device, run=run, progress=progress, report=log.line)
    model, difference = _write_onnx(data, fitted, staging)
    predicted = _predicted(data, model)
    metrics = _metrics(data, predicted, fitted, count_runs(artifacts))
    _log_metrics(log, metrics)
    keep_history(run, fitted, metrics)
    compared = {
        part: (said[MODEL], data.panel.kept([data.labels_of(every.starts())], np.float64), stretches(data, every))
        for part, (every, said) in predicted.items()
    }
    keep_model(run, fitted, model.content, compared, data.config.labels.objective)
    _write_documents(data, staging)
    manifest = _manifest(data, store, metrics, difference) | {"audit": audit, "training": fitted.about}
    (staging / LOG).write_bytes(log.path.read_bytes())
    model_id, path = seal(staging, artifacts / "models", manifest)
    return TrainResult(model_id, path, run, manifest, metrics)


def _prepared(config: Config, store: FeatureStore, *, log: RunLog, device: str) -> TrainingSet:
    data = make_training_set(config, store)
    record_origin(log.path.parent, data.config, store, device)
    about = data.describe()
    log.line(f"config {config_hash(data.config)}  features {len(data.panel.features)}")
    log.line(f"rows {about['rows']:,} {data.placement}  loader.budget {data.config.loader.budget}")
    log.line("  ".join(f"{part} {about[f'{part}_windows']}" for part in ("train", "validation", "test")))
    if data.left_out:
        log.line(f"left out: {data.left_out}")
    return data


def _write_onnx(data: TrainingSet, fitted: Fitted, staging: Path) -> tuple[OnnxModel, float]:
    """Write `model.onnx` and `golden.npz`, and prove that both engines agree on windows from the whole span."""
    model = OnnxModel(onnx_bytes(fitted.model))
    windows = _spread_windows(data)
    # Called, not predict_on_batch: over several devices that returns the batch once for each device.
    expected = np.asarray(fitted.model(windows, training=False))[:, 0]
    difference = float(np.max(np.abs(model.outputs(windows) - expected)))
    if not difference <= ONNX_TOLERANCE:
        raise StockbotError(
            f"onnx: outputs differ from Keras by {difference:.1e}, expected {ONNX_TOLERANCE:.0e} at most; "
            f"a layer of {data.config.model.factory!r} is translated wrongly: see stockbot/onnx_graph.py"
        )
    golden = np.unique(np.linspace(0, len(windows) - 1, GOLDEN_WINDOWS).astype(np.int64))
    np.savez(staging / "golden.npz", windows=windows[golden], outputs=expected[golden])
    (staging / "model.onnx").write_bytes(model.content)
    return model, difference


def _spread_windows(data: TrainingSet) -> np.ndarray:
    """Windows of all parts, evenly spread over them, (windows, lookback, features)."""
    parts = (data.split.train, data.split.validation, data.split.test)
    before = np.cumsum([0, *map(len, parts)])
    numbers = np.unique(np.linspace(0, before[-1] - 1, CHECKED_WINDOWS).astype(np.int64))
    own = [numbers[(numbers >= first) & (numbers < end)] - first for first, end in pairwise(before)]
    starts = np.sort(np.concatenate([part.at(mine) for part, mine in zip(parts, own, strict=True)]))
    return next(data.batches(WindowRuns.of_starts(starts), len(starts))).inputs


def _write_documents(data: TrainingSet, staging: Path) -> None:
    scaler = {**data.scaler.to_json(), "target_scale": data.target_scale}
    (staging / "scaler.json").write_bytes(pretty_json(scaler))
    (staging / "scaler.pkl").write_bytes(pickle.dumps(data.scaler.to_sklearn()))
    (staging / "feature_columns.json").write_bytes(pretty_json(list(data.panel.features)))
    (staging / CONFIG).write_text(data.config.to_yaml(), encoding="utf-8")


def _predicted(data: TrainingSet, model: OnnxModel) -> dict[str, tuple[WindowRuns, dict[str, Column]]]:
    """For each part its windows, and what the model that will run, the ONNX one, and each baseline say of them."""
    guesses = baselines(data)
    predicted = {}
    for part, runs in {"validation": data.split.validation, "test": data.split.test}.items():
        every = data.all_windows(runs)
        predicted[part] = (every, predictions(data, model, every, guesses))
    return predicted


def _metrics(
    data: TrainingSet,
    predicted: Mapping[str, tuple[WindowRuns, Mapping[str, Column]]],
    fitted: Fitted,
    trials: int,
) -> dict[str, Any]:
    """Scores of the model beside those of the baselines."""
    metrics: dict[str, Any] = {"epochs": len(fitted.history), "best_epoch": fitted.best_epoch}
    metrics["keras"] = fitted.history[fitted.best_epoch - 1]
    for part, (every, said) in predicted.items():
        scores = _scores(data, every, said)
        metrics[part] = {
            "windows": len(getattr(data.split, part)),
            **scores.pop(MODEL),
            "baselines": scores,
            "statistics": scorecard(data, every, said, config=data.config, trials=trials).to_json(),
        }
    return metrics


def _scores(data: TrainingSet, windows: WindowRuns, said: Mapping[str, Column]) -> dict[str, dict[str, float]]:
    """Of those windows that have a label."""
    labels = data.labels_of(windows.starts())
    known = np.isfinite(labels)
    labels = labels[known]
    return {who: score(each[:][known], labels, data.config.labels.objective) for who, each in said.items()}


def _log_metrics(log: RunLog, metrics: Mapping[str, Any]) -> None:
    log.line(f"best epoch {metrics['best_epoch']} of {metrics['epochs']}")
    for part in ("validation", "test"):
        for name, scores in {"model": metrics[part], **metrics[part]["baselines"]}.items():
            figures = "  ".join(f"{key} {scores[key]:.6g}" for key in ("loss", "mae", "directional_accuracy"))
            log.line(f"{part} {name}  {figures}")
    log.line(judge(metrics["test"]))


def _manifest(data: TrainingSet, store: FeatureStore, metrics: Mapping[str, Any], difference: float) -> dict[str, Any]:
    config = data.config
    commit, dirty = git_state()
    return {
        "features": list(data.panel.features),
        "lookback": config.windows.lookback,
        "horizon": config.labels.horizon,
        "objective": config.labels.objective,
        "target_scale": data.target_scale,
        "max_gap_ns": data.max_gap_ns,
        "row_step_ns": usual_step(data.panel.timestamp, data.panel.offsets),
        "bars": store.manifest["bars"],
        "source_kind": store.manifest["source_kind"],
        "seed": config.training.seed,
        "commit": commit,
        "dirty": dirty,
        "data_snapshot": store.snapshot,
        "data": {"store": str(store.path), **data.describe()},
        "config": config.model_dump(mode="json"),
        "library_versions": library_versions(),
        "metrics": dict(metrics),
        "model_path": "model.onnx",
        "onnx_max_difference": difference,
        "created_at": utc_now(),
    }
