"""The kernels as functions of expressions, named as in `kernels`, and the shorthand that definitions share."""

from collections.abc import Callable

from kernels import (
    clock,
    directional,
    extreme_ages,
    extremes,
    lagged,
    moments,
    ordered,
    recursive,
    regression,
    rolling,
    sequences,
    trend,
)
from pipelines.expressions import BarFields, Expression, Kernel, absolute, divide_or, maximum, minimum

bars = BarFields()


def _window(window: int, *more: float) -> int:
    return window - 1


def _rows(rows: int) -> int:
    return rows


def _rolling(name: str, update: Callable[..., None], state: Callable[..., object], inputs: int = 1) -> Kernel:
    return Kernel((name,), update, state, inputs, _window)  # type: ignore[arg-type]


_total = _rolling("rolling_sum", rolling.rolling_sum_update, rolling.rolling_sum_state)
_mean = _rolling("rolling_mean", rolling.rolling_mean_update, rolling.rolling_mean_state)
_std = _rolling("rolling_std", rolling.rolling_std_update, rolling.rolling_std_state)
_zscore = _rolling("rolling_zscore", rolling.rolling_zscore_update, rolling.rolling_zscore_state)
_totals = Kernel((*_total.names, *_mean.names), rolling.rolling_totals_update, rolling.rolling_sum_state)
_moments = Kernel(
    (*_mean.names, *_std.names, *_zscore.names), rolling.rolling_moments_update, rolling.rolling_moments_state
)
_total_and_moments = Kernel(
    (*_total.names, *_moments.names),
    rolling.rolling_total_and_moments_update,
    rolling.rolling_moments_state,
    warmup=_window,
    parts=(_total, _mean, _std, _zscore, _totals, _moments),
)
rolling_var = _rolling("rolling_var", rolling.rolling_var_update, rolling.rolling_var_state)
rolling_min = _rolling("rolling_min", extremes.rolling_min_update, extremes.rolling_min_state)
rolling_max = _rolling("rolling_max", extremes.rolling_max_update, extremes.rolling_max_state)
rolling_argmin = _rolling("rolling_argmin", extreme_ages.rolling_argmin_update, extreme_ages.rolling_argmin_state)
rolling_argmax = _rolling("rolling_argmax", extreme_ages.rolling_argmax_update, extreme_ages.rolling_argmax_state)
rolling_skew = _rolling("rolling_skew", moments.rolling_skew_update, moments.rolling_skew_state)
rolling_kurt = _rolling("rolling_kurt", moments.rolling_kurt_update, moments.rolling_kurt_state)
rolling_quantile = _rolling("rolling_quantile", ordered.rolling_quantile_update, ordered.rolling_quantile_state)
rolling_rank = _rolling("rolling_rank", ordered.rolling_rank_update, ordered.rolling_rank_state)
rolling_cov = _rolling("rolling_cov", regression.rolling_cov_update, regression.rolling_cov_state, 2)
rolling_corr = _rolling("rolling_corr", regression.rolling_corr_update, regression.rolling_corr_state, 2)
rolling_slope = _rolling("rolling_slope", trend.rolling_slope_update, trend.rolling_slope_state)
rolling_rsquare = _rolling("rolling_rsquare", trend.rolling_rsquare_update, trend.rolling_rsquare_state)
rolling_resid = _rolling("rolling_resid", trend.rolling_resid_update, trend.rolling_resid_state)

log_returns = Kernel(("log_returns",), lagged.log_returns_update, lagged.log_returns_state, warmup=_rows)
returns = Kernel(("returns",), lagged.returns_update, lagged.returns_state, warmup=_rows)
ema = Kernel(("ema",), recursive.ema_update, recursive.ema_state, warmup=_window)
rsi = Kernel(("rsi",), recursive.rsi_update, recursive.rsi_state, warmup=_rows)
atr = Kernel(("atr",), recursive.atr_update, recursive.atr_state, 3, _rows)
adx = Kernel(("adx",), directional.adx_update, directional.adx_state, 3, lambda period: 2 * period - 1)

lag = Kernel(("lag",), lagged.lag_update, lagged.lag_state, warmup=_rows)
running_sum = Kernel(("running_sum",), sequences.running_sum_update, sequences.running_sum_state)
run_length = Kernel(("run_length",), sequences.run_length_update, sequences.run_length_state, warmup=lambda: 1)
sign_entropy = Kernel(
    ("sign_entropy",), sequences.sign_entropy_update, sequences.sign_entropy_state, warmup=lambda window: window + 2
)
fractional_difference = Kernel(
    ("fractional_difference",),
    sequences.fractional_difference_update,
    sequences.fractional_difference_state,
    warmup=lambda order: len(sequences.difference_weights(order)) - 1,
)

elapsed = Kernel(("elapsed",), clock.elapsed_update, clock.elapsed_state, warmup=lambda: 1)
decayed = Kernel(("decayed",), clock.decayed_update, clock.decayed_state, 2)
day_sine = Kernel(("day_sine",), clock.day_sine_update, clock.no_state)
day_cosine = Kernel(("day_cosine",), clock.day_cosine_update, clock.no_state)
week_sine = Kernel(("week_sine",), clock.week_sine_update, clock.no_state)
week_cosine = Kernel(("week_cosine",), clock.week_cosine_update, clock.no_state)


def rolling_sum(x: Expression, window: int) -> Expression:
    """Rolling sum. A plan makes sum, mean, standard deviation and z-score of the same rows in one pass."""
    return _total_and_moments.outputs(x, window)[0] if window > 1 else _total(x, window)


def rolling_mean(x: Expression, window: int) -> Expression:
    """Rolling mean."""
    return _total_and_moments.outputs(x, window)[1] if window > 1 else _mean(x, window)


def rolling_std(x: Expression, window: int) -> Expression:
    """Rolling sample standard deviation; at least two rows."""
    return _total_and_moments.outputs(x, window)[2]


def rolling_zscore(x: Expression, window: int) -> Expression:
    """Rolling z-score; 0 where the window is constant."""
    return _total_and_moments.outputs(x, window)[3]


mean, std, zscore = rolling_mean, rolling_std, rolling_zscore


def share(part: Expression, whole: Expression) -> Expression:
    """part / whole, and 0 where the whole is 0."""
    return divide_or(part, whole, 0.0)


def clipped(x: Expression, low: float, high: float) -> Expression:
    """`x` kept between two bounds, which rounding might pass."""
    return minimum(maximum(x, low), high)


def correlation(x: Expression, y: Expression, window: int) -> Expression:
    """Rolling correlation from -1 to 1, and 0 where one of the two is constant."""
    spread = std(x, window) * std(y, window)
    return clipped(share(rolling_cov(x, y, window), spread), -1.0, 1.0)


def change(x: Expression, rows: int = 1) -> Expression:
    """x - x of `rows` rows ago."""
    return x - lag(x, rows)


def down_part(x: Expression) -> Expression:
    """|x| where x is below 0, else 0."""
    return maximum(0.0 - x, 0.0)


def true_share_of_path(x: Expression, window: int) -> Expression:
    """Kaufman's efficiency ratio: net change over the path walked."""
    return share(absolute(change(x, window)), rolling_sum(absolute(change(x)), window))
