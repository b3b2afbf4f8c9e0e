"""One trial of a search: a run that is judged by validation windows alone and keeps no model."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipelines.files import writing
from pipelines.splits import Boundaries
from pipelines.store import FeatureStore
from stockbot.audit import audited
from stockbot.baselines import baselines, predictions
from stockbot.config import Config
from stockbot.evaluate import score
from stockbot.fit import Fitted, fit_model
from stockbot.inference import OnnxModel
from stockbot.onnx_graph import onnx_bytes
from stockbot.run_folder import LOG, RunLog, at_work, record_origin
from stockbot.run_results import keep_history
from stockbot.scorecard import MODEL
from stockbot.training_set import TrainingSet, make_training_set


def try_out(
    run: Path,
    config: Config,
    store: FeatureStore,
    boundaries: Boundaries,
    *,
    device: str,
    on_epoch: Callable[[int, dict[str, float]], None],
) -> float:
    """Train as `train` does, audit included, and give the least validation loss of an epoch.

    Args:
        run: its folder. boundaries: where time is cut, the same for all trials. on_epoch: as `fit_model` takes it.

    Raises:
        What `train` raises, and what `on_epoch` does.
    """
    log = RunLog(run / LOG, None)
    with at_work(run, log), writing(run), tempfile.TemporaryDirectory() as folder:
        data = make_training_set(config, store, boundaries)
        record_origin(run, data.config, store, device)
        audited(data, store, log.line)
        fitted = fit_model(data, Path(folder), device=device, report=log.line, on_epoch=on_epoch)
        keep_history(run, fitted, _metrics(data, fitted))
    return fitted.history[fitted.best_epoch - 1]["val_loss"]


def _metrics(data: TrainingSet, fitted: Fitted) -> dict[str, Any]:
    """Scores on validation windows, as the metrics of a training, and nothing of the test part."""
    windows = data.split.validation
    labels, objective = data.labels_of(windows.starts()), data.config.labels.objective
    said = predictions(data, OnnxModel(onnx_bytes(fitted.model)), windows, baselines(data))
    scores = {who: score(each[:], labels, objective) for who, each in said.items()}
    part = {"windows": len(windows), **scores.pop(MODEL), "baselines": scores}
    best = fitted.history[fitted.best_epoch - 1]
    return {"epochs": len(fitted.history), "best_epoch": fitted.best_epoch, "keras": best, "validation": part}
