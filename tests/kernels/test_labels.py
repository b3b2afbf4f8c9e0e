"""Labels look ahead by their horizon and no further."""

import numpy as np
import pytest

from kernels import direction, horizon_return, reference
from tests.kernels.catalogue import market


@pytest.mark.parametrize("horizon", [1, 5, 300])
def test_return_equals_twin(horizon: int) -> None:
    close = market(200)["price"]
    close[[20, 90]] = [np.nan, -1.0]
    ours = horizon_return(close, horizon)
    np.testing.assert_allclose(ours, reference.horizon_return(close, horizon), rtol=1e-11)
    assert np.isnan(ours[-horizon:]).all()


def test_return_is_of_the_rows_named() -> None:
    assert horizon_return(np.array([1.0, 2.0, 4.0, 5.0]), 2)[0] == pytest.approx(np.log(4.0))


@pytest.mark.parametrize("dead_zone", [0.0, 1e-3])
def test_direction_equals_twin(dead_zone: float) -> None:
    moves = np.array([0.0, 1e-9, -1e-9, 1e-3, -1e-3, 0.1, -0.1, np.nan])
    np.testing.assert_array_equal(direction(moves, dead_zone), reference.direction(moves, dead_zone))


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="horizon: expected at least 1, received 0"):
        horizon_return(np.ones(3), 0)
    with pytest.raises(ValueError, match="dead_zone: expected at least 0, received -1"):
        direction(np.ones(3), -1)
