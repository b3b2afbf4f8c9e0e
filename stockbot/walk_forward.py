"""Training again and again as time goes on, each time judged on the stretch that follows."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.catalogue import expand
from pipelines.scan import walk_runs
from pipelines.splits import Scheme, iso
from pipelines.store import FeatureStore
from pipelines.window_runs import WindowRuns
from stockbot.audit import audited
from stockbot.baselines import baselines, predictions
from stockbot.config import Config
from stockbot.fit import fit_model
from stockbot.inference import OnnxModel
from stockbot.onnx_graph import onnx_bytes
from stockbot.scorecard import Scorecard, scorecard
from stockbot.training_set import TrainingSet, fitted_set, labelled_rows, with_store_bars

VALIDATION = 0.15  # where the settings state a date, which fits no fold


@dataclass(frozen=True)
class Walk:
    """Every window after the first stretch, predicted by a model that had not seen it.

    Attributes:
        card: of all of them together. folds: for each, its windows, the time it begins, and losses by predictor.
    """

    card: Scorecard
    folds: tuple[dict[str, Any], ...]


def walk(
    config: Config,
    store: FeatureStore,
    *,
    folds: int,
    scheme: Scheme,
    trials: int,
    device: str,
    report: Callable[[str], None],
) -> Walk:
    """Train for each fold as `train` does, audit included, and score all predictions as one.

    Args:
        trials: runs that were made. device: as `train` takes it. report: called with the lines of the log.

    Raises:
        DataError: too few windows. AuditError: something of the future may reach a fold.
    """
    predicted, told, runs = [], [], []
    for number, data in enumerate(_fold_sets(with_store_bars(config, store), store, folds, scheme), start=1):
        audit = audited(data, store, report)
        with tempfile.TemporaryDirectory() as folder:
            model = OnnxModel(onnx_bytes(fit_model(data, Path(folder), device=device, report=report).model))
        tested = data.all_windows(data.split.test)
        said = predictions(data, model, tested, baselines(data))
        card = scorecard(data, tested, said, config=config, trials=trials)
        told.append(_told(data, card, audit))
        report(f"fold {number} of {folds}  {_line(told[-1])}")
        predicted.append(said)
        runs.append(tested)
    starts = np.concatenate([tested.starts() for tested in runs])
    order = np.argsort(starts)
    together = {
        who: data.panel.kept([np.concatenate([said[who][:] for said in predicted])[order]], np.float64)
        for who in predicted[0]
    }
    card = scorecard(data, WindowRuns.of_starts(starts[order]), together, config=config, trials=trials)
    return Walk(card, tuple(told))


def _fold_sets(config: Config, store: FeatureStore, folds: int, scheme: Scheme) -> Iterator[TrainingSet]:
    rows = labelled_rows(config, store, expand(config.features))
    stated = config.split.validation
    parts = walk_runs(
        rows.panel,
        rows.windows,
        span=config.windows.lookback + config.labels.horizon,
        folds=folds,
        scheme=scheme,
        validation=stated if isinstance(stated, float) else VALIDATION,
        embargo=config.split.embargo,
    )
    for split, boundaries in parts:
        yield fitted_set(config, rows, split=split, boundaries=boundaries)


def _told(data: TrainingSet, card: Scorecard, audit: dict[str, Any]) -> dict[str, Any]:
    return {
        "train_windows": len(data.split.train),
        "test_windows": len(data.split.test),
        "test_begins": iso(data.boundaries.test_ns),
        "audit_passed": audit["passed"],
        "losses": {who: said["loss"].value for who, said in card.figures.items()},
        "unbeaten": card.unbeaten,
    }


def _line(fold: dict[str, Any]) -> str:
    losses = "  ".join(f"{who} {loss:.6g}" for who, loss in fold["losses"].items())
    return f"from {fold['test_begins']}  {fold['train_windows']:,} train  {fold['test_windows']:,} test  {losses}"
