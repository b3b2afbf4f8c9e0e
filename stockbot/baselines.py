"""What simple guesses reach: a model that does not beat them has learned nothing."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from kernels.arrays import Floats
from pipelines.columns import Column, blocks_of
from pipelines.window_runs import WindowRuns
from stockbot.inference import BATCH_WINDOWS, OnnxModel
from stockbot.scorecard import MODEL
from stockbot.training_set import TrainingSet

TRIVIAL = ("zero", "last")  # need no training at all
Guess = Callable[[WindowRuns], Iterator[Floats]]


def baselines(data: TrainingSet) -> dict[str, Guess]:
    """What a model has to beat, each a function from windows to predictions in natural units, a block after another.

    `zero`: the price stays (or a fair coin). `last`: the last HORIZON rows repeat themselves. `least_squares`: a
    linear fit of the training labels on the features of the decision row.
    """
    direction = data.config.labels.objective == "direction"
    coefficients = _least_squares(data)

    def zero(runs: WindowRuns) -> Iterator[Floats]:
        for part in blocks_of(len(runs)):
            yield np.full(part.stop - part.start, 0.5 if direction else 0.0)

    def last(runs: WindowRuns) -> Iterator[Floats]:
        for part in blocks_of(len(runs)):
            starts = runs.starts(part.start, part.stop)
            decision = starts + data.config.windows.lookback - 1
            back = np.maximum(decision - data.config.labels.horizon, starts)
            moves = np.log(data.panel.close[decision] / data.panel.close[back])
            # As a probability a repeated direction is no certainty: a quarter either side of even.
            yield 0.5 + 0.25 * np.sign(moves) if direction else moves

    def least_squares(runs: WindowRuns) -> Iterator[Floats]:
        for _, rows in data.decided(runs):
            fitted = _with_ones(rows) @ coefficients
            yield np.clip(fitted, 0.0, 1.0) if direction else fitted

    return {"zero": zero, "last": last, "least_squares": least_squares}


def predictions(
    data: TrainingSet, model: OnnxModel, runs: WindowRuns, guesses: Mapping[str, Guess]
) -> dict[str, Column]:
    """What a model and each baseline say of some windows, ascending; (windows,) in natural units."""
    batches = (model.outputs(batch.inputs) for batch in data.batches(runs, BATCH_WINDOWS))
    said = data.panel.kept((outputs.astype(np.float64) * data.target_scale for outputs in batches), np.float64)
    return {MODEL: said, **{name: data.panel.kept(guess(runs), np.float64) for name, guess in guesses.items()}}


def judge(test: Mapping[str, Any]) -> str:
    """Which of these guesses the model beats on the test windows beyond chance, said either way, in one line."""
    behind = unbeaten(test)
    if not behind:
        return (
            f"the model beats every baseline ({', '.join(test['baselines'])}) beyond chance "
            f"on {test['windows']} test windows"
        )
    named = [f"{name} (chance explains its lead)" if leads(test, name) else name for name in behind]
    return f"the model does NOT beat {', '.join(named)} on {test['windows']} test windows"


def unbeaten(test: Mapping[str, Any]) -> list[str]:
    """Names of the guesses that the model does not beat beyond chance, as `Scorecard.unbeaten` has them."""
    return list(test["statistics"]["unbeaten"])


def leads(test: Mapping[str, Any], name: str) -> bool:
    """Whether the model's loss is the lower one, by chance or not."""
    return bool(test["loss"] < test["baselines"][name]["loss"])


def _with_ones(rows: np.ndarray) -> np.ndarray:
    return np.column_stack([rows.astype(np.float64), np.ones(len(rows))])


def _least_squares(data: TrainingSet) -> np.ndarray:
    """Coefficients of the normal equations, summed block by block; collinear columns share their weight."""
    width = len(data.panel.features) + 1
    gram, moment = np.zeros((width, width)), np.zeros(width)
    for starts, decided in data.decided(data.split.train):
        rows = _with_ones(decided)
        gram += rows.T @ rows
        moment += rows.T @ data.labels_of(starts)
    return np.asarray(np.linalg.lstsq(gram, moment, rcond=None)[0])
