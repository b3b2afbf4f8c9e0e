"""Extremes and their ages among ties, signed zeros, infinities and missing rows, for every way of cutting."""

import itertools

import numpy as np
import pytest

from kernels import extreme_ages, extremes, reference

AWKWARD = np.array([-np.inf, -1.0, -0.0, 0.0, 0.0, 1.0, 1.0, np.inf, 2.0, 3.0])
MODULES = {
    "rolling_min": extremes,
    "rolling_max": extremes,
    "rolling_argmin": extreme_ages,
    "rolling_argmax": extreme_ages,
}


def awkward(rows: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.choice(AWKWARD, rows)
    x[rng.random(rows) < 0.01] = np.nan
    x[rows // 3 : rows // 3 + 80] = -np.inf
    x[rows // 2 : rows // 2 + 80] = np.inf
    return x


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("window", [1, 2, 3, 5, 23, 24, 25, 64])
def test_awkward_values_in_every_cut(name: str, window: int) -> None:
    x = awkward(700, window)
    whole = getattr(MODULES[name], name)(x, window)
    np.testing.assert_array_equal(whole, getattr(reference, name)(x, window))
    rng = np.random.default_rng(window)
    for _ in range(10):
        edges = [0, *sorted(rng.integers(0, 700, rng.integers(0, 8))), 700]
        state = getattr(MODULES[name], f"{name}_state")(window)
        cut = np.empty(700)
        for start, stop in itertools.pairwise(edges):
            getattr(MODULES[name], f"{name}_update")(state, x[start:stop], cut[start:stop])
        assert cut.tobytes() == whole.tobytes()


def test_a_zero_is_positive() -> None:
    x = np.resize([-0.0, 0.0, -0.0, -0.0], 300)
    for window in (1, 2, 64):
        for kernel in (extremes.rolling_min, extremes.rolling_max):
            assert not np.signbit(kernel(x, window)[window - 1 :]).any()


@pytest.mark.parametrize("name", MODULES)
def test_a_missing_row_blanks_its_windows_only(name: str) -> None:
    x = np.random.default_rng(0).standard_normal(5000)
    clean = getattr(MODULES[name], name)(x, 10)
    x[[1500, 1504, 4000]] = np.nan
    struck = getattr(MODULES[name], name)(x, 10)
    rows = [*range(9), *range(1500, 1514), *range(4000, 4010)]
    assert np.flatnonzero(np.isnan(struck)).tolist() == rows
    clean[rows] = np.nan
    np.testing.assert_array_equal(struck, clean)


def test_bad_windows_are_named() -> None:
    for name in MODULES:
        with pytest.raises(ValueError, match="window: expected at least 1, received 0"):
            getattr(MODULES[name], name)(np.zeros(5), 0)
        with pytest.raises(TypeError, match=r"window: expected a whole number of rows, received 2\.0"):
            getattr(MODULES[name], name)(np.zeros(5), 2.0)
