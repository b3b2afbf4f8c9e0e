"""Picked lanes and questions to all of them against the same in NumPy."""

import numpy as np
import pytest

from kernels.compilation import kernel
from kernels.lane_memory import load, store
from kernels.lane_picks import after_each, all_finite, before_each, how_many, in_each

ZERO = np.uint64(0)


@kernel
def neighbours(x, y, before, after, beyond):  # type: ignore[no-untyped-def]
    one, other = load((x, y), ZERO)
    store((before, after, beyond), ZERO, (before_each(one, other), after_each(one, other), after_each(one, 7.0)))


def test_neighbours_come_from_the_other_lanes_at_the_edge() -> None:
    x, y = np.arange(8.0), np.arange(10.0, 18.0)
    before, after, beyond = np.empty((3, 8))
    neighbours(x, y, before, after, beyond)
    np.testing.assert_array_equal(before, [17.0, *x[:-1]])
    np.testing.assert_array_equal(after, [*x[1:], 10.0])
    np.testing.assert_array_equal(beyond, [*x[1:], 7.0])


@kernel
def asked(x, y, limit):  # type: ignore[no-untyped-def]
    both = load((x, y), ZERO)
    return all_finite(both), how_many(both[0] < limit), how_many(in_each(limit) > both[0])


@pytest.mark.parametrize("place", range(8))
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_lane_of_one_member_that_is_not_finite_is_seen(place: int, value: float) -> None:
    clean, spoiled = np.full(8, 1e308), np.zeros(8)
    spoiled[place] = value
    assert asked(clean, clean, 0.0)[0]
    assert not asked(clean, spoiled, 0.0)[0]
    assert not asked(spoiled, clean, 0.0)[0]


@pytest.mark.parametrize("limit", [-1.0, 0.0, 2.5, 7.0, 8.0, np.nan])
def test_lanes_are_counted(limit: float) -> None:
    x = np.array([3.0, 0.0, 7.0, np.nan, 1.0, 2.0, 6.0, 7.0])
    assert asked(x, x, limit) == (False, (x < limit).sum(), (x < limit).sum())
