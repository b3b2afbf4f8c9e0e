"""Eight rows at once against the same in NumPy, and against the edges of their arrays."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from kernels.compilation import kernel
from kernels.lane_memory import load, load_first, store, store_between
from kernels.lanes import MAXIMUM, SUM, first_lanes, join, lanes_after, last_lanes, places, running_down, running_up

ROOT = Path(__file__).resolve().parents[2]
ZERO = np.uint64(0)
eight = arrays.arrays(np.float64, 8, elements=st.floats(-1e6, 1e6))


@kernel
def running_sums(x, up, down, after):  # type: ignore[no-untyped-def]
    rows = load((x,), ZERO)
    store((up,), ZERO, running_up(SUM, rows))
    store((down,), ZERO, running_down(SUM, rows))
    store((after,), ZERO, lanes_after(SUM, rows))


@kernel
def running_maxima(x, up, down, after):  # type: ignore[no-untyped-def]
    rows = load((x,), ZERO)
    store((up,), ZERO, running_up(MAXIMUM, rows))
    store((down,), ZERO, running_down(MAXIMUM, rows))
    store((after,), ZERO, lanes_after(MAXIMUM, rows))


def pairwise(x: np.ndarray) -> float:
    """The documented order: pairs, pairs of pairs, halves; rows that are not there are 0."""
    x = np.concatenate([x, np.zeros(8 - len(x))])
    return float(((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + (x[6] + x[7])))


@given(x=eight)
def test_running_sums_add_pairs_of_pairs(x: np.ndarray) -> None:
    up, down, after = np.empty((3, 8))
    running_sums(x, up, down, after)
    np.testing.assert_array_equal(up, [pairwise(x[: n + 1]) for n in range(8)])
    np.testing.assert_array_equal(down, [pairwise(x[n:][::-1]) for n in range(8)])
    np.testing.assert_array_equal(after, [*x[1:], 0.0])


@given(x=eight)
def test_running_maxima(x: np.ndarray) -> None:
    up, down, after = np.empty((3, 8))
    running_maxima(x, up, down, after)
    np.testing.assert_array_equal(up, np.maximum.accumulate(x))
    np.testing.assert_array_equal(down, np.maximum.accumulate(x[::-1])[::-1])
    np.testing.assert_array_equal(after, [*x[1:], -np.inf])


@kernel
def copy_some(x, out, count, begin, end):  # type: ignore[no-untyped-def]
    store_between((out,), ZERO, begin, end, load_first((x,), ZERO, count, (-1.0,)))


@pytest.mark.parametrize("count", range(1, 9))
@pytest.mark.parametrize(("begin", "end"), [(0, 8), (0, 3), (2, 5), (7, 8), (4, 4)])
def test_only_the_rows_that_are_there_are_touched(count: int, begin: int, end: int) -> None:
    x, out = np.arange(10.0, 10.0 + count), np.zeros(8)
    copy_some(x, out, count, begin, end)
    expected = np.concatenate([x, np.full(8 - count, -1.0)])
    inside = (np.arange(8) >= begin) & (np.arange(8) < end)
    np.testing.assert_array_equal(out, np.where(inside, expected, 0.0))


@kernel
def edges_and_places(x, out):  # type: ignore[no-untyped-def]
    rows = load((x, x), ZERO)
    both = join(SUM, rows, (1.0, 2.0))
    out[0], out[1] = first_lanes(both)[0], last_lanes(both)[1]
    out[2], out[3] = join(MAXIMUM, (3.0,), (4.0,))[0], last_lanes((places(5.0),))[0]


def test_bundles_meet_member_by_member() -> None:
    out = np.empty(4)
    edges_and_places(np.arange(8.0), out)
    np.testing.assert_array_equal(out, [1.0, 9.0, 4.0, 12.0])


BEYOND = """
import numpy as np
from kernels.compilation import kernel
from kernels.lane_memory import load, load_first, store, store_between
INDEX = np.uint64({index})
@kernel
def access(x, y):
    {access}
access(np.zeros(12), np.zeros(8))
"""


@pytest.mark.parametrize(
    ("access", "fits", "leaves"),
    [
        ("store((y,), np.uint64(0), load((x,), INDEX))", 4, 5),
        ("store((y,), np.uint64(0), load_first((x,), INDEX, np.uint64(3), (0.0,)))", 9, 10),
        ("store((x,), INDEX, load((y,), np.uint64(0)))", 4, 5),
        ("store_between((x,), INDEX, np.uint64(1), np.uint64(3), load((y,), np.uint64(0)))", 9, 10),
    ],
)
def test_checked_accesses_stay_in_their_arrays(tmp_path: Path, access: str, fits: int, leaves: int) -> None:
    for index, message in ((fits, ""), (leaves, "IndexError: index is out of bounds")):
        done = subprocess.run(
            [sys.executable, "-c", BEYOND.format(index=index, access=access)],
            cwd=ROOT,
            env={"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path), "PATH": ""},
            capture_output=True, text=True,
        )  # fmt: skip
        assert (done.stderr.strip().splitlines() or [""])[-1] == message
