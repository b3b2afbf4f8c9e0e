"""Statistics of the last `window` rows that rest on sums: sum, mean, variance, standard deviation, z-score.

How the sums are made, and why any cut of the rows gives the same bits, stands in `window_folds`. A window that holds a
NaN or an infinity gives NaN, and only such a window.
"""

from kernels.arrays import Floats, run, run_many
from kernels.compilation import inlined, kernel
from kernels.lanes import SUM, square_root, where
from kernels.window_folds import fold_state, fold_windows

_TOTAL, _MEAN = range(2)  # made of first powers
_VARIANCE, _STD, _ZSCORE = range(3)  # made of first and second powers


def rolling_sum_state(window: int) -> Floats:
    """State of `rolling_sum`."""
    return fold_state(window, kind=_TOTAL)


def rolling_mean_state(window: int) -> Floats:
    """State of `rolling_mean`."""
    return fold_state(window, kind=_MEAN)


def rolling_var_state(window: int) -> Floats:
    """State of `rolling_var`."""
    return fold_state(window, terms=2, kind=_VARIANCE, least=2)


def rolling_std_state(window: int) -> Floats:
    """State of `rolling_std`."""
    return fold_state(window, terms=2, kind=_STD, least=2)


def rolling_zscore_state(window: int) -> Floats:
    """State of `rolling_zscore`."""
    return fold_state(window, terms=2, kind=_ZSCORE, least=2)


def rolling_moments_state(window: int) -> Floats:
    """State of `rolling_moments`."""
    return fold_state(window, terms=2, least=2)


@inlined
def finite(total):  # type: ignore[no-untyped-def]
    """A sum, NaN where it is infinite."""
    return total + (total - total)


@inlined
def _deviation(values, anchors, place):  # type: ignore[no-untyped-def]
    return (values[0] - anchors[0],)


@inlined
def _total_or_mean(kind, sums, values, anchors, place, window):  # type: ignore[no-untyped-def]
    total = finite(sums[0])
    if kind == _TOTAL:
        return (total + anchors[0] * window,)
    return (anchors[0] + total * (1.0 / window),)


@kernel
def total_update(state, x, out):  # type: ignore[no-untyped-def]
    """Take rows and write the sum or the mean of the window that ends at each, as the state says."""
    fold_windows(state, (x,), (out,), (0.0,), _deviation, SUM, _total_or_mean)


rolling_sum_update = rolling_mean_update = total_update


@inlined
def _totals(kind, sums, values, anchors, place, window):  # type: ignore[no-untyped-def]
    (total,) = _total_or_mean(_TOTAL, sums, values, anchors, place, window)
    (mean,) = _total_or_mean(_MEAN, sums, values, anchors, place, window)
    return total, mean


@kernel
def rolling_totals_update(state, x, total, mean):  # type: ignore[no-untyped-def]
    """Take rows and write sum and mean, for plans that need both."""
    fold_windows(state, (x,), (total, mean), (0.0,), _deviation, SUM, _totals)


@inlined
def two_powers(values, anchors, place):  # type: ignore[no-untyped-def]
    """The deviation and its square."""
    deviation = values[0] - anchors[0]
    return deviation, deviation * deviation


@inlined
def mean_and_variance(sums, window):  # type: ignore[no-untyped-def]
    """Of deviations; rounding below zero variance is cut."""
    total = finite(sums[0])
    mean = total * (1.0 / window)
    variance = (sums[1] - total * mean) * (1.0 / (window - 1.0))
    return mean, where(variance < 0.0, 0.0, variance)


@inlined
def _zscore(deviation, mean, std):  # type: ignore[no-untyped-def]
    return where(std == 0.0, 0.0, (deviation - mean) / std)


@inlined
def _spread(kind, sums, values, anchors, place, window):  # type: ignore[no-untyped-def]
    mean, variance = mean_and_variance(sums, window)
    if kind == _VARIANCE:
        return (variance,)
    std = square_root(variance)
    if kind == _STD:
        return (std,)
    return (_zscore(values[0] - anchors[0], mean, std),)


