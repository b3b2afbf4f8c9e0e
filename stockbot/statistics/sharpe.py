"""The Sharpe ratio, how probable it is that it is above 0, and what is left of that after many trials.

All are of one period of the returns, not annualised. They take arrays, so that bootstrap draws are one call.
"""

import math
from statistics import NormalDist

import numpy as np

from kernels.arrays import Floats

_NORMAL = NormalDist()
_EULER = 0.5772156649015329


def sharpe(mean: Floats, square: Floats) -> Floats:
    """Mean over standard deviation of returns; NaN where they do not vary.

    Args:
        mean, square: means of the returns and of their squares.
    """
    variance = square - mean**2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(variance > 1e-14 * square, mean / np.sqrt(variance), np.nan))


def skew_and_kurtosis(mean: Floats, square: Floats, cube: Floats, fourth: Floats) -> tuple[Floats, Floats]:
    """Skewness, and kurtosis (3 for a normal distribution), from the means of the first four powers."""
    variance = square - mean**2
    with np.errstate(invalid="ignore", divide="ignore"):
        skew = (cube - 3.0 * mean * square + 2.0 * mean**3) / variance**1.5
        kurtosis = (fourth - 4.0 * mean * cube + 6.0 * mean**2 * square - 3.0 * mean**4) / variance**2
    return np.asarray(skew), np.asarray(kurtosis)


def probabilistic_sharpe(ratio: Floats, skew: Floats, kurtosis: Floats, periods: int, benchmark: float = 0.0) -> Floats:
    """Probability that the true ratio exceeds `benchmark`: Bailey and Lopez de Prado (2012), equation 11.

    `Phi((SR - SR*) sqrt(n - 1) / sqrt(1 - skew SR + (kurtosis - 1) / 4 SR^2))`; NaN where the ratio is.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.sqrt(1.0 - skew * ratio + (kurtosis - 1.0) / 4.0 * ratio**2)
        score = (ratio - benchmark) * math.sqrt(max(periods - 1, 0)) / spread
    return np.array([math.nan if math.isnan(one) else _NORMAL.cdf(one) for one in np.atleast_1d(score)])


def expected_best(trials: int, variance: float) -> float:
    """The best ratio to expect of `trials` without any skill: Bailey and Lopez de Prado (2014), equation 1.

    `sqrt(V) ((1 - g) Phi^-1(1 - 1/N) + g Phi^-1(1 - 1/(N e)))` with Euler's constant g; 0.0 for one trial.

    Args:
        variance: V, of the ratios of the trials.
    """
    if trials < 2:
        return 0.0
    usual, tail = (_NORMAL.inv_cdf(1.0 - 1.0 / (trials * factor)) for factor in (1.0, math.e))
    return math.sqrt(variance) * ((1.0 - _EULER) * usual + _EULER * tail)
