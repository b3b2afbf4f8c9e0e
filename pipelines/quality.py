"""Which rows are not market data: each rejected row gets the first reason that applies to it."""

from collections import Counter
from collections.abc import Iterable

import polars as pl

from pipelines.schema import ASK_BAR, BID_BAR, OHLC

RAGGED_ROW = "ragged_row"
MALFORMED_QUOTE = "malformed_quote"
UNPARSABLE_TIMESTAMP = "unparsable_timestamp"
TIMESTAMP_UNIT = "timestamp_unit"  # an epoch number of another unit than those of its file
AMBIGUOUS_LOCAL_TIME = "ambiguous_local_time"
NONEXISTENT_LOCAL_TIME = "nonexistent_local_time"
MISSING_VALUE = "missing_value"
UNPARSABLE_NUMBER = "unparsable_number"
ZERO_SIDED_QUOTE = "zero_sided_quote"
NON_POSITIVE_PRICE = "non_positive_price"
NEGATIVE_VOLUME = "negative_volume"
CROSSED_QUOTE = "crossed_quote"
INCONSISTENT_OHLC = "inconsistent_ohlc"
DUPLICATE_TRADE_ID = "duplicate_trade_id"
DUPLICATE_CANDLE = "duplicate_candle"
LATE = "late"  # older than what the feature store already holds

# The prices without which a row of this flavour says nothing.
PRICES: dict[str, tuple[str, ...]] = {
    "trades": ("price",),
    "quotes": ("bid", "ask"),
    "candles": OHLC,
    "quote candles": (*BID_BAR, *ASK_BAR),
}
_BARS: dict[str, tuple[tuple[str, ...], ...]] = {"candles": (OHLC,), "quote candles": (BID_BAR, ASK_BAR)}
SIZES = ("volume", "bid_size", "ask_size")


def row_reasons(rows: pl.DataFrame, flavour: str, *, keep_crossed: bool) -> pl.Series:
    """Return why each row is rejected, null for a good one.

    rows : `reason` (earlier findings), `symbol`, the numbers as float64 with null where the cell is no
        number, and for each number `NAME` a Boolean `NAME?` that is true where its cell is empty

    A required number is missing or unparsable, an optional one only unparsable. Locked quotes (bid = ask)
    are good. High and low are compared exactly: none of the 290,000 real candles at hand needs slack.
    """
    numbers = [name for name in rows.columns if f"{name}?" in rows.columns]
    required = [name for name in numbers if name in (*PRICES[flavour], "volume")]
    checks: list[tuple[pl.Expr, str]] = [(pl.col("symbol").is_null(), f"{MISSING_VALUE}:symbol")]
    checks += [(pl.col(f"{name}?"), f"{MISSING_VALUE}:{name}") for name in required]
    checks += [(pl.col(name).is_null() & ~pl.col(f"{name}?"), f"{UNPARSABLE_NUMBER}:{name}") for name in numbers]
    checks += _price_checks(flavour, numbers, keep_crossed)
    if not rows.select(
        pl.any_horizontal(pl.col("reason").is_not_null().any(), *(bad.any() for bad, _ in checks))
    ).item():
        return pl.repeat(None, len(rows), eager=True, dtype=pl.String).alias("reason")
    return rows.select(_first_reason(checks).alias("reason")).to_series()


def _price_checks(flavour: str, numbers: list[str], keep_crossed: bool) -> list[tuple[pl.Expr, str]]:
    prices, quoted = PRICES[flavour], flavour in ("quotes", "quote candles")
    checks = [(_any(pl.col(name) == 0 for name in prices), ZERO_SIDED_QUOTE)] if quoted else []
    checks.append((_any(pl.col(name) <= 0 for name in prices), NON_POSITIVE_PRICE))
    sizes = [name for name in SIZES if name in numbers]
    if sizes:
        checks.append((_any(pl.col(name) < 0 for name in sizes), NEGATIVE_VOLUME))
    if quoted and not keep_crossed:
        pairs = [("bid", "ask")] if flavour == "quotes" else [("bid_open", "ask_open"), ("bid_close", "ask_close")]
        checks.append((_any(pl.col(bid) > pl.col(ask) for bid, ask in pairs), CROSSED_QUOTE))
    checks += [(_inconsistent(bar), INCONSISTENT_OHLC) for bar in _BARS.get(flavour, ())]
    return checks


def _inconsistent(bar: tuple[str, ...]) -> pl.Expr:
    opened, high, low, close = (pl.col(name) for name in bar)
    return (high < pl.max_horizontal(opened, low, close)) | (low > pl.min_horizontal(opened, close))


def _any(masks: Iterable[pl.Expr]) -> pl.Expr:
    return pl.any_horizontal(list(masks))


def _first_reason(checks: list[tuple[pl.Expr, str]]) -> pl.Expr:
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
