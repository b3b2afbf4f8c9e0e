"""The rule of the gate on made-up times."""

from itertools import count, cycle

import numpy as np
import pytest

from benchmarks.intervals import LIMIT, Pair, compare, compared, take_pairs


def test_noise_that_both_sides_share_cancels() -> None:
    machine = np.random.default_rng(1).uniform(1.0, 3.0, 12)
    found = compared(list(zip(1.1 * machine, machine, strict=True)))
    assert found.ratio == pytest.approx(1.1)
    assert found.high - found.low < 1e-9


def test_one_slow_run_does_not_decide() -> None:
    found = compared([(1.0, 1.0)] * 11 + [(50.0, 1.0)])
    assert not found.is_worse
    assert found.ratio == 1.0


def test_a_slower_head_is_worse_and_a_slower_base_is_not() -> None:
    head, base = np.random.default_rng(2).normal(1.0, 0.02, (2, 20)) * [[1.3], [1.0]]
    assert compared(list(zip(head, base, strict=True))).is_worse
    assert not compared(list(zip(base, head, strict=True))).is_worse


def test_a_drift_meets_both_sides_of_a_pair_alike() -> None:
    clock = count(1)
    assert take_pairs(lambda: next(clock), lambda: next(clock), 2) == [(5, 5), (13, 13)]


def test_measuring_goes_on_while_the_interval_holds_the_limit() -> None:
    near = cycle([LIMIT - 0.2, LIMIT + 0.2])
    taken = {"near": 0, "far": 0}

    def take(name: str, ratio: float) -> list[Pair]:
        taken[name] += 1
        return [(ratio, 1.0)]

    assert compare(lambda: take("near", next(near)), least=4).is_open
    assert not compare(lambda: take("far", 1.01), least=4).is_open
    assert taken == {"near": 20, "far": 4}
