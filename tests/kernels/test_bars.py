"""Bars against the twin, and any cut of the ticks against the whole."""

import copy
import itertools
import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import bars, reference

SECOND = 10**9
KINDS = {
    "time": (bars.TIME, SECOND),
    "tick": (bars.TICK, 7),
    "volume": (bars.VOLUME, 40.5),
    "dollar": (bars.DOLLAR, 5e3),
}


def ticks(rows: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Ticks with equal stamps, seconds without any, unknown sides and zero volumes."""
    rng = np.random.default_rng(seed)
    timestamp = 1_700_000_000 * SECOND + np.cumsum(rng.choice([0, 1, 10**8, 3 * SECOND], rows, p=[0.3, 0.2, 0.4, 0.1]))
    price = np.round(100.0 + np.cumsum(rng.choice([-0.01, 0.0, 0.01], rows)), 2)
    volume = np.where(rng.random(rows) < 0.1, 0.0, rng.exponential(5.0, rows))
    return timestamp.astype(np.int64), price, volume, rng.choice([-1.0, 0.0, 1.0, np.nan], rows)


def quotes_of(price: np.ndarray, seed: int = 0) -> np.ndarray:
    """Bid, ask and their sizes, some of them missing."""
    rng = np.random.default_rng(seed)
    rows = len(price)
    spread = 0.01 * rng.integers(1, 3, (2, rows))
    quotes = np.stack([price - spread[0], price + spread[1], *rng.exponential(5.0, (2, rows))])
    quotes[rng.random((4, rows)) < 0.02] = np.nan
    return quotes


def assert_same(ours: bars.BarColumns, theirs: bars.BarColumns) -> None:
    assert ours.columns.shape == theirs.columns.shape
    for name, our, their in zip(bars.COLUMN_NAMES, ours.columns, theirs.columns, strict=True):
        assert our.tobytes() == their.tobytes(), name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("with_sides", [True, False])
@pytest.mark.parametrize("with_quotes", [True, False])
@pytest.mark.parametrize("rows", [0, 1, 2, 500])
def test_equals_twin(kind: str, with_sides: bool, with_quotes: bool, rows: int) -> None:
    timestamp, price, volume, side = ticks(rows)
    arguments = (timestamp, price, volume, KINDS[kind][1])
    known = {"side": side if with_sides else None, "quotes": quotes_of(price) if with_quotes else None}
    assert_same(
        getattr(bars, f"{kind}_bars")(*arguments, **known), getattr(reference, f"{kind}_bars")(*arguments, **known)
    )


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**32 - 1), cuts=st.lists(st.integers(0, 300), max_size=10))
@settings(max_examples=25, deadline=None)
def test_any_cut_gives_the_same_bars(kind: str, seed: int, cuts: list[int]) -> None:
    timestamp, price, volume, side = ticks(300, seed)
    quotes = quotes_of(price, seed)
    state = bars.bars_state(*KINDS[kind])
    parts = []
    for start, stop in itertools.pairwise(sorted({0, *cuts, 300})):
        state = np.frombuffer(state.tobytes()).copy()  # saved and restored at every cut
        rows = slice(start, stop)
        parts.append(bars.update_bars(state, timestamp[rows], price[rows], volume[rows], side[rows], quotes[:, rows]))
    at_once = bars.bars_state(*KINDS[kind])
    bars.update_bars(at_once, timestamp, price, volume, side, quotes)
    assert state.tobytes() == at_once.tobytes()
    if kind == "time":
        parts.append(bars.flush_bars(state))
    whole = getattr(bars, f"{kind}_bars")(timestamp, price, volume, KINDS[kind][1], side=side, quotes=quotes)
    assert_same(bars.BarColumns(np.concatenate(parts, axis=1)), whole)


@pytest.mark.parametrize("kind", KINDS)
def test_every_tick_alone_gives_the_same_bars(kind: str) -> None:
    timestamp, price, volume, side = ticks(300)
    state = bars.bars_state(*KINDS[kind])
    parts = [
        bars.update_bars(state, timestamp[row:][:1], price[row:][:1], volume[row:][:1], side[row:][:1])
        for row in range(300)
    ]
    if kind == "time":
        parts.append(bars.flush_bars(state))
    whole = getattr(bars, f"{kind}_bars")(timestamp, price, volume, KINDS[kind][1], side=side)
    assert_same(bars.BarColumns(np.concatenate(parts, axis=1)), whole)


def test_changes_are_counted_across_bars() -> None:
    stamps = np.arange(6)
    price, volume = np.array([10.0, 11.0, 11.0, 11.0, 8.0, 8.5]), np.array([1.0, 5.0, 2.0, 3.0, 4.0, 0.5])
    made = bars.tick_bars(stamps, price, volume, 2)
    np.testing.assert_array_equal(made.path, [1.0, 0.0, 3.5])
    np.testing.assert_array_equal(made.unchanged, [0, 2, 0])  # the very first tick has none before it
    np.testing.assert_array_equal(made.largest, [5.0, 3.0, 4.0])
    np.testing.assert_array_equal(made.buys, [1, 2, 1])  # up, then twice the last sign, down, up
    np.testing.assert_array_equal(made.sells, [0, 0, 1])


def test_order_flow_of_quotes_is_the_published_one() -> None:
    bid, ask = [10.0, 10.0, 10.1, 10.0], [10.2, 10.2, 10.2, 10.1]
    bids, asks = [5.0, 7.0, 2.0, 4.0], [3.0, 3.0, 1.0, 6.0]
    quotes, one = np.array([bid, ask, bids, asks]), np.ones(4)
    made = bars.tick_bars(np.arange(4), one, one, 1, quotes=quotes)
    # sizes: +(7 - 5); a higher bid of 2 and 2 fewer asked; the bid of 2 gone and a lower ask of 6
    np.testing.assert_array_equal(made.quote_flow, [0.0, 2.0, 2.0 + 2.0, -2.0 - 6.0])
    np.testing.assert_array_equal([made.bid, made.ask, made.bid_size, made.ask_size], quotes)
    quotes[2, 1] = np.nan
    np.testing.assert_array_equal(
        bars.tick_bars(np.arange(4), one, one, 1, quotes=quotes).quote_flow, [0.0, np.nan, np.nan, -8.0]
    )


@pytest.mark.parametrize("kind", KINDS)
def test_prices_alone_are_the_first_columns(kind: str) -> None:
    timestamp, price, volume, _ = ticks(500)
    make, size = getattr(bars, f"{kind}_bars"), KINDS[kind][1]
    prices, whole = (make(timestamp, price, volume, size, prices_only=only) for only in (True, False))
    assert prices.columns.shape == (bars.PRICE_COLUMNS, len(whole))
    assert prices.columns.tobytes() == whole.columns[: bars.PRICE_COLUMNS].tobytes()
    with pytest.raises(AttributeError, match="'buys' is not among the prices"):
        prices.buys  # noqa: B018


@pytest.mark.parametrize("cuts", [[], [1], [1, 2, 250, 499]])
def test_ticks_taken_over_as_bars_of_prices_leave_the_state_of_bars_that_were_made(cuts: list[int]) -> None:
    timestamp, price, volume, _ = ticks(500)
    volume[::7], volume[3] = 0.0, -0.0
    states = {only: bars.bars_state(bars.TICK, 1) for only in (True, False)}
    for start, stop in pairwise([0, *cuts, 500]):
        rows = slice(start, stop)
        prices, whole = (
            bars.update_bars(state, timestamp[rows], price[rows], volume[rows], None, prices_only=only)
            for only, state in states.items()
        )
        assert prices.tobytes() == whole[: bars.PRICE_COLUMNS].tobytes()
        told = [np.delete(state, 3)[: bars.PRICE_COLUMNS + 4].tobytes() for state in states.values()]
        assert told[0] == told[1]  # all but the sign of the tick rule, which prices do without
        assert not states[True][bars.PRICE_COLUMNS + 5 :].any()


def test_bars_are_copied_and_pickled() -> None:
    made = bars.tick_bars(np.arange(3), np.ones(3), np.ones(3), 1)
    assert_same(pickle.loads(pickle.dumps(made)), made)
    assert_same(copy.deepcopy(made), made)


def test_decimal_volumes_fill_a_bar_in_time() -> None:
    stamps, price = np.arange(30), np.ones(30)
    np.testing.assert_array_equal(bars.volume_bars(stamps, price, np.full(30, 0.1), 1.0).ticks, [10, 10, 10])


def test_nothing_is_lost() -> None:
    timestamp, price, volume, _ = ticks(1000)
    made = bars.time_bars(timestamp, price, volume, SECOND)
    assert made.ticks.sum() == 1000
    np.testing.assert_allclose(made.volume.sum(), volume.sum())
    np.testing.assert_allclose(made.dollar.sum(), (price * volume).sum())
    np.testing.assert_allclose(made.path.sum(), np.abs(np.diff(price)).sum())


def test_labels_are_starts_also_before_the_epoch() -> None:
    timestamp = np.array([-1, 0, SECOND - 1, SECOND], np.int64)
    made = bars.time_bars(timestamp, np.ones(4), np.ones(4), SECOND)
    np.testing.assert_array_equal(made.timestamp, [-SECOND, 0, SECOND])


def test_bad_ticks_are_refused() -> None:
    one = np.ones(2)
    with pytest.raises(ValueError, match="times that never decrease"):
        bars.time_bars(np.array([2, 1], np.int64), one, one, SECOND)
    with pytest.raises(TypeError, match="timestamp: expected an int64 array, received float64"):
        bars.time_bars(one, one, one, SECOND)
    with pytest.raises(ValueError, match="expected arrays of 2 rows, received"):
        bars.tick_bars(np.array([1, 2], np.int64), one, np.ones(3), 2)
    with pytest.raises(ValueError, match="size: expected a number above 0"):
        bars.tick_bars(np.array([1, 2], np.int64), one, one, 0)
    with pytest.raises(ValueError, match=r"quotes: expected the shape \(4, 2\), received \(2, 2\)"):
        bars.tick_bars(np.array([1, 2], np.int64), one, one, 2, quotes=np.ones((2, 2)))
    with pytest.raises(TypeError, match="quotes: expected a float64 array, received int64"):
        bars.tick_bars(np.array([1, 2], np.int64), one, one, 2, quotes=np.ones((4, 2), np.int64))
    state = bars.bars_state(bars.TIME, SECOND)
    bars.update_bars(state, np.array([5], np.int64), one[:1], one[:1], one[:1])
    with pytest.raises(ValueError, match="older than the last one seen"):
        bars.update_bars(state, np.array([4], np.int64), one[:1], one[:1], one[:1])
