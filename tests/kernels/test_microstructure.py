"""The tick rule among prices that stand still or are missing, in every cut."""

import itertools

import numpy as np
import pytest

from kernels import microstructure, reference


def prices(missing: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    price = np.round(100.0 + np.cumsum(rng.choice([-1.0, 0.0, 0.0, 1.0], 1500)))
    price[rng.random(1500) < missing] = np.nan
    price[:3] = price[300:700] = 100.0
    price[900:1300] = np.nan
    return price


@pytest.mark.parametrize("missing", [0.0, 0.002, 0.5])
def test_the_tick_rule_keeps_the_last_sign(missing: float) -> None:
    for seed in range(10):
        price = prices(missing, seed)
        whole = microstructure.tick_rule(price)
        np.testing.assert_array_equal(whole, reference.tick_rule(price))
        edges = [0, *sorted(np.random.default_rng(seed).integers(0, 1500, seed)), 1500]
        cut, state = np.empty(1500), microstructure.tick_rule_state()
        for start, stop in itertools.pairwise(edges):
            microstructure.tick_rule_update(state, price[start:stop], cut[start:stop])
        assert cut.tobytes() == whole.tobytes()
        assert state[0] == np.isfinite(price).sum()
