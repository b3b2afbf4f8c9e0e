"""The stateless order is a permutation, and looks like one that was drawn at random.

Bounds are those of the exact distributions: a test fails by chance once in ten thousand seeds, and the seeds are fixed.
"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels import permutation, reference

CHANCE = 3.9  # standard deviations: 1 in 10,000 on either side


def chi_squared_z(counts: np.ndarray) -> float:
    """How many standard deviations from even the counts are, by Wilson and Hilferty."""
    expected = counts.sum() / counts.size
    degrees = counts.size - 1
    statistic = ((counts - expected) ** 2).sum() / expected
    spread = 2.0 / (9.0 * degrees)
    return float(((statistic / degrees) ** (1 / 3) - (1.0 - spread)) / math.sqrt(spread))


@given(count=st.integers(1, 400), seed=st.integers(0, 2**63 - 1), epoch=st.integers(0, 1000))
def test_equals_twin_and_holds_every_number_once(count: int, seed: int, epoch: int) -> None:
    order = permutation(count, seed=seed, epoch=epoch)
    np.testing.assert_array_equal(order, reference.permutation(count, seed=seed, epoch=epoch))
    assert sorted(order) == list(range(count))


@pytest.mark.parametrize("count", [4, 9, 10, 65_536, 65_537, 1_000_003])
def test_large_and_awkward_counts_are_permuted(count: int) -> None:
    seen = np.zeros(count, np.int8)
    np.add.at(seen, permutation(count, seed=5, epoch=2), 1)
    assert (seen == 1).all()


@given(count=st.integers(1, 5000), data=st.data())
def test_any_stretch_is_had_without_the_rest(count: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, count))
    length = data.draw(st.integers(0, count - first))
    stretch = permutation(count, seed=1, epoch=3, first=first, length=length)
    np.testing.assert_array_equal(stretch, permutation(count, seed=1, epoch=3)[first : first + length])


def test_places_beyond_four_billion_are_had_at_once() -> None:
    order = permutation(10**15, seed=1, epoch=0, first=10**14, length=100_000)
    assert len(np.unique(order)) == 100_000
    assert chi_squared_z(np.histogram(order, 100, (0, 10**15))[0]) < CHANCE


def test_seed_and_epoch_alone_decide() -> None:
    orders = {permutation(50, seed=seed, epoch=epoch).tobytes() for seed in range(40) for epoch in range(40)}
    assert len(orders) == 1600
    assert permutation(50, seed=7, epoch=2).tolist() == permutation(50, seed=7, epoch=2).tolist()


@pytest.mark.parametrize("count", [3, 5, 10, 37])
def test_every_number_is_as_likely_at_every_place(count: int) -> None:
    places = np.zeros((count, count))
    for epoch in range(20_000):
        places[np.arange(count), permutation(count, seed=11, epoch=epoch)] += 1
    expected, degrees = 20_000 / count, (count - 1) ** 2  # the sums of rows and columns are given
    statistic = ((places - expected) ** 2).sum() / expected
    assert abs(statistic - degrees) < CHANCE * math.sqrt(2 * degrees)


def test_all_orders_of_four_are_as_likely() -> None:
    orders = np.array([permutation(4, seed=seed, epoch=0) @ [64, 16, 4, 1] for seed in range(24_000)])
    counts = np.unique(orders, return_counts=True)[1]
    assert len(counts) == 24
    assert chi_squared_z(counts) < CHANCE


@pytest.mark.parametrize("count", [5, 7, 9, 12, 16, 20])
def test_neighbours_are_as_likely_any_pair(count: int) -> None:
    pairs = np.zeros((count, count))
    for epoch in range(20_000):
        order = permutation(count, seed=3, epoch=epoch)
        pairs[order[:-1], order[1:]] += 1
    assert abs(chi_squared_z(pairs[~np.eye(count, dtype=bool)])) < CHANCE


@pytest.mark.parametrize("count", [1000, 65_536, 1_000_003])
def test_neighbours_of_long_orders_come_from_anywhere(count: int) -> None:
    pairs = np.zeros((16, 16))
    for epoch in range(20):
        part = permutation(count, seed=4, epoch=epoch) * 16 // count
        np.add.at(pairs, (part[:-1], part[1:]), 1)
    assert abs(chi_squared_z(pairs)) < CHANCE


@pytest.mark.parametrize("count", [1000, 99_991, 2**18])
def test_a_long_order_has_no_trend(count: int) -> None:
    for epoch in range(5):
        order = permutation(count, seed=1, epoch=epoch).astype(np.float64)
        for lag in (1, 2, 7, math.isqrt(count), math.isqrt(count) + 1):  # the side of the rectangle is what would show
            assert abs(np.corrcoef(order[:-lag], order[lag:])[0, 1]) < CHANCE / math.sqrt(count - lag)
        assert abs(np.corrcoef(order, np.arange(count))[0, 1]) < CHANCE / math.sqrt(count)


def test_steps_between_neighbours_are_spread_as_by_chance() -> None:
    count = 2**18
    steps = np.diff(permutation(count, seed=9, epoch=4)) % count
    # the steps of a random order are nearly independent; those of a linear congruence would be a few values
    assert chi_squared_z(np.bincount(steps * 1024 // count, minlength=1024)) < CHANCE


def test_epochs_agree_in_as_many_places_as_by_chance() -> None:
    orders = [permutation(1000, seed=2, epoch=epoch) for epoch in range(100)]
    agreeing = [int((a == b).sum()) for number, a in enumerate(orders) for b in orders[:number]]
    assert np.mean(agreeing) == pytest.approx(1.0, abs=CHANCE / math.sqrt(len(agreeing)))  # Poisson of mean 1
    assert np.var(agreeing) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 0}, "count: expected at least 1, received 0"),
        ({"count": 2**62 + 1}, r"count: expected at most 2\^62"),
        ({"seed": -1}, "seed: expected at least 0, received -1"),
        ({"epoch": -1}, "epoch: expected at least 0, received -1"),
        ({"first": 9, "length": 2}, "first: places 9 to 11 leave the 10 there are"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        permutation(**{"count": 10, "seed": 1, "epoch": 0, **arguments})
