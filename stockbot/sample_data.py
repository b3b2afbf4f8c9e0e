"""A deterministic synthetic tick archive with everything that real archives do to a pipeline.

The prices carry a weak, planted signal: a slow order-flow factor leans on the side of the trades and on the
drift of the next minutes, so signed-volume imbalance and momentum predict the next return a little. A model
that finds it shows that the pipeline works; it says nothing about any real market.
"""

import gzip
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipelines.files import make_folder, write_atomic
from stockbot.destination import require_writable_parent
from stockbot.errors import UsageError

Floats = NDArray[np.float64]

FIRST_DAY = date(2024, 3, 7)  # a Thursday: the default five days span a weekend
SECONDS = 86_400
NAMES = ("ALFA", "BRAVO", "CORAL", "DELTA", "ECHO", "FJORD", "GAMMA", "HOTEL")
FIRST_PRICES = (38_250.0, 152.4, 1.2750, 2_480.0, 0.0842, 611.0, 17.35, 5_120.0)
DAILY_VOLATILITY = 0.03
REGIMES = ("calm", "volatile", "trending")
REGIME_VOLATILITY = np.array([0.6, 1.6, 1.0])
REGIME_ACTIVITY = np.array([0.7, 1.7, 1.2])
TREND_SCORE = 0.006  # drift of a trending second, in units of its volatility
FLOW_SECONDS = 480  # memory of the planted order-flow factor: a moving sum of as many seconds of noise
FLOW_DRIFT = 0.025  # what one standard deviation of it adds to a second, in units of the second's volatility
FLOW_SIDE = 0.22  # and to the probability that the aggressor buys
SWEEP_SHARE = 0.25  # trades that share stamp and side with the one before: one order, several makers
HALF_SPREAD = 0.5e-4  # of the price; each further fill of a sweep pays as much again
MISSING_MINUTES = 40
BAD_ROWS_PER_FILE = 4
MARKER = ".stockbot-sample"  # names the files that are ours, one a line: no other is ever removed
BAD_IDS = 10**12  # ids of rows that are broken otherwise, so that they are no duplicates as well
PLANTED = (
    "synthetic: a planted order-flow factor with a memory of eight minutes weakly predicts the next minutes' "
    "return, so that a working pipeline has something to find; it says nothing about any real market"
)


@dataclass(kw_only=True)
class SampleReport:
    """What was generated; `rows` counts data lines, the bad ones included."""

    folder: Path
    symbols: list[str]
    days: list[date]
    files: list[Path] = field(default_factory=list)
    rows: int = 0
    bad_rows: int = 0

    def add(self, path: Path, *, rows: int) -> None:
        """Count a finished file of `rows` good rows."""
        self.files.append(path)
        self.rows += rows + BAD_ROWS_PER_FILE
        self.bad_rows += BAD_ROWS_PER_FILE


@dataclass(frozen=True)
class _Day:
    """The latent path of one day, second by second: log price, order flow, activity (relative trade rate)."""

    log_price: Floats
    flow: Floats
    activity: Floats


