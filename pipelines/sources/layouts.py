"""The column order of headerless files, told from the values of a sample of rows."""

import re
from collections.abc import Mapping

import numpy as np

from pipelines.errors import DataError
from pipelines.schema import ASK_BAR, BID_BAR, OHLC
from pipelines.sources.table import RawTable
from pipelines.sources.timestamps import looks_like_date, looks_like_stamp, looks_like_time_of_day

# Bid and ask of one market lie closer together than this; a price and an amount do not for long.
_SPREAD = 0.05


def guess_layout(table: RawTable, *, file_name: str, stated: Mapping[str, int]) -> dict[str, int]:
    """Return the positions of the columns of a headerless table.

    Known orders: time then price; price, amount; bid, ask[, volume]; bid, size, ask, size; O H L C[, V];
    bid O H L C size, ask O H L C size. The time may be two columns, and a symbol may come before it.

    Raises
    ------
    DataError : the values fit no known order.
    """
    found = _time_columns(table, stated)
    rest = [i for i in range(len(table.columns)) if i not in found.values()]
    found.update(_value_columns(table, rest, file_name, stated))
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


def _value_columns(table: RawTable, rest: list[int], file_name: str, stated: Mapping[str, int]) -> dict[str, int]:
    values = [_numbers(table, i) for i in rest]
    names = _names(values, re.search(r"(^|[_\W])trade", file_name.lower()) is not None)
    if names is not None:
        return {name: i for name, i in zip(names, rest, strict=False) if name}
    if set(stated) - {"timestamp", "date", "time", "symbol"}:
        return {}
    raise DataError(
        f"{table.origin}: no header, and the order of its {len(table.columns)} columns is not a known one (first "
        f"row {', '.join(_first_row(table))}); name them with --column price=POSITION, or open= high= low= close="
    )


def _names(values: list[np.ndarray], trades: bool) -> tuple[str, ...] | None:
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


def _candle(values: list[np.ndarray]) -> bool:
    opened, high, low, close = values[:4]
    return _mostly((high >= np.maximum(opened, close)) & (low <= np.minimum(opened, close)) & (low > 0))


def _mostly(mask: np.ndarray) -> bool:
    return bool(mask.size) and float(mask.mean()) >= 0.9


def _numbers(table: RawTable, position: int) -> np.ndarray:
    column = table.frame.to_series(position)
    step = max(1, len(column) // 500)
    return column.gather_every(step).cast(float, strict=False).fill_null(float("nan")).to_numpy()


def _first_row(table: RawTable) -> list[str]:
    return [str(cell) for cell in table.frame.row(0)]
