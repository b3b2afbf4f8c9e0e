"""The logarithms that vectorise against long double, over every magnitude."""

import math

import numpy as np
import pytest

from kernels.compilation import kernel
from kernels.logarithm import ln, ln1p


@kernel
def _ln_rows(x, out):
    for row in range(len(x)):
        out[row] = ln(x[row])


@kernel
def _ln1p_rows(x, out):
    for row in range(len(x)):
        out[row] = ln1p(x[row])


def _over(rows, x: np.ndarray) -> np.ndarray:
    out = np.empty(len(x))
    rows(x, out)
    return out


RNG = np.random.default_rng(5)
SERIES = {
    "every magnitude": np.exp(RNG.uniform(-708.0, 709.0, 100_000)),
    "denormals": RNG.integers(1, 2**52, 20_000).view(np.float64),
    "close to 1": 1.0 + RNG.normal(0.0, 1e-9, 20_000),
    "around 1": RNG.uniform(0.5, 2.0, 100_000),
    "where the exponent changes": np.sqrt([[0.5], [2.0]]).repeat(20_000, 1).ravel() * (1 + RNG.normal(0, 1e-3, 40_000)),
    "volumes": RNG.exponential(1e4, 50_000),
}


@pytest.mark.parametrize("series", SERIES)
@pytest.mark.parametrize(("rows", "exact"), [(_ln_rows, np.log), (_ln1p_rows, np.log1p)], ids=["ln", "ln1p"])
def test_errs_by_less_than_a_unit_in_the_last_place(series: str, rows, exact) -> None:
    x = SERIES[series]
    expected = exact(x.astype(np.longdouble))
    errors = np.abs(_over(rows, x) - expected) / np.spacing(np.abs(expected.astype(np.float64)))
    assert errors.max() < 1.0


def test_special_values() -> None:
    x = np.array([0.0, -0.0, -1e-320, -1.0, -math.inf, math.nan, math.inf, 1.0, 5e-324, np.finfo(float).max])
    nan, inf, greatest = math.nan, math.inf, math.log(np.finfo(float).max)
    np.testing.assert_array_equal(
        _over(_ln_rows, x), [-inf, -inf, nan, nan, nan, nan, inf, 0.0, math.log(5e-324), greatest]
    )
    np.testing.assert_array_equal(
        _over(_ln1p_rows, x), [0.0, 0.0, nan, nan, nan, nan, inf, math.log(2.0), 5e-324, greatest]
    )
