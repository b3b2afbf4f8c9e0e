"""Labels look ahead by their horizon and no further."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels import average_uniqueness, direction, horizon_return, reference
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


@given(labelled=st.lists(st.booleans(), max_size=40), horizon=st.integers(1, 60))
def test_uniqueness_equals_twin(labelled: list[bool], horizon: int) -> None:
    rows = np.array(labelled, np.bool_)
    np.testing.assert_allclose(
        average_uniqueness(rows, horizon), reference.average_uniqueness(rows, horizon), rtol=1e-12, atol=1e-12
    )


def test_labels_that_do_not_overlap_are_unique_and_those_of_every_row_share() -> None:
    assert average_uniqueness(np.array([True, False, False, True, False, False]), 3).tolist() == [1, 0, 0, 1, 0, 0]
    assert average_uniqueness(np.ones(100, np.bool_), 4)[50] == pytest.approx(1 / 4)
    # spans of two returns: 1-2 and 2-3; each shares one of its two
    np.testing.assert_allclose(average_uniqueness(np.array([True, True, False]), 2), [0.75, 0.75, 0.0])


def test_uniqueness_stays_exact_over_many_rows() -> None:
    labelled = np.random.default_rng(1).random(3_000_000) < 0.3
    whole = average_uniqueness(labelled, 7)
    np.testing.assert_allclose(whole[-1000:-10], average_uniqueness(labelled[-2000:], 7)[-1000:-10], rtol=1e-11)


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="horizon: expected at least 1, received 0"):
        horizon_return(np.ones(3), 0)
    with pytest.raises(ValueError, match="dead_zone: expected at least 0, received -1"):
        direction(np.ones(3), -1)
    with pytest.raises(TypeError, match=r"labelled: expected \(time,\) bool, received float64"):
        average_uniqueness(np.ones(3), 1)
    with pytest.raises(ValueError, match="horizon: expected at least 1, received 0"):
        average_uniqueness(np.ones(3, np.bool_), 0)