@kernel
def spread_update(state, x, out):  # type: ignore[no-untyped-def]
    """Take rows and write variance, standard deviation or z-score, as the state says."""
    fold_windows(state, (x,), (out,), (0.0, 0.0), two_powers, SUM, _spread)


rolling_var_update = rolling_std_update = rolling_zscore_update = spread_update


@inlined
def _moments(kind, sums, values, anchors, place, window):  # type: ignore[no-untyped-def]
    mean, variance = mean_and_variance(sums, window)
    std = square_root(variance)
    return anchors[0] + mean, std, _zscore(values[0] - anchors[0], mean, std)


@kernel
def rolling_moments_update(state, x, mean, std, zscore):  # type: ignore[no-untyped-def]
    fold_windows(state, (x,), (mean, std, zscore), (0.0, 0.0), two_powers, SUM, _moments)


@inlined
def _total_and_moments(kind, sums, values, anchors, place, window):  # type: ignore[no-untyped-def]
    (total,) = _total_or_mean(_TOTAL, sums, values, anchors, place, window)
    mean, std, zscore = _moments(kind, sums, values, anchors, place, window)
    return total, mean, std, zscore


@kernel
def rolling_total_and_moments_update(state, x, total, mean, std, zscore):  # type: ignore[no-untyped-def]
    """Take rows and write sum, mean, standard deviation and z-score, for plans that need some of them together."""
    fold_windows(state, (x,), (total, mean, std, zscore), (0.0, 0.0), two_powers, SUM, _total_and_moments)


def rolling_sum(x: Floats, window: int, out: Floats | None = None) -> Floats:
    """Sum of the last `window` rows.

    Args:
        x: (time,) float64, any unit.
        window: rows, at least 1.
        out: (time,) float64 to write into; a new array when None.

    Returns:
        (time,) float64 in the unit of `x`; NaN for the first `window - 1` rows and where the window holds a
        NaN or an infinity.

    Raises:
        TypeError, ValueError: wrong dtype, dimension or window; the message names the argument.
    """
    return run(rolling_sum_update, rolling_sum_state(window), {"x": x}, out)


def rolling_mean(x: Floats, window: int, out: Floats | None = None) -> Floats:
    """Arithmetic mean of the last `window` rows (simple moving average).

    Arguments, NaN rule and errors as in `rolling_sum`; the unit of `x`.
    """
    return run(rolling_mean_update, rolling_mean_state(window), {"x": x}, out)


def rolling_var(x: Floats, window: int, out: Floats | None = None) -> Floats:
    """Sample variance (ddof = 1) of the last `window` rows; `window` is at least 2.

    NaN rule and errors as in `rolling_sum`; the unit of `x` squared; exactly 0 where the window is constant.
    """
    return run(rolling_var_update, rolling_var_state(window), {"x": x}, out)


def rolling_std(x: Floats, window: int, out: Floats | None = None) -> Floats:
    """Sample standard deviation (ddof = 1) of the last `window` rows; `window` is at least 2.

    NaN rule and errors as in `rolling_sum`; the unit of `x`; exactly 0 where the window is constant.
    """
    return run(rolling_std_update, rolling_std_state(window), {"x": x}, out)


def rolling_zscore(x: Floats, window: int, out: Floats | None = None) -> Floats:
    """(x - rolling mean) / rolling standard deviation (ddof = 1); `window` is at least 2.

    NaN rule and errors as in `rolling_sum`; no unit. A constant window gives 0, not NaN: the row equals its mean,
    and series such as the volume of an index are constant zero.
    """
    return run(rolling_zscore_update, rolling_zscore_state(window), {"x": x}, out)


def rolling_moments(
    x: Floats, window: int, out: tuple[Floats, Floats, Floats] | None = None
) -> tuple[Floats, Floats, Floats]:
    """(rolling_mean, rolling_std, rolling_zscore) of one window from one pass over the sums, with the same bits.

    Arguments, NaN rule and errors as in `rolling_zscore`; `window` is at least 2.
    """
    mean, std, zscore = run_many(rolling_moments_update, rolling_moments_state(window), {"x": x}, 3, out)
    return mean, std, zscore
