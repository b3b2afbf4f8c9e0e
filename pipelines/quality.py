"""Which rows are not market data: each rejected row gets the first reason that applies to it."""

import operator
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import reduce

import polars as pl

from pipelines.errors import DataError
from pipelines.reasons import (
    CROSSED_QUOTE,
    DUPLICATE_CANDLE,
    DUPLICATE_TRADE_ID,
    INCONSISTENT_OHLC,
    KEPT,
    KEPT_BITS,
    MISSING_VALUE,
    NEGATIVE_VOLUME,
    NON_POSITIVE_PRICE,
    NOT_FINITE,
    UNPARSABLE_NUMBER,
    ZERO_SIDED_QUOTE,
    Action,
    kind_of,
)
from pipelines.schema import ASK_BAR, BID_BAR, OHLC, REJECTED_SCHEMA

# The prices without which a row of this flavour says nothing.
PRICES: dict[str, tuple[str, ...]] = {
    "trades": ("price",),
    "quotes": ("bid", "ask"),
    "candles": OHLC,
    "quote candles": (*BID_BAR, *ASK_BAR),
}
_BARS: dict[str, tuple[tuple[str, ...], ...]] = {"candles": (OHLC,), "quote candles": (BID_BAR, ASK_BAR)}
SIZES = ("volume", "bid_size", "ask_size")
_SHOWN, _SHOWN_CHARACTERS = 3, 80  # of rows in an error


# Rejected rows with the time of the good row that they stand with, and the number of their file.
PLACED_SCHEMA = {**REJECTED_SCHEMA, "_stamp": pl.Int64(), "_source": pl.UInt32()}
NONE_PLACED = pl.DataFrame(schema=PLACED_SCHEMA)

_Check = tuple[pl.Expr, str]


def row_findings(rows: pl.DataFrame, flavour: str, policy: Mapping[str, Action]) -> tuple[pl.Series, pl.Series | None]:
    """Return why each row is rejected, null for a good one; and, where there is any, what was found in rows to keep.

    rows : `reason` (earlier findings), `symbol`, the numbers as float64 with null where the cell is no
        number and NaN where it is no finite one, and for each number `NAME` a Boolean `NAME?` that is true where its
        cell is empty

    A required number is missing or unparsable, an optional one only unparsable. Locked quotes (bid = ask)
    are good. High and low are compared exactly: none of the 290,000 real candles at hand needs slack.
    """
    numbers = [name for name in rows.columns if f"{name}?" in rows.columns]
    required = [name for name in numbers if name in (*PRICES[flavour], "volume")]
    checks: list[_Check] = [(pl.col("symbol").is_null(), f"{MISSING_VALUE}:symbol")]
    checks += [(pl.col(f"{name}?"), f"{MISSING_VALUE}:{name}") for name in required]
    checks += [(pl.col(name).is_null() & ~pl.col(f"{name}?"), f"{UNPARSABLE_NUMBER}:{name}") for name in numbers]
    checks += [(pl.col(name).is_nan().fill_null(False), f"{NOT_FINITE}:{name}") for name in numbers]
    checks += _price_checks(flavour, numbers)
    if not rows.select(
        pl.any_horizontal(pl.col("reason").is_not_null().any(), *(bad.any() for bad, _ in checks))
    ).item():
        return pl.repeat(None, len(rows), eager=True, dtype=pl.String).alias("reason"), None
    rejecting = [check for check in checks if policy[kind_of(check[1])] != "keep"]
    keeping = [check for check in checks if policy[kind_of(check[1])] == "keep"]
    found = rows.select(_first_reason(rejecting).alias("reason"), _bits(keeping).alias(KEPT))
    return found["reason"], found[KEPT] if keeping else None


def _price_checks(flavour: str, numbers: list[str]) -> list[_Check]:
    prices, quoted = PRICES[flavour], flavour in ("quotes", "quote candles")
    checks = [(_any(pl.col(name) == 0 for name in prices), ZERO_SIDED_QUOTE)] if quoted else []
    checks.append((_any(pl.col(name) <= 0 for name in prices), NON_POSITIVE_PRICE))
    sizes = [name for name in SIZES if name in numbers]
    if sizes:
        checks.append((_any(pl.col(name) < 0 for name in sizes), NEGATIVE_VOLUME))
    if quoted:
        pairs = [("bid", "ask")] if flavour == "quotes" else [("bid_open", "ask_open"), ("bid_close", "ask_close")]
        checks.append((_any(pl.col(bid) > pl.col(ask) for bid, ask in pairs), CROSSED_QUOTE))
    checks += [(_inconsistent(bar), INCONSISTENT_OHLC) for bar in _BARS.get(flavour, ())]
    return checks


def _bits(checks: list[_Check]) -> pl.Expr:
    bits = [pl.when(found).then(KEPT_BITS[reason]).otherwise(0).cast(pl.UInt8) for found, reason in checks]
    # Two bars of a quote candle may both be inconsistent: one bit, however often.
    return reduce(operator.or_, bits, pl.lit(0, pl.UInt8))


def _inconsistent(bar: tuple[str, ...]) -> pl.Expr:
    opened, high, low, close = (pl.col(name) for name in bar)
    return (high < pl.max_horizontal(opened, low, close)) | (low > pl.min_horizontal(opened, close))


def _any(masks: Iterable[pl.Expr]) -> pl.Expr:
    return pl.any_horizontal(list(masks))


