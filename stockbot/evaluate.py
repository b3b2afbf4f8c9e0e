"""How good predictions are, and what acting on them would have earned after costs."""

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np

from pipelines.splits import segments, window_starts
from stockbot.bundle import Bundle
from stockbot.config import Config, CostsConfig

BPS = 1e-4
LEAST_PROBABILITY = 1e-7  # keeps the logarithm of a certain and wrong prediction finite


@dataclass(frozen=True)
class Rule:
    """From a prediction to a position: above `up` long, below `down` short, between them flat.

    Attributes:
        up, down: predicted log return (regression) or P(up) (direction).
    """

    up: float
    down: float

    @classmethod
    def of(cls, config: Config) -> Self:
        """The rule that `live:` describes; by default a predicted move has to pay for its own round trip."""
        if config.labels.objective == "direction":
            return cls(config.live.min_probability, 1.0 - config.live.min_probability)
        threshold = config.live.threshold_bps
        bps = 2.0 * _side_bps(config.costs) if threshold == "costs" else threshold
        return cls(bps * BPS, -bps * BPS)

    @property
    def threshold(self) -> float:
        """What a prediction must exceed for a long position."""
        return self.up

    def position(self, prediction: float) -> Literal[-1, 0, 1]:
        """+1, 0 or -1; 0 for NaN."""
        return 1 if prediction > self.up else -1 if prediction < self.down else 0

    def positions(self, predictions: np.ndarray) -> np.ndarray:
        """The same for each row, (rows,) int8."""
        return (predictions > self.up).astype(np.int8) - (predictions < self.down).astype(np.int8)


def equity(close: np.ndarray, positions: np.ndarray, costs: CostsConfig) -> np.ndarray:
    """Cumulative log return of holding the positions, after costs, (rows,) float64.

    The position decided at the close of row t is held over rows t to t + 1. Each change of it pays the costs of
    one side for each unit changed: a turn from long to short is two units. The last row only pays. A position that
    stands before a gap is held across it.

    Args:
        close: (rows,) float64, prices above 0 of one symbol in time order.
        positions: (rows,) int8, +1, 0 or -1 decided at each close.
    """
    held = positions[:-1].astype(np.float64)
    earned = np.concatenate([[0.0], np.cumsum(held * np.diff(np.log(close)))])
    turnover = np.abs(np.diff(positions.astype(np.float64), prepend=0.0))
    return np.asarray(earned + np.cumsum(np.log1p(-_side_bps(costs) * BPS) * turnover))


def predict_rows(
    bundle: Bundle, matrix: np.ndarray, timestamp: np.ndarray, session: np.ndarray | None = None
) -> np.ndarray:
    """The prediction known at each row of one symbol, (rows,) float64; NaN where no whole window ends.

    Args:
        matrix: (rows, features) float32, not scaled, columns in the order of `bundle.features`.
        timestamp: (rows,) int64, bar labels, ns UTC, sorted. session: as `segments` takes it.
    """
    offsets = np.array([0, len(matrix)])
    scaled = bundle.scaler.transform(matrix)
    segment = segments(timestamp, offsets, np.isfinite(scaled).all(axis=1), bundle.max_gap_ns, session)
    starts = window_starts(segment, bundle.lookback, 0)
    predictions = np.full(len(matrix), np.nan)
    predictions[starts + bundle.lookback - 1] = bundle.predict_at(scaled, starts)
    return predictions


def score(predictions: np.ndarray, labels: np.ndarray, objective: str) -> dict[str, float]:
    """Mean loss, mean absolute error and directional accuracy.

    Args:
        predictions, labels: (windows,) float64; log returns, or P(up) and 1 up / 0 down.

    Returns:
        `loss` is the mean squared error of log returns, or the log loss; `directional_accuracy` is the share of
        moves whose sign was met, unmoved prices left out (0.0 when none moved).
    """
    direction = objective == "direction"
    middle = 0.5 if direction else 0.0
    moved = labels != middle
    hits = np.sign(predictions[moved] - middle) == np.sign(labels[moved] - middle)
    return {
        "loss": float(np.mean(losses(predictions, labels, direction))),
        "mae": float(np.mean(np.abs(predictions - labels))),
        "directional_accuracy": float(np.mean(hits)) if moved.any() else 0.0,
    }


def _side_bps(costs: CostsConfig) -> float:
    return costs.fee_bps + costs.slippage_bps


def losses(predictions: np.ndarray, labels: np.ndarray, direction: bool) -> np.ndarray:
    """The loss of each window: squared error of a log return, or log loss of P(up)."""
    if not direction:
        return np.asarray((predictions - labels) ** 2)
    met = np.where(labels == 1.0, predictions, 1.0 - predictions)
    return np.asarray(-np.log(np.clip(met, LEAST_PROBABILITY, 1.0)))
