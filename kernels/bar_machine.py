"""The compiled half of `kernels.bars`: where bars end, and what the ticks of each add up to.

First the rows where bars end are found, then each bar is summed up over its rows, one family of columns after the
other: the few running values of a family stay in registers, and a family costs only where it is asked for.
"""

import math

import numpy as np

from kernels.compilation import inlined, kernel

TIME, TICK, VOLUME, DOLLAR = 0.0, 1.0, 2.0, 3.0

COLUMN_NAMES = (
    *("timestamp", "last_timestamp", "open", "high", "low", "close", "volume", "dollar", "buy_volume", "sell_volume"),
    *("ticks", "buys", "sells", "unchanged", "path", "largest", "bid", "ask", "bid_size", "ask_size", "quote_flow"),
)
COLUMNS = len(COLUMN_NAMES)
PRICE_COLUMNS = 8  # times, prices, volume, dollar
QUOTE_NAMES = ("bid", "ask", "bid_size", "ask_size")
QUOTES = len(QUOTE_NAMES)

# State: 0 ticks seen, 1 kind, 2 size, 3 the sign of the tick rule, then the open bar, a slot a column. The slots of
# the two times hold the bits of an int64: epoch nanoseconds do not fit a float64. Between bars, close and quotes are
# those of the last tick, and the sums are 0.
KIND, SIZE, _SIGN, BAR = range(1, 5)
_LABEL, LAST, _OPEN, _HIGH, _LOW, _CLOSE, _VOLUME, _DOLLAR, _BOUGHT, _SOLD = range(BAR, BAR + 10)
TICKS, _BUYS, _SELLS, _UNCHANGED, _PATH, _LARGEST, _BID, _ASK, _BID_SIZE, _ASK_SIZE, _FLOW = range(BAR + 10, BAR + 21)
FILL_TOLERANCE = 1e-9  # ten ticks of 0.1 sum to a hair below 1.0 and fill a bar of 1.0 all the same


