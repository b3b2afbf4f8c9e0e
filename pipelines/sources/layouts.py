"""The column order of headerless files, told from the values of a sample of rows."""

import re
from collections.abc import Mapping

import numpy as np

from pipelines.errors import DataError
from pipelines.schema import ASK_BAR, BID_BAR, OHLC
from pipelines.sources.table import RawTable
from pipelines.sources.timestamps import looks_like_date, looks_like_stamp, looks_like_time_of_day

# Bid and ask of one market lie closer together than the first, and mostly than the second; a price and an amount
# may come near, and then only the user can tell.
_SPREAD, _USUAL_SPREAD = 0.05, 0.01


def guess_layout(table: RawTable, *, file_name: str, kind: str | None, stated: Mapping[str, int]) -> dict[str, int]:
    """Return the positions of the columns of a headerless table.

    Known orders: time then price; price, amount; bid, ask[, volume]; bid, size, ask, size; O H L C[, V];
    bid O H L C size, ask O H L C size. The time may be two columns, and a symbol may come before it.

    Raises
    ------
    DataError : the values fit no known order.
    """
    found = _time_columns(table, stated)
    rest = [i for i in range(len(table.columns)) if i not in found.values()]
    found.update(_value_columns(table, rest, kind or file_name.lower(), stated))
    return found


def _time_columns(table: RawTable, stated: Mapping[str, int]) -> dict[str, int]:
    if "timestamp" in stated or "date" in stated:
        return {name: i for name, i in stated.items() if name in ("timestamp", "date", "time", "symbol")}
    first, second = table.sample(0), table.sample(1)
    if looks_like_date(first) and looks_like_time_of_day(second, named=False):
        return {"date": 0, "time": 1}
    if looks_like_stamp(first):
        return {"timestamp": 0}
    if looks_like_stamp(second):
        return {"symbol": 0, "timestamp": 1}
    raise DataError(
        f"{table.origin}: no header, and neither of the first two columns holds times (first row "
        f"{', '.join(_first_row(table))}); name the columns with --column timestamp=POSITION and so on"
    )


def _value_columns(table: RawTable, rest: list[int], said: str, stated: Mapping[str, int]) -> dict[str, int]:
    values = [_numbers(table, i) for i in rest]
    named = set(stated) - {"timestamp", "date", "time", "symbol"}
    told = re.search(r"(?:^|[_\W])(trade|quote)s?", said)
    names = _names(values, trades=told is not None and told[1] == "trade")
    if names is not None and names[:2] == ("bid", "ask") and not (told or named or _quoted(*values[:2])):
        raise DataError(_like_quotes(table, rest))
    if names is not None:
        return {name: i for name, i in zip(names, rest, strict=False) if name}
    if named:
        return {}
    raise DataError(
        f"{table.origin}: no header, and the order of its {len(table.columns)} columns is not a known one (first "
        f"row {', '.join(_first_row(table))}); name them with --column price=POSITION, or open= high= low= close="
    )


def _names(values: list[np.ndarray], *, trades: bool) -> tuple[str, ...] | None:
    match len(values):
        case 1:
            return ("price",)
        case 2:
            return ("bid", "ask") if not trades and _close(values[0], values[1]) else ("price", "volume")
        case 3 if _close(values[0], values[1]):
            return ("bid", "ask", "volume")
        case 4 if _candle(values):
            return OHLC
        case 4 if _close(values[0], values[2]):
            return ("bid", "bid_size", "ask", "ask_size")
        case 5 if _candle(values):
            return (*OHLC, "volume")
        case 10 if _candle(values) and _candle(values[5:]):
            return (*BID_BAR, "bid_size", *ASK_BAR, "ask_size")
    return None


def _close(left: np.ndarray, right: np.ndarray) -> bool:
    with np.errstate(invalid="ignore"):
        near = np.abs(left - right) <= _SPREAD * np.maximum(np.abs(left), np.abs(right))
    return _mostly(near | (left == 0) | (right == 0)) and bool(near.any())


def _quoted(bid: np.ndarray, ask: np.ndarray) -> bool:
    """Tell quotes from trades whose amounts lie near their price: bid below ask, both moving, mostly very close."""
    both = (bid > 0) & (ask > 0)
    if not both.any():
        return False
    bid, ask = bid[both], ask[both]
    moving = len(bid) == 1 or (np.ptp(bid) > 0 and np.ptp(ask) > 0)
    return bool(moving and np.mean(bid <= ask) >= 0.99 and np.median((ask - bid) / ask) <= _USUAL_SPREAD)


def _like_quotes(table: RawTable, rest: list[int]) -> str:
    first, second = rest[0], rest[1]
    return (
        f"{table.origin}: no header, and columns {first} and {second} (first row {', '.join(_first_row(table))}) can "
        f"be bid and ask or price and amount; expected names: --column bid={first} --column ask={second}, or "
        f"--column price={first} --column volume={second}"
    )


def _candle(values: list[np.ndarray]) -> bool:
    opened, high, low, close = values[:4]
    return _mostly((high >= np.maximum(opened, close)) & (low <= np.minimum(opened, close)) & (low > 0))


def _mostly(mask: np.ndarray) -> bool:
    return bool(mask.size) and float(mask.mean()) >= 0.9


def _numbers(table: RawTable, position: int) -> np.ndarray:
    column = table.column(position)
    step = max(1, len(column) // 500)
    return column.gather_every(step).cast(float, strict=False).fill_null(float("nan")).to_numpy()


def _first_row(table: RawTable) -> list[str]:
    return [str(cell) for cell in table.frame.row(0)]
