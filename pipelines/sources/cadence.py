"""How long candles are, told from the steps between them: a symbol has candles of one length only."""

import math
from datetime import timedelta

import polars as pl

from pipelines.errors import DataError
from pipelines.schema import OHLC

# A stretch of so many candles tells its length; lengths may change between stretches of one table.
_STRETCH = 32
_FEWEST_STEPS = 4
# Steps of gappy short candles may all be multiples of a longer length by accident; this chance is accepted.
_CHANCE = 1e-6
_SECOND = 10**9
_DAY = 86_400 * _SECOND
_MONTH, _MONTH_SLACK = 28 * _DAY, 3 * _DAY


def measure_steps(candles: pl.DataFrame, origin: str) -> pl.DataFrame:
    """Return what the steps of each stretch of candles of a table look like; `candles` in the order of the table.

    Rows that give other values for a symbol and a time that were there before are stretches of their own: that is
    where candles of two lengths meet when they are interleaved.
    """
    rows = _numbered(candles)
    groups = ("symbol", "again", "stretch")
    rows = rows.with_columns(stretch=pl.int_range(pl.len()).over("symbol", "again") // _STRETCH)
    rows = rows.with_columns(step=pl.col("timestamp").diff().over(groups).cast(pl.Int64).abs())
    step = pl.col("step").filter(pl.col("step") > 0)
    usual = step.mode().min()
    beside = pl.min_horizontal(step % usual, usual - step % usual)
    found = rows.group_by(groups).agg(
        line=pl.col("_line").min(),
        steps=step.len(),
        usual=usual,
        median=step.median(),
        regular=(beside <= pl.when(usual >= _MONTH).then(_MONTH_SLACK).otherwise(0)).mean(),
        flat=(pl.col("high") == pl.col("low")).mean(),
    )
    found = found.filter(pl.col("steps") >= _FEWEST_STEPS).drop("again", "stretch")
    return found.with_columns(origin=pl.lit(origin))


def _numbered(candles: pl.DataFrame) -> pl.DataFrame:
    """Return the candles without equal rows, and `again`: how many rows had the symbol and time of a row before it."""
    if not candles.select(pl.struct("symbol", "timestamp").is_duplicated().any()).item():
        return candles.with_columns(again=pl.lit(0))
    rows = candles.unique(("symbol", "timestamp", *OHLC, "volume"), keep="first", maintain_order=True)
    return rows.with_columns(again=pl.int_range(pl.len()).over("symbol", "timestamp"))


def check_one_length(measured: pl.DataFrame) -> None:
    """Refuse candles of two lengths of one symbol, wherever they stand: sources, members, one table.

    A stretch is of longer candles than the finest one of its symbol when its steps are whole multiples of its usual
    step, which gaps in the finer candles would give by a chance of a millionth. A stretch of single prints, such as
    closing auctions, tells no length.

    Raises
    ------
    DataError : two lengths; names the symbol, both, and where they begin.
    """
    finest = measured.sort("median", "origin", "line").unique("symbol", keep="first", maintain_order=True)
    both = measured.join(finest, on="symbol", suffix="_fine")
    ratio = pl.col("usual") / pl.col("usual_fine")
    longer = both.filter(
        pl.col("median_fine") * 2 <= pl.col("usual"),
        pl.col("steps") * ratio.log() >= -math.log(_CHANCE),
        pl.col("regular") >= 0.9,
        pl.col("flat") <= pl.max_horizontal("flat_fine", 0.5),
        (_DAY % pl.col("usual") == 0) | (pl.col("usual") % _DAY == 0),
    )
    if longer.height:
        raise DataError(_two_lengths(longer.sort("symbol", "origin", "line").row(0, named=True)))


def _two_lengths(row: dict[str, object]) -> str:
    long, fine = (timedelta(microseconds=int(str(row[name])) // 1000) for name in ("usual", "usual_fine"))
    return (
        f"{row['origin']}: line {row['line']}: candles of {row['symbol']} are {long} apart from here, but {fine} apart "
        f"from line {row['line_fine']} of {row['origin_fine']}; expected candles of one length for a symbol: choose "
        "with --timeframe (its column with --column timeframe=NAME), or give one set of files at a time"
    )