@inlined
def _time_ends(state, timestamp, ends):  # type: ignore[no-untyped-def]
    step = np.int64(state[SIZE])
    is_open = state[TICKS] > 0.0
    end = state.view(np.int64)[_LABEL] + step if is_open else (timestamp[0] // step + 1) * step
    bars, steps_back, before = 0, 0, timestamp[0]
    for row in range(len(timestamp)):
        steps_back += timestamp[row] < before
        before = timestamp[row]
        if timestamp[row] >= end:
            ends[bars] = row
            bars += 1
            end = (timestamp[row] // step + 1) * step
    return bars if steps_back == 0 else -1


@inlined
def _tick_ends(state, rows, ends):  # type: ignore[no-untyped-def]
    size = np.int64(state[SIZE])
    bars = 0
    for end in range(size - np.int64(state[TICKS]), rows + 1, size):
        ends[bars] = end
        bars += 1
    return bars


@inlined
def _volume_ends(state, volume, ends):  # type: ignore[no-untyped-def]
    enough = state[SIZE] * (1.0 - FILL_TOLERANCE)
    filled = state[_VOLUME]
    bars = 0
    for row in range(len(volume)):
        filled += volume[row]
        if filled >= enough:
            ends[bars] = row + 1
            bars += 1
            filled = 0.0
    return bars


@inlined
def _dollar_ends(state, price, volume, ends):  # type: ignore[no-untyped-def]
    enough = state[SIZE] * (1.0 - FILL_TOLERANCE)
    filled = state[_DOLLAR]
    bars = 0
    for row in range(len(volume)):
        filled += price[row] * volume[row]
        if filled >= enough:
            ends[bars] = row + 1
            bars += 1
            filled = 0.0
    return bars


@inlined
def _never_decreases(timestamp):  # type: ignore[no-untyped-def]
    steps_back = 0
    for row in range(1, len(timestamp)):
        steps_back += timestamp[row] < timestamp[row - 1]
    return steps_back == 0


@kernel
def find_ends(state, timestamp, price, volume, ends):  # type: ignore[no-untyped-def]
    """Write the row after each bar that the ticks close, and return how many; -1 where times step back."""
    if len(timestamp) == 0:
        return 0
    if state[KIND] == TIME:
        return _time_ends(state, timestamp, ends)
    if not _never_decreases(timestamp):
        return -1
    if state[KIND] == TICK:
        return _tick_ends(state, len(timestamp), ends)
    if state[KIND] == VOLUME:
        return _volume_ends(state, volume, ends)
    return _dollar_ends(state, price, volume, ends)


@inlined
def _start(state, times, timestamp, price):  # type: ignore[no-untyped-def]
    label = timestamp
    if state[KIND] == TIME:
        step = np.int64(state[SIZE])
        label = timestamp // step * step
    times[_LABEL] = label
    state[_OPEN] = state[_HIGH] = state[_LOW] = price
    if state[0] == 0.0:  # the very first tick has none before it: it is compared with itself, and that does not count
        state[_CLOSE] = price
        state[_UNCHANGED] = -1.0


@inlined
def _add_prices(state, price, volume, start, stop):  # type: ignore[no-untyped-def]
    high, low, total, dollar = state[_HIGH], state[_LOW], state[_VOLUME], state[_DOLLAR]
    for row in range(start, stop):
        high = price[row] if price[row] > high else high
        low = price[row] if price[row] < low else low
        total += volume[row]
        dollar += price[row] * volume[row]
    state[_HIGH], state[_LOW], state[_VOLUME], state[_DOLLAR] = high, low, total, dollar
    state[_CLOSE] = price[stop - 1]


@inlined
def _add_trades(state, price, volume, side, start, stop):  # type: ignore[no-untyped-def]
    # Comparisons become factors of 0 or 1, in the forms that compile to masks: nobody can predict a market, and a
    # count of `price != before` in place of |change| made the loop half as fast.
    before, sign, bought, sold = state[_CLOSE], state[_SIGN], state[_BOUGHT], state[_SOLD]
    buys, sells, changed, path, largest = state[_BUYS], state[_SELLS], 0.0, state[_PATH], state[_LARGEST]
    has_side = np.int64(len(side) > 1)
    for row in range(start, stop):
        change = (1.0 if price[row] > before else 0.0) - (1.0 if price[row] < before else 0.0)
        sign = change if price[row] != before else sign
        changed += abs(change)
        path += abs(price[row] - before)
        before = price[row]
        given = side[row * has_side]
        direction = given if abs(given) == 1.0 else sign
        is_buy = 1.0 if direction > 0.0 else 0.0
        is_sell = 1.0 if direction < 0.0 else 0.0
        buys += is_buy
        sells += is_sell
        bought += is_buy * volume[row]
        sold += is_sell * volume[row]
        largest = volume[row] if volume[row] > largest else largest
    state[_SIGN], state[_BOUGHT], state[_SOLD] = sign, bought, sold
    state[_BUYS], state[_SELLS], state[_PATH], state[_LARGEST] = buys, sells, path, largest
    state[_UNCHANGED] += stop - start - changed


@inlined
def _flow(now, before):  # type: ignore[no-untyped-def]
    (bid, ask, bid_size, ask_size), (bid_before, ask_before, bid_size_before, ask_size_before) = now, before
    flow = bid_size if bid >= bid_before else 0.0
    flow -= bid_size_before if bid <= bid_before else 0.0
    flow -= ask_size if ask <= ask_before else 0.0
    flow += ask_size_before if ask >= ask_before else 0.0
    return flow


@inlined
def _add_quotes(state, quotes, start, stop):  # type: ignore[no-untyped-def]
    """Last quote, and the sum of the best-level order-flow imbalance of Cont, Kukanov and Stoikov (2014)."""
    if quotes.shape[1] == 0:
        for slot in range(_BID, _FLOW + 1):
            state[slot] = math.nan
        return
    if state[0] == 0.0:
        for slot in range(QUOTES):
            state[_BID + slot] = quotes[slot, start]
    before = state[_BID], state[_ASK], state[_BID_SIZE], state[_ASK_SIZE]
    total = state[_FLOW]
    for row in range(start, stop):
        now = quotes[0, row], quotes[1, row], quotes[2, row], quotes[3, row]
        is_known = sum(now) + sum(before) == sum(now) + sum(before)  # NaN in any makes the sum NaN
        total += _flow(now, before) if is_known else math.nan
        before = now
    state[_BID], state[_ASK], state[_BID_SIZE], state[_ASK_SIZE] = before
    state[_FLOW] = total


@inlined
def _emit(state, columns, bar):  # type: ignore[no-untyped-def]
    for column in range(len(columns)):
        columns[column, bar] = state[BAR + column]
    for slot in range(_VOLUME, _BID):
        state[slot] = 0.0
    state[_FLOW] = 0.0


@inlined
def _copy_ticks(state, times, timestamp, price, volume, columns):  # type: ignore[no-untyped-def]
    """Bars of one tick each, with what `_start`, `_add_prices` and `_emit` would leave; column by column."""
    rows = len(timestamp)
    stamps = columns.view(np.int64)
    for column in range(2):
        stamps[column, :] = timestamp
    for column in range(2, 6):
        columns[column, :] = price
    for row in range(rows):
        columns[6, row] = 0.0 + volume[row]
        columns[7, row] = 0.0 + price[row] * volume[row]
    times[_LABEL] = times[LAST] = timestamp[rows - 1]
    state[_OPEN] = state[_HIGH] = state[_LOW] = state[_CLOSE] = price[rows - 1]
    state[_VOLUME:_BID] = 0.0
    state[_FLOW] = 0.0
    state[0] += rows


@kernel
def bars_update(state, timestamp, price, volume, side, quotes, ends, columns):  # type: ignore[no-untyped-def]
    """Take ticks; write the bars that end before the rows `ends` to the columns, all or only those of prices."""
    times = state.view(np.int64)
    if state[KIND] == TICK and state[SIZE] == 1.0 and len(columns) == PRICE_COLUMNS and len(timestamp) > 0:
        _copy_ticks(state, times, timestamp, price, volume, columns)
        return
    start = 0
    for bar in range(len(ends) + 1):
        stop = ends[bar] if bar < len(ends) else len(timestamp)
        if start < stop:
            if state[TICKS] == 0.0:
                _start(state, times, timestamp[start], price[start])
            if len(columns) == COLUMNS:
                _add_trades(state, price, volume, side, start, stop)
                _add_quotes(state, quotes, start, stop)
            _add_prices(state, price, volume, start, stop)
            times[LAST] = timestamp[stop - 1]
            state[TICKS] += stop - start
            state[0] += stop - start
        if bar < len(ends):
            _emit(state, columns, bar)
        start = stop
