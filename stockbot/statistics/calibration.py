"""Whether predictions mean what they say."""

from dataclasses import dataclass

import numpy as np

from kernels.arrays import Floats

BINS = 10


@dataclass(frozen=True)
class Bin:
    """One bin of a reliability diagram.

    Attributes:
        low, high: its edges. count: predictions in it. predicted, observed: their mean, and the share that went up.
    """

    low: float
    high: float
    count: int
    predicted: float
    observed: float


def bin_of(probabilities: Floats) -> np.ndarray:
    """The bin of each probability among `BINS` of equal width, (n,) int64; 1.0 is in the last."""
    return np.asarray(np.minimum((probabilities * BINS).astype(np.int64), BINS - 1))


def reliability(probabilities: Floats, happened: Floats) -> list[Bin]:
    """The bins that hold predictions (Murphy and Winkler 1977).

    Args:
        probabilities: (n,) of an event. happened: (n,) 1.0 where it came, else 0.0.
    """
    place = bin_of(probabilities)
    found = []
    for number in range(BINS):
        inside = place == number
        if inside.any():
            means = (float(values[inside].mean()) for values in (probabilities, happened))
            found.append(Bin(number / BINS, (number + 1) / BINS, int(inside.sum()), *means))
    return found


def calibration_error(gaps: Floats, count: Floats) -> Floats:
    """Expected calibration error (Naeini, Cooper and Hauskrecht 2015): mean gap of the bins, by their size.

    Args:
        gaps: (..., bins) sums of `probability - happened` in each bin. count: (...,) predictions of all bins.
    """
    return np.asarray(np.abs(gaps).sum(axis=-1) / count)


def line(products: Floats, variance: Floats, left: Floats, right: Floats) -> tuple[Floats, Floats]:
    """Slope and intercept of what came on what was predicted (Mincer and Zarnowitz 1969): 1 and 0 when calibrated.

    Args:
        products: mean product of both, central. variance: of the predictions. left, right: means of predictions and
            of what came. NaN where the predictions do not vary.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        slope = np.where(variance > 0.0, products / variance, np.nan)
    return np.asarray(slope), np.asarray(right - slope * left)
