"""Statistics against closed forms, published figures and SciPy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from stockbot.statistics.bootstrap import Figure, block_length, resampled_sums
from stockbot.statistics.calibration import BINS, bin_of, calibration_error, line, reliability
from stockbot.statistics.ranking import correlation, correlations, ranks
from stockbot.statistics.sharpe import expected_best, probabilistic_sharpe, sharpe, skew_and_kurtosis


def autoregression(rows: int, phi: float, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=rows + 200)
    series = np.zeros(rows + 200)
    for row in range(1, rows + 200):
        series[row] = phi * series[row - 1] + noise[row]
    return series[200:]


@given(st.lists(st.sampled_from([-2.0, -1.0, 0.0, 0.5, 3.0]), max_size=30), st.sampled_from([1, 2, 65_536]))
def test_ranks_are_those_of_scipy(values: list[float], at_once: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stockbot.statistics.ranking._AT_ONCE", at_once)
        np.testing.assert_array_equal(ranks(np.array(values)), stats.rankdata(values))


def test_what_is_no_number_ranks_last() -> None:
    assert ranks(np.array([math.nan, 1.0, math.nan, 0.0])).tolist() == [3.5, 2.0, 3.5, 1.0]


def test_rank_correlation_is_that_of_scipy_with_ties() -> None:
    rng = np.random.default_rng(3)
    left, right = rng.integers(0, 8, 300).astype(float), rng.normal(size=300)
    right += 0.3 * left
    found = correlations(ranks(left)[:, None], ranks(right)[:, None])[0, 0]
    assert found == pytest.approx(stats.spearmanr(left, right).statistic, abs=1e-12)


def test_columns_that_do_not_vary_correlate_with_nothing() -> None:
    left = np.column_stack([np.full(50, 0.1), np.arange(50.0)])
    assert correlations(left, np.arange(50.0)[:, None]).ravel().tolist() == pytest.approx([0.0, 1.0])
    zero, one = np.zeros(2), np.ones(2)
    assert np.isnan(correlation(one, zero, one)).all()
    np.testing.assert_array_equal(correlation(np.array([3.0]), np.array([9.0]), np.array([4.0])), [0.5])


@pytest.mark.parametrize("phi", [0.2, 0.5, 0.8])
def test_block_length_of_an_autoregression_nears_the_best_one(phi: float) -> None:
    """Politis and White: (2 phi / (1 - phi^2))^(2/3) n^(1/3) for the stationary bootstrap of AR(1)."""
    rows = 20_000
    best = (2.0 * phi / (1.0 - phi**2)) ** (2.0 / 3.0) * rows ** (1.0 / 3.0)
    found = np.median([block_length(autoregression(rows, phi, seed)) for seed in range(15)])
    assert found == pytest.approx(best, rel=0.2)


def test_block_length_at_its_ends() -> None:
    noise = np.random.default_rng(0).normal(size=(2000, 20))
    assert np.median([block_length(column) for column in noise.T]) < 5.0
    assert block_length(np.full(100, 3.7)) == 1.0
    assert block_length(np.arange(9.0)) == 1.0
    assert block_length(np.sin(np.arange(60) * np.pi / 5.0)) == 20.0  # a third of the rows at most
    assert block_length(np.diff(noise[:, 0], prepend=0.0)) == math.ceil(3.0 * math.sqrt(2000))  # and this
    assert 50.0 < block_length(np.cumsum(noise[:, 0])) <= 3.0 * math.sqrt(2000) + 1.0


@pytest.mark.parametrize(("phi", "block"), [(0.0, 1.0), (0.7, 40.0)])
def test_draws_spread_as_the_mean_does(phi: float, block: float) -> None:
    """Closed form: the standard deviation of a mean is sigma / ((1 - phi) sqrt(n))."""
    rows = 4000
    series = autoregression(rows, phi, seed=5)[:, None]
    means = resampled_sums(series, block)[1:, 0] / rows
    assert means.std() == pytest.approx(1.0 / ((1.0 - phi) * math.sqrt(rows)), rel=0.15)
    assert means.mean() == pytest.approx(series.mean(), abs=4.0 * means.std() / math.sqrt(len(means)))


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    covered = 0
    for seed in range(200):
        series = autoregression(400, 0.5, seed)
        figure = Figure.of(resampled_sums(series[:, None], block_length(series), draws=200, seed=seed)[:, 0] / 400)
        assert figure.low is not None
        assert figure.high is not None
        covered += figure.low <= 0.0 <= figure.high
    assert 0.86 <= covered / 200 <= 0.99  # percentiles of dependent rows fall a little short of 0.95


def test_all_columns_share_the_draws_and_every_draw_holds_as_many_rows() -> None:
    rows = np.column_stack([np.ones(37), np.arange(37.0), 2.0 * np.arange(37.0)])
    sums = resampled_sums(rows, 4.0, draws=70)
    assert sums.shape == (71, 3)
    np.testing.assert_array_equal(sums[:, 0], 37.0)
    np.testing.assert_array_equal(2.0 * sums[:, 1], sums[:, 2])
    assert sums[0, 1] == 666.0
    assert len(np.unique(sums[1:, 1])) > 40
    np.testing.assert_array_equal(sums, resampled_sums(rows, 4.0, draws=70))


def test_blocks_are_as_long_as_asked() -> None:
    """Neighbours stay neighbours with probability 1 - 1 / block: the product of neighbours tells how many did."""
    marks = np.zeros((1000, 2))
    marks[500:502] = [[1.0, 0.0], [0.0, 1.0]]
    taken = resampled_sums(marks, 10.0, draws=4000)[1:]
    alone = np.count_nonzero((taken[:, 0] == 1.0) & (taken[:, 1] == 0.0))
    both = np.count_nonzero((taken[:, 0] == 1.0) & (taken[:, 1] == 1.0))
    assert both / (alone + both) == pytest.approx(0.9, abs=0.05)


def test_a_figure_that_is_not_defined_has_no_numbers() -> None:
    assert Figure.of(np.full(5, np.nan)) == Figure(None, None, None)
    assert Figure.of(np.array([1.0, np.nan, np.nan, 2.0])) == Figure(1.0, None, None)


def test_sharpe_and_shape_are_those_of_scipy() -> None:
    returns = np.random.default_rng(1).gamma(2.0, 1.0, 500) - 1.5
    powers = [np.array([np.mean(returns**power)]) for power in (1, 2, 3, 4)]
    assert sharpe(*powers[:2])[0] == pytest.approx(returns.mean() / returns.std())
    skew, kurtosis = skew_and_kurtosis(*powers)
    assert skew[0] == pytest.approx(stats.skew(returns))
    assert kurtosis[0] == pytest.approx(stats.kurtosis(returns, fisher=False))
    assert np.isnan(sharpe(np.array([0.1]), np.array([0.01])))[0]


def test_probabilistic_sharpe_as_published() -> None:
    """Bailey and Lopez de Prado (2012): 24 months at 0.458 a month, 0.982 if normal and 0.913 as they are."""
    ratio = np.array([0.458])
    normal = probabilistic_sharpe(ratio, np.zeros(1), np.full(1, 3.0), 24)
    skewed = probabilistic_sharpe(ratio, np.array([-2.448]), np.array([10.164]), 24)
    assert (round(normal[0], 3), round(skewed[0], 3)) == (0.982, 0.913)
    assert np.isnan(probabilistic_sharpe(np.array([np.nan]), np.zeros(1), np.zeros(1), 24))[0]


def test_deflated_sharpe_as_published() -> None:
    """Bailey and Lopez de Prado (2014): 2.5 a year over 1250 days, 100 trials that vary by 1/2: 0.1132 and 0.9004."""
    best = expected_best(100, 0.5 / 250)
    assert best == pytest.approx(0.1132, abs=5e-5)
    ratio = np.array([2.5 / math.sqrt(250)])
    found = probabilistic_sharpe(ratio, np.array([-3.0]), np.array([10.0]), 1250, best)
    assert found[0] == pytest.approx(0.9004, abs=5e-5)
    assert expected_best(1, 0.5) == 0.0


def test_best_of_many_trials_without_skill_is_as_expected() -> None:
    drawn = np.random.default_rng(2).normal(0.0, 0.3, (20_000, 50)).max(axis=1)
    assert expected_best(50, 0.09) == pytest.approx(drawn.mean(), rel=0.02)  # the formula is an approximation


def test_reliability_by_hand() -> None:
    said, came = np.array([0.05, 0.05, 0.55, 1.0]), np.array([0.0, 1.0, 1.0, 1.0])
    found = reliability(said, came)
    assert [(one.low, one.high, one.count) for one in found] == [(0.0, 0.1, 2), (0.5, 0.6, 1), (0.9, 1.0, 1)]
    assert [(one.predicted, one.observed) for one in found] == [(0.05, 0.5), (0.55, 1.0), (1.0, 1.0)]
    gaps = np.bincount(bin_of(said), said - came, BINS)
    assert calibration_error(gaps, np.array(4.0)) == pytest.approx((2 * 0.45 + 0.45) / 4)


def test_calibration_line_is_the_least_squares_fit() -> None:
    rng = np.random.default_rng(4)
    said = rng.normal(2.0, 1.0, 200)
    came = 0.5 * said + 1.0 + rng.normal(size=200)
    slope, intercept = line(
        np.array(np.mean(said * came) - said.mean() * came.mean()), np.array(said.var()), said.mean(), came.mean()
    )
    expected = stats.linregress(said, came)
    assert (slope, intercept) == pytest.approx((expected.slope, expected.intercept))
