"""Bars against the twin, and any cut of the ticks against the whole."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import bars, reference

SECOND = 10**9
KINDS = {
    "time": (bars.TIME, SECOND),
    "tick": (bars.TICK, 7),
    "volume": (bars.VOLUME, 40.5),
    "dollar": (bars.DOLLAR, 5e3),
}


def ticks(rows: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Ticks with equal stamps, seconds without any, unknown sides and zero volumes."""
    rng = np.random.default_rng(seed)
    timestamp = 1_700_000_000 * SECOND + np.cumsum(rng.choice([0, 1, 10**8, 3 * SECOND], rows, p=[0.3, 0.2, 0.4, 0.1]))
    price = np.round(100.0 + np.cumsum(rng.choice([-0.01, 0.0, 0.01], rows)), 2)
    volume = np.where(rng.random(rows) < 0.1, 0.0, rng.exponential(5.0, rows))
    return timestamp.astype(np.int64), price, volume, rng.choice([-1.0, 0.0, 1.0, np.nan], rows)


def assert_same(ours: bars.BarArrays, theirs: bars.BarArrays) -> None:
    np.testing.assert_array_equal(ours.times, theirs.times)
    np.testing.assert_array_equal(ours.ticks, theirs.ticks)
    assert ours.values.tobytes() == theirs.values.tobytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("with_sides", [True, False])
@pytest.mark.parametrize("rows", [0, 1, 2, 500])
def test_equals_twin(kind: str, with_sides: bool, rows: int) -> None:
    timestamp, price, volume, side = ticks(rows)
    arguments = (timestamp, price, volume, KINDS[kind][1])
    sides = side if with_sides else None
    assert_same(
        getattr(bars, f"{kind}_bars")(*arguments, side=sides),
        getattr(reference, f"{kind}_bars")(*arguments, side=sides),
    )


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**32 - 1), cuts=st.lists(st.integers(0, 300), max_size=10))
@settings(max_examples=25, deadline=None)
def test_any_cut_gives_the_same_bars(kind: str, seed: int, cuts: list[int]) -> None:
    timestamp, price, volume, side = ticks(300, seed)
    state = bars.bars_state(*KINDS[kind])
    parts = []
    edges = sorted({0, *cuts, 300})
    for start, stop in itertools.pairwise(edges):
        state = np.frombuffer(state.tobytes()).copy()  # saved and restored at every cut
        rows = slice(start, stop)
        parts.append(bars.update_bars(state, timestamp[rows], price[rows], volume[rows], side[rows]))
    if kind == "time":
        parts.append(bars.flush_bars(state))
    joined = bars.BarArrays(
        np.concatenate([part.times for part in parts], axis=1),
        np.concatenate([part.values for part in parts], axis=1),
        np.concatenate([part.ticks for part in parts]),
    )
    assert_same(joined, getattr(bars, f"{kind}_bars")(timestamp, price, volume, KINDS[kind][1], side=side))


def test_decimal_volumes_fill_a_bar_in_time() -> None:
    stamps, price = np.arange(30), np.ones(30)
    np.testing.assert_array_equal(bars.volume_bars(stamps, price, np.full(30, 0.1), 1.0).ticks, [10, 10, 10])


def test_nothing_is_lost() -> None:
    timestamp, price, volume, _ = ticks(1000)
    made = bars.time_bars(timestamp, price, volume, SECOND)
    assert made.ticks.sum() == 1000
    names = dict(zip(bars.VALUE_NAMES, made.values, strict=True))
    np.testing.assert_allclose(names["volume"].sum(), volume.sum())
    np.testing.assert_allclose(names["dollar"].sum(), (price * volume).sum())


def test_labels_are_starts_also_before_the_epoch() -> None:
    timestamp = np.array([-1, 0, SECOND - 1, SECOND], np.int64)
    made = bars.time_bars(timestamp, np.ones(4), np.ones(4), SECOND)
    np.testing.assert_array_equal(made.times[0], [-SECOND, 0, SECOND])


def test_bad_ticks_are_refused() -> None:
    one = np.ones(2)
    with pytest.raises(ValueError, match="times that never decrease"):
        bars.time_bars(np.array([2, 1], np.int64), one, one, SECOND)
    with pytest.raises(TypeError, match="timestamp: expected an int64 array, received float64"):
        bars.time_bars(one, one, one, SECOND)
    with pytest.raises(ValueError, match="expected arrays of 2 rows, received"):
        bars.tick_bars(np.array([1, 2], np.int64), one, np.ones(3), 2)
    with pytest.raises(ValueError, match="size: expected a number above 0"):
        bars.tick_bars(np.array([1, 2], np.int64), one, one, 0)
    state = bars.bars_state(bars.TIME, SECOND)
    bars.update_bars(state, np.array([5], np.int64), one[:1], one[:1], one[:1])
    with pytest.raises(ValueError, match="older than the last one seen"):
        bars.update_bars(state, np.array([4], np.int64), one[:1], one[:1], one[:1])
