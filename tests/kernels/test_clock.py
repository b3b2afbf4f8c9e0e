"""Kernels of time against plain arithmetic, and the same bits for every cut."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from kernels import clock

DAY = 86_400 * 10**9
TIMES = np.sort(np.random.default_rng(5).integers(-(10**18), 2 * 10**18, 500))
TIMES[250:260] = TIMES[250]
COUNTS = np.random.default_rng(6).integers(0, 5, 500).astype(float)


def run(update: Callable[..., None], state: np.ndarray, *more: np.ndarray, edges: list[int]) -> np.ndarray:
    out = np.empty(len(TIMES))
    for start, stop in itertools.pairwise(edges):
        state = np.frombuffer(state.tobytes()).copy()
        update(state, TIMES[start:stop].view(np.float64), *(values[start:stop] for values in more), out[start:stop])
    return out


WHOLE, CUT = [0, 500], [0, 0, 1, 2, 7, 250, 255, 499, 500]


@pytest.mark.parametrize(
    ("update", "period", "offset", "function"),
    [
        (clock.day_sine_update, DAY, 0, np.sin),
        (clock.day_cosine_update, DAY, 0, np.cos),
        (clock.week_sine_update, 7 * DAY, 3 * DAY, np.sin),
        (clock.week_cosine_update, 7 * DAY, 3 * DAY, np.cos),
    ],
)
def test_circles(update: Callable[..., None], period: int, offset: int, function: Callable[..., np.ndarray]) -> None:
    ours = run(update, clock.no_state(), edges=WHOLE)
    angle = 2 * np.longdouble(np.pi) * (((TIMES + offset) % period) / np.longdouble(period))
    np.testing.assert_allclose(ours, function(angle).astype(float), rtol=0, atol=1e-15)
    assert ours.tobytes() == run(update, clock.no_state(), edges=CUT).tobytes()


def test_seconds_since_the_row_before() -> None:
    ours = run(clock.elapsed_update, clock.elapsed_state(), edges=WHOLE)
    np.testing.assert_array_equal(ours, np.concatenate([[np.nan], np.diff(TIMES) / 1e9]))
    assert ours.tobytes() == run(clock.elapsed_update, clock.elapsed_state(), edges=CUT).tobytes()


def test_counts_fade_with_time() -> None:
    seconds = 3e6
    ages = (TIMES[:, None] - TIMES[None, :]) / 1e9
    weights = np.exp(-np.maximum(ages, 0.0) / seconds) * np.tri(len(TIMES))
    ours = run(clock.decayed_update, clock.decayed_state(seconds), COUNTS, edges=WHOLE)
    np.testing.assert_allclose(ours, weights @ COUNTS, rtol=1e-12)
    assert ours.tobytes() == run(clock.decayed_update, clock.decayed_state(seconds), COUNTS, edges=CUT).tobytes()


def test_a_missing_count_takes_no_part() -> None:
    holed = COUNTS.copy()
    holed[[0, 40]] = np.nan
    ours = run(clock.decayed_update, clock.decayed_state(3e6), holed, edges=WHOLE)
    full = run(clock.decayed_update, clock.decayed_state(3e6), np.nan_to_num(holed), edges=WHOLE)
    assert np.isnan(ours[[0, 40]]).all()
    np.testing.assert_array_equal(ours[41:], full[41:])


def test_the_time_constant_is_checked() -> None:
    with pytest.raises(ValueError, match="seconds: expected a number above 0"):
        clock.decayed_state(0.0)
