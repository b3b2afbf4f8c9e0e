"""Batches in which nothing is odd, as nearly all are: told by the least and the most of their numbers.

Such rows are canonical as they lie: what the checks of single rows would find is known, no expression runs, and no
column of reasons is made in which none would stand. That is 1 to 2 ns a row, where all checks take 5, and up to 7 more
in the threads of Polars that they wake.
"""

import numpy as np
import polars as pl

from kernels.spans import is_within
from pipelines.quality import PRICES, SIZES
from pipelines.sources.settled import Settled
from pipelines.sources.table import RawTable
from pipelines.sources.timestamps import plain_stamps
from pipelines.sources.values import number_names, side_of, trade_ids

_KNOWN = {"timestamp", "price", "bid", "ask", *SIZES, "side", "is_buyer_maker", "trade_id"}
_QUOTED = ("bid", "ask", "bid_size", "ask_size")
_LEAST = float(np.nextafter(0.0, 1.0))  # of the numbers above 0
_MOST = float(np.finfo(np.float64).max)


def plain_rows(settled: Settled, table: RawTable, *, named: bool = True) -> pl.DataFrame | None:
    """Return the canonical rows of a batch, None unless all of it is good ticks of one symbol.

    named : with a column of the symbol
    """
    mapping = settled.mapping
    if mapping.flavour not in ("trades", "quotes") or not mapping.positions.keys() <= _KNOWN:
        return None
    if settled.chosen or len(table.rejected):
        return None
    stamps = plain_stamps(table.column(mapping.positions["timestamp"]), settled.form, settled.hints)
    numbers = _plain_numbers(settled, table)
    if stamps is None or numbers is None:
        return None
    price = numbers["price"] if mapping.flavour == "trades" else (numbers["bid"] + numbers["ask"]) / 2
    columns = {"timestamp": stamps}
    if named:
        columns["symbol"] = pl.repeat(settled.symbol, len(stamps), eager=True, dtype=pl.String)
    columns |= {
        "price": price,
        "volume": numbers["volume"] if "volume" in numbers else pl.zeros(len(price), eager=True),
    }
    side = side_of(table, mapping)
    if side is not None and side.null_count() < len(side):
        columns["side"] = side
    columns |= {name: numbers[name] for name in _QUOTED if name in numbers}
    if "trade_id" in mapping.positions:
        columns["trade_id"] = trade_ids(table, mapping)
    return pl.DataFrame(columns | {"_line": table.lines})


def _plain_numbers(settled: Settled, table: RawTable) -> dict[str, pl.Series] | None:
    numbers = {}
    for name in number_names(settled.mapping):
        column = table.column(settled.mapping.positions[name])
        if name not in settled.numbers and column.null_count() == len(column):
            continue
        if name not in settled.numbers or not column.dtype.is_numeric() or column.null_count():
            return None
        numbers[name] = column.cast(pl.Float64)
    quoted = settled.mapping.flavour == "quotes"
    if quoted and (numbers["bid"].to_numpy() > numbers["ask"].to_numpy()).any():
        return None
    least = dict.fromkeys(PRICES[settled.mapping.flavour], _LEAST) | dict.fromkeys(SIZES, 0.0)
    is_plain = all(is_within(numbers[name].to_numpy(), least.get(name, -_MOST), _MOST) for name in numbers)
    return numbers if is_plain else None
