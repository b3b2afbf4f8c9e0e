"""Order statistics among ties, signed zeros and missing rows."""

import numpy as np
import pytest

from kernels import ordered, reference

KERNELS = {
    "rolling_median": (),
    "rolling_quantile": (0.3,),
    "rolling_rank": (),
}


def ties(rows: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).choice([-2.0, -1.0, -0.0, 0.0, 0.0, 1.0, 1e12, 5e-324], rows)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("window", [1, 2, 3, 8, 64])
def test_ties_and_signed_zeros(name: str, window: int) -> None:
    x = ties(500, window)
    ours = getattr(ordered, name)(x, window, *KERNELS[name])
    np.testing.assert_allclose(ours, getattr(reference, name)(x, window, *KERNELS[name]), rtol=1e-15, atol=5e-324)


@pytest.mark.parametrize("q", [0.0, 0.05, 0.25, 1 / 3, 0.5, 0.75, 0.999, 1.0, 0, 1, np.float32(0.5)])
def test_a_quantile_is_numpys(q: float) -> None:
    x = np.random.default_rng(3).standard_normal(300)
    windows = np.lib.stride_tricks.sliding_window_view(x, 21)
    np.testing.assert_array_equal(ordered.rolling_quantile(x, 21, q)[20:], np.quantile(windows, float(q), axis=1))


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_blanks_its_windows_and_leaves_no_trace(name: str, hole: float) -> None:
    x = np.random.default_rng(4).standard_normal(400)
    clean = getattr(ordered, name)(x, 16, *KERNELS[name])
    x[[3, 100, 105]] = hole
    struck = getattr(ordered, name)(x, 16, *KERNELS[name])
    rows = [*range(19), *range(100, 121)]
    assert np.flatnonzero(np.isnan(struck)).tolist() == rows
    clean[rows] = np.nan
    np.testing.assert_array_equal(struck, clean)


def test_constant_windows() -> None:
    x = np.full(50, 1e9 + 0.1)
    assert (ordered.rolling_median(x, 8)[7:] == x[0]).all()
    assert (ordered.rolling_quantile(x, 8, 0.3)[7:] == x[0]).all()
    assert (ordered.rolling_rank(x, 8)[7:] == 9 / 16).all()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((np.zeros(5), 0, 0.5), ValueError, "window: expected at least 1, received 0"),
        ((np.zeros(5), 2, 1.1), ValueError, r"q: expected 0 to 1, received 1\.1"),
        ((np.zeros(5), 2, float("nan")), ValueError, "q: expected 0 to 1, received nan"),
        ((np.zeros(5), 2, "0.5"), TypeError, "q: expected a number, received '0.5'"),
        ((np.zeros(5), 2, True), TypeError, "q: expected a number, received True"),
        ((np.zeros(5, np.float32), 2, 0.5), TypeError, "x: expected a float64 array, received float32"),
    ],
)
def test_bad_arguments_are_named(arguments: tuple, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ordered.rolling_quantile(*arguments)


@pytest.mark.parametrize("window", [255, 256, 257, 320, 384, 700])
@pytest.mark.parametrize("series", ["walk", "noise", "ties", "falling"])
def test_long_windows_in_a_row_and_in_chunks(window: int, series: str) -> None:
    noise = np.random.default_rng(window).standard_normal(2500)
    x = {"walk": np.cumsum(noise), "noise": noise, "ties": np.round(noise), "falling": -np.arange(2500.0)}[series]
    x[[900, 1700]] = np.nan, np.inf
    windows = np.lib.stride_tricks.sliding_window_view(x, window)
    expected = np.where(np.isfinite(windows).all(axis=1), np.quantile(windows, 0.3, axis=1), np.nan)
    ours = ordered.rolling_quantile(x, window, 0.3)
    np.testing.assert_array_equal(ours[window - 1 :], expected)
    state, cut = ordered.rolling_quantile_state(window, 0.3), np.empty(2500)
    for rows in (slice(0, 1), slice(1, 777), slice(777, 778), slice(778, 2500)):
        ordered.rolling_quantile_update(state, x[rows], cut[rows])
    assert cut.tobytes() == ours.tobytes()
