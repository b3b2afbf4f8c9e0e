"""Which column of a table means what: by the user's word, by its name, or, without a header, by its values."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.errors import DataError
from pipelines.schema import ALIASES, ASK_BAR, BID_BAR, EXACT_ALIASES, OHLC, SourceHints, normalise
from pipelines.sources.layouts import guess_layout
from pipelines.sources.table import RawTable
from pipelines.sources.timestamps import looks_like_epoch, looks_like_time_of_day

_ALIAS_RANK = {(canonical, alias): rank for canonical, aliases in ALIASES.items() for rank, alias in enumerate(aliases)}
_KNOWN = {alias for _, alias in _ALIAS_RANK}
_SIZED = re.compile(r"^(?:vol|volume|amount|qty|quantity|size)_([a-z]{2,6})$")
_QUOTE_CURRENCIES = ("usd", "usdt", "usdc", "eur", "gbp", "jpy", "krw", "quote", "currency")
_INDEX_NAMES = ("", "unnamed:_0", "index")


@dataclass(frozen=True)
class ColumnMap:
    """Positions of the canonical columns of a table.

    flavour : "trades", "quotes", "candles" or "quote candles" (the mid of bid and ask candles)
    """

    flavour: str
    positions: Mapping[str, int]

    def describe(self, columns: tuple[str, ...]) -> str:
        return " ".join(f"{name}={columns[i] or repr('')}" for name, i in self.positions.items())


def is_known_name(name: str) -> bool:
    """Tell whether a header cell is a name that some canonical column is known by."""
    plain = normalise(name)
    return plain in _KNOWN or plain == "last" or _SIZED.match(plain) is not None


def map_columns(table: RawTable, hints: SourceHints, *, file_name: str) -> ColumnMap:
    """Find the canonical columns of a table; what the hints say comes first.

    Raises
    ------
    DataError : a hinted column is not there, a name is ambiguous, or a required column is missing.
    """
    stated = _stated(table, hints)
    if table.header:
        found = _by_name(table, stated, hints, file_name)
    elif _flavour(stated, hints) and "timestamp" in stated:
        found = stated
    else:
        found = {**guess_layout(table, file_name=file_name, kind=hints.kind, stated=stated), **stated}
    return _required(table, found, stated, hints)


def _stated(table: RawTable, hints: SourceHints) -> dict[str, int]:
    return {name: _position(table, name, column) for name, column in hints.columns.items()}


def _position(table: RawTable, canonical: str, column: str | int) -> int:
    names = table.columns
    if isinstance(column, str):
        if table.header and column in names:
            return names.index(column)
        same = [i for i, name in enumerate(names) if normalise(name) == normalise(column)]
        if table.header and len(same) == 1:
            return same[0]
    if str(column).isdecimal() and int(column) < len(names):
        return int(column)
    near = difflib.get_close_matches(str(column), names, 1)
    raise DataError(
        f"{table.origin}: --column {canonical}={column}: no such column; found {_listed(table)}"
        + (f": did you mean {near[0]!r}?" if near and table.header else "")
    )


def _listed(table: RawTable) -> str:
    if not table.header:
        return f"{len(table.columns)} columns without header (positions 0 to {len(table.columns) - 1})"
    return "columns " + ", ".join(name or "''" for name in table.columns)


def _by_name(table: RawTable, stated: dict[str, int], hints: SourceHints, file_name: str) -> dict[str, int]:
    free = {i: name for i, name in enumerate(table.columns) if i not in stated.values()}
    found = dict(stated)
    for canonical in ALIASES:
        if canonical not in found and canonical != "volume":
            position = _best(table, canonical, free)
            if position is not None:
                found[canonical] = position
    _resolve_letters(free, found)
    _resolve_last(free, found)
    _resolve_time(table, free, found, stated)
    if "volume" not in found:
        _resolve_volume(table, free, found, hints.symbol or file_name)
    return found


def _best(table: RawTable, canonical: str, free: dict[int, str]) -> int | None:
    ranked = sorted(
        (_ALIAS_RANK[key], i)
        for i, name in free.items()
        if name not in EXACT_ALIASES and (key := (canonical, normalise(name))) in _ALIAS_RANK
    )
    if len(ranked) > 1 and ranked[0][0] == ranked[1][0]:
        both = " and ".join(f"{table.columns[i]!r} (position {i})" for _, i in ranked[:2])
        raise DataError(
            f"{table.origin}: {both} both mean {canonical}; expected one: choose with --column {canonical}=POSITION"
        )
    return ranked[0][1] if ranked else None


def _resolve_letters(free: dict[int, str], found: dict[str, int]) -> None:
    names = {name: i for i, name in free.items()}
    for letter, canonical in EXACT_ALIASES.items():
        if letter in names:
            found.setdefault(canonical, names[letter])
    if "a" in names:
        found.setdefault("ask" if "b" in names else "trade_id", names["a"])
    if "t" in names:
        found.setdefault("trade_id" if "timestamp" in found else "timestamp", names["t"])
    if "E" in names:
        found.setdefault("timestamp", names["E"])


def _resolve_last(free: dict[int, str], found: dict[str, int]) -> None:
    last = next((i for i, name in free.items() if normalise(name) == "last"), None)
    if last is not None:
        candle = all(name in found for name in ("open", "high", "low"))
        found.setdefault("close" if candle else "price", last)


def _resolve_time(table: RawTable, free: dict[int, str], found: dict[str, int], stated: dict[str, int]) -> None:
    if "timestamp" in found:
        for name in {"date", "time"} - set(stated):
            found.pop(name, None)
        return
    date, time = found.get("date"), found.get("time")
    if date is not None and time is not None and looks_like_time_of_day(table.sample(time)):
        return
    position = time if time is not None else date
    if position is None:
        position = _unnamed_time(table, free, found)
    if position is not None:
        for name in ("date", "time"):
            found.pop(name, None)
        found["timestamp"] = position


def _unnamed_time(table: RawTable, free: dict[int, str], found: dict[str, int]) -> int | None:
    """Take the index column, or an `id` of epoch stamps (Mt. Gox), where nothing is called time."""
    index = next((i for i, name in free.items() if normalise(name) in _INDEX_NAMES), None)
    if index is not None:
        return index
    ident = found.get("trade_id")
    if ident is not None and looks_like_epoch(table.sample(ident)):
        return found.pop("trade_id")
    return None


def _resolve_volume(table: RawTable, free: dict[int, str], found: dict[str, int], file_name: str) -> None:
    """Choose among volume columns: the one named after the base of the symbol, a plain name, another one."""
    symbols = table.sample(found["symbol"], 1) if "symbol" in found else [file_name]
    symbol = normalise(symbols[0] if symbols else "")
    ranked = []
    for i, name in free.items():
        plain = normalise(name)
        sized = _SIZED.match(plain)
        if i in found.values():
            continue
        if sized and symbol.startswith(sized[1]):
            ranked.append((-1, i))
        elif (rank := _ALIAS_RANK.get(("volume", plain))) is not None:
            ranked.append((rank, i))
        elif sized:
            ranked.append((200 if sized[1] in _QUOTE_CURRENCIES else 100, i))
    if ranked:
        found["volume"] = min(ranked)[1]


def _flavour(found: Mapping[str, int], hints: SourceHints) -> str | None:
    candles = all(name in found for name in OHLC)
    quote_candles = all(name in found for name in (*BID_BAR, *ASK_BAR))
    quotes = "bid" in found and "ask" in found
    choices = {
        "candles": "candles" if candles else "quote candles" if quote_candles else None,
        "trades": "trades" if "price" in found else None,
        "quotes": "quotes" if quotes else None,
    }
    if hints.kind:
        return choices[hints.kind]
    return next((flavour for flavour in choices.values() if flavour), None)


_NEEDED: dict[str | None, tuple[str, ...]] = {
    "trades": ("price",),
    "quotes": ("bid", "ask"),
    "candles": OHLC,
    None: ("price (trades), or bid, ask (quotes), or open, high, low, close (candles)",),
}


def _absent(found: Mapping[str, int], hints: SourceHints) -> list[str]:
    """Return the columns to ask for: of the kind that is stated, or else of the one that is there in part."""
    begun = [kind for kind, names in _NEEDED.items() if kind and found.keys() & set(names)]
    kind = hints.kind or (begun[0] if begun else "trades")
    return [name for name in _NEEDED[kind] if name not in found]


def _required(table: RawTable, found: dict[str, int], stated: dict[str, int], hints: SourceHints) -> ColumnMap:
    timed = "timestamp" in found or "date" in found
    flavour = _flavour(stated, hints) or _flavour(found, hints)
    if not timed or flavour is None:
        needed = ("" if timed else "a time column; ") + ("" if flavour else ", ".join(_NEEDED[hints.kind]))
        place = "NAME" if table.header else "POSITION"
        flags = " ".join(f"--column {name}={place}" for name in (_absent(found, hints) if timed else ("timestamp",)))
        raise DataError(
            f"{table.origin}: missing columns: found {_listed(table)}; needed: {needed.strip('; ')}: "
            f"map them with {flags}"
        )
    return ColumnMap(flavour, {name: i for name, i in found.items() if name in _used(flavour)})


def _used(flavour: str) -> tuple[str, ...]:
    common = ("timestamp", "date", "time", "symbol", "timeframe")
    match flavour:
        case "candles":
            return (*common, *OHLC, "volume")
        case "quote candles":
            return (*common, *BID_BAR, *ASK_BAR, "volume")
        case "quotes":
            return (*common, "bid", "ask", "bid_size", "ask_size", "volume")
    ticks = ("price", "volume", "side", "is_buyer_maker", "trade_id")
    return (*common, *ticks, "bid", "ask", "bid_size", "ask_size")
