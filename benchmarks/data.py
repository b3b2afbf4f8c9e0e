"""The arrays that are measured on."""

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[np.float64]]

HARD_SERIES = {"1e6 + 1e-3·N(0,1)": (1e6, 1e-3), "1e9 + N(0,1)": (1e9, 1.0)}  # level and scale of the noise


def market(rows: int, seed: int = 1) -> Arrays:
    """A random walk of prices with highs, lows, volumes and signs, and a second price that follows the first."""
    rng = np.random.default_rng(seed)
    price = 10_000.0 + np.cumsum(0.01 * rng.standard_normal(rows))
    return {
        "price": price,
        "high": price + np.abs(rng.standard_normal(rows)),
        "low": price - np.abs(rng.standard_normal(rows)),
        "volume": rng.exponential(10.0, rows),
        "sign": rng.choice([-1.0, 1.0], rows),
        "other": price + rng.standard_normal(rows),
    }


def hard(rows: int, level: float, scale: float) -> Arrays:
    """A level far above its noise: what makes naive running sums lose all digits."""
    rng = np.random.default_rng(2)
    noise = rng.standard_normal((2, rows))
    return {"price": level + scale * noise[0], "other": level + scale * (0.5 * noise[0] + noise[1])}
