"""A module of features that see the future, each in its own way, as a user might write them by mistake."""

MODULE = '''
import numpy as np
from numba import njit

from pipelines.catalogue import feature
from pipelines.catalogue.functions import bars
from pipelines.expressions import Kernel


@njit(nogil=True, error_model="numpy")
def centred_mean_update(state, x, out):
    for row in range(len(x)):
        first, stop = max(0, row - 2), min(len(x), row + 3)
        out[row] = x[row] / x[first:stop].mean() - 1.0


@njit(nogil=True, error_model="numpy")
def back_fill_update(state, x, out):
    """The last change of the price, and the next one where the price stands still."""
    change = np.nan
    for row in range(len(x) - 1, -1, -1):
        if row > 0 and x[row] != x[row - 1]:
            change = x[row] / x[row - 1] - 1.0
        out[row] = change


@njit(nogil=True, error_model="numpy")
def normalised_update(state, x, out):
    """Where the price lies between the extremes of the window of 8 rows that begins with it."""
    for row in range(len(x)):
        ahead = x[row : row + 8]
        spread = ahead.max() - ahead.min()
        out[row] = (x[row] - ahead.min()) / spread if spread > 0.0 else 0.5


@njit(nogil=True, error_model="numpy")
def complete_bar_update(state, label, last, x, out):
    """An as-of join on the label of bars, which is their begin: the bar that is under way is the next one."""
    labels, lasts = label.view(np.int64), last.view(np.int64)
    for row in range(len(x)):
        found = row
        while found + 1 < len(x) and labels[found + 1] <= lasts[row] + 60_000_000_000:
            found += 1
        out[row] = x[found] / x[row] - 1.0


@njit(nogil=True, error_model="numpy")
def jump_update(state, x, out):
    """The last change of the price, but for the rows before its largest moves, which it tells."""
    for row in range(len(x)):
        out[row] = x[row] / state[0] - 1.0 if state[0] > 0.0 else 0.0
        if row + 1 < len(x) and abs(x[row + 1] / x[row] - 1.0) > 0.05:
            out[row] = x[row + 1] / x[row] - 1.0
        state[0] = x[row]


def reference_state():
    """Bars of another market: their begins, then their closes, which only come at their ends."""
    begins = 1_704_067_200_000_000_000 + np.arange(400) * 1_000_000_000
    closes = 50.0 + np.sin(np.arange(400) / 3.0)
    return np.concatenate([begins.astype(np.int64).view(np.float64), closes])


@njit(nogil=True, error_model="numpy")
def reference_update(state, time, out):
    half = len(state) // 2
    begins = state[:half].view(np.int64)
    times = time.view(np.int64)
    for row in range(len(times)):
        out[row] = state[half + max(np.searchsorted(begins, times[row], side="right") - 1, 0)]


def no_state():
    return np.zeros(1)


def kernel(update, inputs, state=no_state):
    return Kernel((update.__name__.removesuffix("_update"),), update, state, inputs)


feature("leak_centred", "a window around the row")(lambda: kernel(centred_mean_update, 1)(bars.close))
feature("leak_backfill", "filled from behind")(lambda: kernel(back_fill_update, 1)(bars.close))
feature("leak_normalised", "normalised by what follows")(lambda: kernel(normalised_update, 1)(bars.close))
feature("leak_join", "joined with the bar under way")(
    lambda: kernel(complete_bar_update, 3)(bars.timestamp, bars.last_timestamp, bars.close)
)
feature("leak_jump", "the largest moves beforehand")(lambda: kernel(jump_update, 1)(bars.close))
feature("leak_reference", "joined with another market")(
    lambda: kernel(reference_update, 1, reference_state)(bars.timestamp)
)
feature("volume_now", "the volume as it is")(lambda: bars.volume * 1.0)
'''
