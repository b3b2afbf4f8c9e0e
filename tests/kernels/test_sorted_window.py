"""Whatever comes, chunks hold the window in order, and are no more than there is room for."""

import itertools

import numpy as np
import pytest

from kernels import ordered

WINDOWS = [257, 288, 289, 500, 1024]
ROWS = 6000


def series(name: str) -> np.ndarray:
    rng = np.random.default_rng(5)
    noise = rng.standard_normal(ROWS)
    levels = np.repeat(rng.choice([-50.0, 0.0, 3.0, 50.0], ROWS // 60), 60)
    return {
        "noise": noise,
        "walk": np.cumsum(noise),
        "rising": np.arange(ROWS) * 1.0,
        "falling": -np.arange(ROWS) * 1.0,
        "levels": levels + np.round(noise, 1),
        "two values": np.sign(noise),
        "standing": np.full(ROWS, 4.0),
        "bursts": np.where(rng.random(ROWS) < 0.02, 1e12 * noise, np.round(noise)),
    }[name]


def chunks(state: np.ndarray, window: int) -> tuple[list[np.ndarray], np.ndarray]:
    """What each chunk holds, and the first numbers that are noted of them; read by the documented layout."""
    columns = state[ordered._RING + window :]
    most = next(n for n in range(8, len(columns), 8) if len(columns) == 2 + 3 * n + 64 * n)
    used = int(columns[0])
    assert used <= most
    fronts, starts, sizes = (
        columns[1 : 1 + most],
        columns[1 + most : 1 + 2 * most],
        columns[2 + 2 * most : 2 + 3 * most],
    )
    assert len(set(starts)) == most
    assert np.isinf(fronts[used:]).all()
    counts = np.where(np.arange(most) < used, sizes, 0).astype(int)
    rooms = [state[int(start) : int(start) + 64] for start in starts]
    assert all(np.isinf(room[count:]).all() for room, count in zip(rooms, counts, strict=True))
    return [room[:count] for room, count in zip(rooms[:used], counts, strict=False)], fronts[:used]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("name", ["noise", "walk", "rising", "falling", "levels", "two values", "standing", "bursts"])
def test_chunks_hold_the_window_in_order(name: str, window: int) -> None:
    x, out = series(name), np.empty(ROWS)
    state = ordered.rolling_quantile_state(window, 0.25)
    for start in range(0, ROWS, 37):
        rows = slice(start, min(start + 37, ROWS))
        ordered.rolling_quantile_update(state, x[rows], out[rows])
        parts, fronts = chunks(state, window)
        sizes = [len(part) for part in parts]
        assert all(0 < size < 64 for size in sizes)
        assert all(one + other > 32 for one, other in itertools.pairwise(sizes))
        np.testing.assert_array_equal(fronts, [part[0] for part in parts])
        np.testing.assert_array_equal(np.concatenate(parts), np.sort(state[ordered._RING : ordered._RING + window]))
