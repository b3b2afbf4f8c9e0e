"""The ratio of two sides with its bootstrap interval, measured until the interval says on which side of the limit."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

LIMIT = 1.25  # a side counts as worse when the whole interval lies above
_DRAWS = 2000
_TAIL = 0.025

Measure = Callable[[], float]
Pair = tuple[float, float]  # head, base


@dataclass(frozen=True)
class Comparison:
    """Medians of both sides, and head over base with its 95 % interval."""

    head: float
    base: float
    ratio: float
    low: float
    high: float

    @property
    def is_worse(self) -> bool:
        return self.low > LIMIT

    @property
    def is_open(self) -> bool:
        return self.low <= LIMIT <= self.high


def compared(pairs: list[Pair]) -> Comparison:
    """Percentile bootstrap over pairs, of the median of their ratios: what slows both of a pair cancels."""
    heads, bases = np.array(pairs).T
    ratios = heads / bases
    picks = np.random.default_rng(0).integers(len(ratios), size=(_DRAWS, len(ratios)))
    low, high = np.quantile(np.median(ratios[picks], axis=1), (_TAIL, 1.0 - _TAIL))
    head, base, ratio = (float(np.median(values)) for values in (heads, bases, ratios))
    return Comparison(head, base, ratio, float(low), float(high))


def take_pairs(head: Measure, base: Measure, count: int) -> list[Pair]:
    """Each pair is measured head, base, base, head, so that a steady drift cancels too."""
    pairs = []
    for _ in range(count):
        first, second, third, fourth = head(), base(), base(), head()
        pairs.append((first + fourth, second + third))
    return pairs


def compare(take: Callable[[], list[Pair]], *, least: int) -> Comparison:
    """Take pairs `least` times, and up to five times as often while the interval holds the limit."""
    pairs: list[Pair] = []
    for taken in range(1, 5 * least + 1):
        pairs += take()
        if taken >= least and not compared(pairs).is_open:
            break
    return compared(pairs)