def _first_reason(checks: list[_Check]) -> pl.Expr:
    found: pl.Expr = pl.lit(None, pl.String)
    for failed, reason in reversed(checks):
        found = pl.when(failed).then(pl.lit(reason)).otherwise(found)
    return pl.coalesce("reason", found)


def repeated_identity(rows: pl.DataFrame, flavour: str) -> tuple[pl.Series, str]:
    """Return which rows repeat an earlier one, and the reason to give.

    A candle is told by its label within its symbol, a trade by its id at its time and price: exchanges give an id once
    a symbol, so a trade that is met again has all three, while a row number in a column called `id` comes again in the
    next file with another time. Rows that are merely equal are kept: 10 to 20 % of the rows of raw trade files are,
    and they are real trades.
    """
    if flavour in ("candles", "quote candles"):
        return ~rows.select(pl.struct("symbol", "timestamp").is_first_distinct()).to_series(), DUPLICATE_CANDLE
    if "trade_id" not in rows.columns:
        return pl.repeat(False, rows.height, eager=True, dtype=pl.Boolean), DUPLICATE_TRADE_ID
    first = pl.struct("symbol", "trade_id", "timestamp", "price").is_first_distinct()
    return rows.select(~first & pl.col("trade_id").is_not_null()).to_series(), DUPLICATE_TRADE_ID


def reason_counts(rejected: pl.DataFrame) -> dict[str, int]:
    """Return how many rows were quarantined for each reason, in alphabetical order."""
    return dict(sorted(Counter(rejected["reason"].to_list()).items()))


def refuse(rejected: pl.DataFrame, policy: Mapping[str, Action]) -> None:
    """Raise DataError when the policy of a reason for which rows were rejected is `fail`."""
    if rejected.is_empty():  # as nearly always: no expression is run for it
        return
    failing = [reason for reason in rejected["reason"].unique() if policy[kind_of(reason)] == "fail"]
    if not failing:
        return
    rows = rejected.filter(pl.col("reason").is_in(failing))
    first = rows.row(0, named=True)
    shown = " | ".join(text[:_SHOWN_CHARACTERS] for text in rows["raw"].head(_SHOWN).fill_null(""))
    raise DataError(
        f"{first['file']}: line {first['line']}: {first['reason']}, the first of {len(rows)} such rows: {shown}; "
        f"quality.policy.{kind_of(first['reason'])} is fail: expected none, mend them or set another policy"
    )


def parted(
    rows: pl.DataFrame, found: pl.Series, reason: str, policy: Mapping[str, Action]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows that stay, marked where they are kept in spite of a reason, and those rejected for it."""
    if not found.any():
        return rows, rows.clear()
    if policy[reason] != "keep":
        return rows.filter(~found), rows.filter(found)
    known = pl.col(KEPT).fill_null(0) if KEPT in rows.columns else pl.lit(0, pl.UInt8)
    bit = pl.when(found).then(KEPT_BITS[reason]).otherwise(0).cast(pl.UInt8)
    return rows.with_columns((known | bit).alias(KEPT)), rows.clear()


class FileOrder:
    """Tells the rows whose time steps back in a file that is taken piece by piece; forth, in one that is newest first.

    Such a row comes after a row of its symbol that is later, be it right before it or further up: without them, the
    rest of the file is in time order.
    """

    def __init__(self, *, newest_first: bool) -> None:
        self._sign = -1 if newest_first else 1
        self._latest: dict[str, int] = {}

    def steps_back(self, rows: pl.DataFrame) -> pl.Series:
        """Return which rows of the next piece do; `rows` in the order of the file."""
        known = pl.col("symbol").replace_strict(self._latest, default=None, return_dtype=pl.Int64)
        stamps = rows.select("symbol", at=pl.col("timestamp").cast(pl.Int64) * self._sign, known=known)
        stamps = stamps.with_columns(latest=pl.max_horizontal(pl.col("at").cum_max().over("symbol"), "known"))
        self._latest |= dict(stamps.group_by("symbol").agg(pl.col("latest").last()).iter_rows())
        return stamps.select(pl.col("at") < pl.col("latest")).to_series()


def canonical_rejected(rows: pl.DataFrame, reason: str) -> pl.DataFrame:
    """Return rows that were canonical already as rejected ones, without their file: their values stand for the text."""
    cells = [pl.col(name).cast(pl.String) for name in rows.columns if not name.startswith("_")]
    raw = pl.concat_str(cells, separator=",", ignore_nulls=True)
    line = pl.col("_line") if "_line" in rows.columns else pl.lit(None, pl.Int64)
    return rows.select(line=line, reason=pl.lit(reason), raw=raw)


def placed_rejected(rows: pl.DataFrame, reason: str, files: Mapping[int, str]) -> pl.DataFrame:
    """Return canonical rows as rejected ones that stand where they stood.

    files : under the numbers that `_source` holds; rows of memory have `_file`, or do not say
    """
    if rows.is_empty():
        return NONE_PLACED
    file, source = pl.lit(None, pl.String), pl.lit(None, pl.UInt32)
    if "_source" in rows.columns:
        source = pl.col("_source")
        file = source.cast(pl.Int64).replace_strict(files, return_dtype=pl.String)
    elif "_file" in rows.columns:
        file = pl.col("_file").cast(pl.String)
    where = rows.select(file=file, _stamp=pl.col("timestamp").to_physical(), _source=source)
    return where.hstack(canonical_rejected(rows, reason)).select(*PLACED_SCHEMA)
