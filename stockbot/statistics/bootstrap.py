"""The stationary bootstrap: intervals for what is computed from dependent rows.

Figures that are functions of means are resampled as means: a draw counts how often each row was taken, and all columns
of all figures share the draw, so that the difference of two figures has an interval as well.
"""

import math
from dataclasses import dataclass

import numpy as np

from kernels.arrays import Floats

DRAWS = 1000
CONFIDENCE = 0.95
_AT_ONCE = 32  # draws; their counts of 20,000 rows are 5 MB


@dataclass(frozen=True)
class Figure:
    """A number and its interval of 95 %; None where it is not defined, as a correlation with a constant.

    Attributes:
        value: of the rows themselves. low, high: quantiles 0.025 and 0.975 of the draws.
    """

    value: float | None
    low: float | None
    high: float | None

    @classmethod
    def of(cls, values: Floats) -> "Figure":
        """From the value of the rows, then those of the draws; an interval needs nine draws in ten to be defined."""
        value, draws = float(values[0]), values[1:][np.isfinite(values[1:])]
        if not math.isfinite(value):
            return cls(None, None, None)
        if len(draws) < 0.9 * (len(values) - 1):
            return cls(value, None, None)
        tail = (1.0 - CONFIDENCE) / 2.0
        low, high = (float(edge) for edge in np.quantile(draws, [tail, 1.0 - tail]))
        return cls(value, low, high)


def resampled_sums(rows: Floats, block: float, *, draws: int = DRAWS, seed: int = 0) -> Floats:
    """Sums of the columns over the rows, then over each draw, (1 + draws, columns) float64.

    Politis and Romano (1994): a draw is made of blocks that begin anywhere, go on around the end, and are of
    geometric length, so that the drawn series is stationary where the rows are.

    Args:
        rows: (rows, columns) float64, in time order. block: mean length of blocks, at least 1.
    """
    rng = np.random.default_rng(seed)
    parts = [min(_AT_ONCE, draws - begin) for begin in range(0, draws, _AT_ONCE)]
    drawn = [_counts(len(rows), block, part, rng) @ rows for part in parts]
    return np.concatenate([rows.sum(axis=0, keepdims=True), *drawn])


def _counts(rows: int, block: float, draws: int, rng: np.random.Generator) -> Floats:
    """How often each draw takes each row, (draws, rows)."""
    place = np.arange(rows)
    begins = rng.random((draws, rows)) < 1.0 / block
    begins[:, 0] = True
    first = np.maximum.accumulate(np.where(begins, place, 0), axis=1)
    source = np.take_along_axis(rng.integers(0, rows, (draws, rows)), first, axis=1)
    taken = (source + place - first) % rows + np.arange(draws)[:, None] * rows
    return np.bincount(taken.ravel(), minlength=draws * rows).reshape(draws, rows).astype(np.float64)


def block_length(series: Floats) -> float:
    """Mean length of blocks that suits the mean of a series, at least 1.

    Politis and White (2004) as corrected by Patton, Politis and White (2009): the spectrum at zero by a flat-top lag
    window, whose width is twice the lag after which correlations stay insignificant.

    Args:
        series: (n,) float64, all finite; 1.0 where it does not vary or has fewer than 10 rows.
    """
    rows = len(series)
    centred = series - series.mean()
    if rows < 10 or not (centred**2).mean() > 1e-24 * (series**2).mean():
        return 1.0
    in_a_row = max(5, math.ceil(math.sqrt(math.log10(rows))))
    most = math.ceil(math.sqrt(rows)) + in_a_row
    covariance = _autocovariance(centred, min(most, rows - 1))
    lag = _last_significant(covariance[1:] / covariance[0], in_a_row, rows)
    width = min(2 * max(lag, 1), len(covariance) - 1)
    lags = np.arange(1, width + 1)
    weights = np.minimum(1.0, 2.0 * (1.0 - lags / width)) * covariance[1 : width + 1]
    slope, at_zero = 2.0 * float((lags * weights).sum()), float(covariance[0] + 2.0 * weights.sum())
    longest = math.ceil(min(3.0 * math.sqrt(rows), rows / 3.0))
    if at_zero == 0.0:
        return float(longest)
    return float(min(np.cbrt(max((slope / at_zero) ** 2 * rows, 1.0)), longest))


def _autocovariance(centred: Floats, lags: int) -> Floats:
    size = 1 << (2 * len(centred) - 1).bit_length()
    spectrum = np.abs(np.fft.rfft(centred, size)) ** 2
    return np.asarray(np.fft.irfft(spectrum, size)[: lags + 1] / len(centred))


def _last_significant(correlation: Floats, in_a_row: int, rows: int) -> int:
    """The smallest lag after which `in_a_row` correlations are insignificant; else the last significant one."""
    significant = np.abs(correlation) > 2.0 * math.sqrt(math.log10(rows) / rows)
    for lag in range(len(significant) - in_a_row + 1):
        if not significant[lag : lag + in_a_row].any():
            return lag
    return int(np.flatnonzero(significant)[-1]) + 1