def generate(
    out: Path,
    *,
    symbols: int = 3,
    days: int = 5,
    ticks_per_day: int = 40_000,
    seed: int = 7,
    replace: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> SampleReport:
    """Write one `SYMBOL_YYYY-MM-DD.csv.gz` a symbol and weekday; the same arguments give the same bytes.

    Raises:
        UsageError: a number below its least value, or `out` holds something: an earlier sample and `replace` is false,
            or files of another origin. DataError: the disk is full; what was written before stays.
    """
    _check(symbols=(symbols, 1), days=(days, 1), ticks_per_day=(ticks_per_day, 100), seed=(seed, 0))
    names = [symbol_name(index) for index in range(symbols)]
    report = SampleReport(folder=out, symbols=names, days=trading_days(days))
    _prepare_folder(out, [_file_name(symbol, day) for symbol in names for day in report.days], replace=replace)
    for index, symbol in enumerate(report.symbols):
        log_price = float(np.log(FIRST_PRICES[index % len(FIRST_PRICES)]))
        for number, day in enumerate(report.days):
            rng = np.random.default_rng([seed, index, number])
            latent = _simulate(rng, log_price)
            ticks = _trades(rng, latent, start=day, count=ticks_per_day, decimals=_decimals(index))
            ticks["trade_id"] = np.arange(1, ticks_per_day + 1) + number * ticks_per_day
            if number == len(report.days) // 2:
                ticks = _without_stretch(rng, ticks)
            path = out / _file_name(symbol, day)
            try:
                _write(path, _frame(ticks, symbol), rng)
            except Exception:
                if not report.files:
                    (out / MARKER).unlink(missing_ok=True)  # an empty sample would be in the way of the next
                raise
            report.add(path, rows=len(ticks["price"]))
            log_price = float(latent.log_price[-1])
            if progress is not None:
                progress(len(report.files), symbols * days)
    return report


def trading_days(count: int) -> list[date]:
    """The first `count` weekdays from `FIRST_DAY`; weekends are the archive's closed market."""
    candidates = (FIRST_DAY + timedelta(days=offset) for offset in range(2 * count + 2))
    return [day for day in candidates if day.weekday() < 5][:count]


def symbol_name(index: int) -> str:
    """The name of the index-th synthetic symbol."""
    return NAMES[index] if index < len(NAMES) else f"SYM{index:03d}"


def _check(**arguments: tuple[int, int]) -> None:
    for name, (value, least) in arguments.items():
        if value < least:
            raise UsageError(f"`{name}`: expected at least {least}, received {value}")


def _file_name(symbol: str, day: date) -> str:
    return f"{symbol}_{day.isoformat()}.csv.gz"


def _prepare_folder(out: Path, names: list[str], *, replace: bool) -> None:
    """A folder whose marker names the files to come, without those that an earlier marker named."""
    present = sorted(path.name for path in out.iterdir()) if out.is_dir() else []
    ours = (out / MARKER).read_text(encoding="utf-8").split() if MARKER in present else []
    foreign = [name for name in present if name not in (*ours, MARKER)]
    if foreign:
        raise UsageError(f"{out}: holds {foreign[0]}, which is no file of an earlier sample; give a folder of its own")
    if ours and not replace:
        raise UsageError(f"{out}: holds a sample already; give an empty folder, or --overwrite")
    require_writable_parent(out / MARKER)
    for name in set(ours) & set(present):
        (out / name).unlink()
    make_folder(out)
    write_atomic(out / MARKER, "".join(f"{name}\n" for name in names).encode())


def _decimals(index: int) -> int:
    return 5 - int(np.floor(np.log10(FIRST_PRICES[index % len(FIRST_PRICES)])))


def _simulate(rng: np.random.Generator, log_price: float) -> _Day:
    hour = np.arange(SECONDS) / 3600.0
    season = 1.0 + 0.45 * np.sin(2 * np.pi * (hour - 8.0) / 24.0) + 0.15 * np.sin(4 * np.pi * hour / 24.0)
    regime = _regimes(rng)
    volatility = DAILY_VOLATILITY / np.sqrt(SECONDS) * REGIME_VOLATILITY[regime] * np.sqrt(season)
    noise = np.cumsum(rng.standard_normal(SECONDS + FLOW_SECONDS))
    flow = (noise[FLOW_SECONDS:] - noise[:-FLOW_SECONDS]) / np.sqrt(FLOW_SECONDS)
    trend = np.where(regime == REGIMES.index("trending"), rng.choice([-1.0, 1.0]), 0.0)
    score = FLOW_DRIFT * np.roll(flow, 1) + TREND_SCORE * trend
    shocks = rng.standard_t(5, SECONDS) / np.sqrt(5.0 / 3.0)
    path = log_price + np.cumsum(volatility * (score + shocks))
    return _Day(log_price=path, flow=flow, activity=season * REGIME_ACTIVITY[regime])


def _regimes(rng: np.random.Generator) -> NDArray[np.intp]:
    lengths = rng.integers(2_400, 9_000, SECONDS // 2_400)
    return np.repeat(rng.integers(0, len(REGIMES), lengths.size), lengths)[:SECONDS]


def _trades(
    rng: np.random.Generator, latent: _Day, *, start: date, count: int, decimals: int
) -> dict[str, NDArray[Any]]:
    cumulative = np.concatenate(([0.0], np.cumsum(latent.activity)))
    arrivals = np.cumsum(rng.standard_exponential(count + 1))[:-1]
    arrivals *= cumulative[-1] / (arrivals[-1] * (1.0 + 1.0 / count))
    seconds = np.interp(arrivals, cumulative, np.arange(SECONDS + 1.0))
    leader, depth = _sweeps(rng, count)
    seconds = seconds[leader]
    buy_share = np.clip(0.5 + FLOW_SIDE * latent.flow[seconds.astype(np.intp)], 0.05, 0.95)
    side = np.where(rng.random(count) < buy_share, 1.0, -1.0)[leader]
    middle = np.exp(np.interp(seconds, np.arange(SECONDS), latent.log_price))
    midnight = int(datetime(start.year, start.month, start.day, tzinfo=UTC).timestamp()) * 1_000
    return {
        "trade_time": midnight + (seconds * 1_000.0).astype(np.int64),
        "price": np.round(middle * (1.0 + side * HALF_SPREAD * (1.0 + depth)), decimals),
        "qty": np.maximum(np.round(rng.lognormal(-1.0, 0.8, count), 4), 0.0001),
        "is_buyer_maker": side < 0.0,
    }


def _sweeps(rng: np.random.Generator, count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """For each trade the row of the order's first fill, and how many fills came before it."""
    follows = rng.random(count) < SWEEP_SHARE
    follows[0] = False
    rows = np.arange(count)
    leader = np.maximum.accumulate(np.where(follows, 0, rows))
    return leader, rows - leader


def _without_stretch(rng: np.random.Generator, ticks: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The ticks without forty minutes of the day: a feed that was down."""
    time = ticks["trade_time"]
    begin = time[0] + int(rng.integers(8, 18)) * 3_600_000
    keep = (time < begin) | (time >= begin + MISSING_MINUTES * 60_000)
    return {name: values[keep] for name, values in ticks.items()}


def _frame(ticks: dict[str, NDArray[Any]], symbol: str) -> pl.DataFrame:
    frame = pl.DataFrame(ticks).with_columns(pl.lit(symbol).alias("symbol"))
    maker = pl.when("is_buyer_maker").then(pl.lit("True")).otherwise(pl.lit("False"))
    return frame.select("trade_time", "symbol", "trade_id", "price", "qty", maker.alias("is_buyer_maker"))


def _write(path: Path, frame: pl.DataFrame, rng: np.random.Generator) -> None:
    """Write the rows with the bad ones strewn in; no time stamp in the gzip header, so that bytes repeat."""
    inner = rng.choice(np.arange(1, frame.height), BAD_ROWS_PER_FILE, replace=False)
    cuts = [0, *sorted(inner.tolist()), frame.height]
    parts = [(",".join(frame.columns) + "\n").encode()]
    for number, (begin, end) in enumerate(pairwise(cuts)):
        parts.append(frame[begin:end].write_csv(include_header=False).encode())
        if number < BAD_ROWS_PER_FILE:
            parts.append(_bad_row(frame.row(end - 1, named=True), number).encode())
    write_atomic(path, gzip.compress(b"".join(parts), compresslevel=1, mtime=0))


def _bad_row(good: dict[str, Any], number: int) -> str:
    """A broken copy of a row; the last kind is the row itself again, its trade id a duplicate."""
    stray = {"trade_id": BAD_IDS + good["trade_id"]}
    changes: list[dict[str, Any]] = [
        stray | {"price": "n/a"}, stray | {"qty": -good["qty"]}, stray | {"price": 0.0}, {},
    ]  # fmt: skip
    return ",".join(str(value) for value in (good | changes[number]).values()) + "\n"
