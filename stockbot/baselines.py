"""What simple guesses reach: a model that does not beat them has learned nothing."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from stockbot.training_set import TrainingSet

TRIVIAL = ("zero", "last")  # need no training at all
Guess = Callable[[np.ndarray], np.ndarray]
FIT_BLOCK = 65_536


def baselines(data: TrainingSet) -> dict[str, Guess]:
    """What a model has to beat, each a function from window starts to predictions in natural units.

    `zero`: the price stays (or a fair coin). `last`: the last HORIZON rows repeat themselves. `least_squares`: a
    linear fit of the training labels on the features of the decision row.
    """
    direction = data.config.labels.objective == "direction"
    coefficients = _least_squares(data)

    def zero(starts: np.ndarray) -> np.ndarray:
        return np.full(len(starts), 0.5 if direction else 0.0)

    def last(starts: np.ndarray) -> np.ndarray:
        decision = starts + data.config.windows.lookback - 1
        back = np.maximum(decision - data.config.labels.horizon, starts)
        moves = np.log(data.panel.close[decision] / data.panel.close[back])
        # As a probability a repeated direction is no certainty: a quarter either side of even.
        return np.asarray(0.5 + 0.25 * np.sign(moves) if direction else moves)

    def least_squares(starts: np.ndarray) -> np.ndarray:
        fitted = _decision_rows(data, starts) @ coefficients
        return np.clip(fitted, 0.0, 1.0) if direction else np.asarray(fitted)

    return {"zero": zero, "last": last, "least_squares": least_squares}


def judge(test: Mapping[str, Any]) -> str:
    """Which of these guesses the model beats on the test windows, said either way, in one line."""
    ahead = unbeaten(test)
    if not ahead:
        return f"the model beats every baseline ({', '.join(test['baselines'])}) on {test['windows']} test windows"
    return f"the model does NOT beat {', '.join(ahead)} on {test['windows']} test windows"


def unbeaten(test: Mapping[str, Any]) -> list[str]:
    """Names of the guesses whose loss on the same windows is no higher than the model's."""
    return [name for name, scores in test["baselines"].items() if not test["loss"] < scores["loss"]]


def _decision_rows(data: TrainingSet, starts: np.ndarray) -> np.ndarray:
    rows = data.matrix[starts + data.config.windows.lookback - 1].astype(np.float64)
    return np.column_stack([rows, np.ones(len(rows))])


def _least_squares(data: TrainingSet) -> np.ndarray:
    """Coefficients of the normal equations, summed block by block; collinear columns share their weight."""
    width = data.matrix.shape[1] + 1
    gram, moment = np.zeros((width, width)), np.zeros(width)
    for begin in range(0, len(data.split.train), FIT_BLOCK):
        starts = data.split.train[begin : begin + FIT_BLOCK]
        rows = _decision_rows(data, starts)
        gram += rows.T @ rows
        moment += rows.T @ data.labels_of(starts)
    return np.asarray(np.linalg.lstsq(gram, moment, rcond=None)[0])
