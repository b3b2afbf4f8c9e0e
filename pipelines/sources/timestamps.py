"""Time stamps of every form met in market data files to UTC nanoseconds, a whole column at a time."""

import re
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from kernels.spans import is_within
from pipelines.errors import DataError
from pipelines.reasons import MISSING_VALUE, TIMESTAMP_UNIT, UNPARSABLE_TIMESTAMP
from pipelines.schema import TIMESTAMP, SourceHints
from pipelines.sources.calendar_text import TextForm, detect_text_form, parse_text
from pipelines.sources.zones import check_zone, local_to_utc

_UNIT_NS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1, "ms_of_day": 10**6}
_UNIT_DIGITS = {"s": 9, "ms": 6, "us": 3, "ns": 0, "ms_of_day": 6}
_EPOCH_DIGITS = {"s": (9, 11), "ms": (12, 14), "us": (15, 17), "ns": (18, 19)}
_DAY_MS = 86_400_000
_MAX_NS = 2**63 - 1
_NUMBER = re.compile(r"^\d+(\.\d*)?$")
_TIME_OF_DAY = re.compile(r"^\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?( ?[AaPp][Mm])?$|^\d{1,6}$|^\d{9}$")
_UNNAMED_TIME = re.compile(r"^\d{1,2}:\d{2}|^([01]\d|2[0-3])[0-5]\d[0-5]\d(\d{3})?$")
_COMPACT = re.compile(
    r"^(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:(?:[01]\d|2[0-3])[0-5]\d(?:[0-5]\d(?:\d{3})?)?)?$"
)
_COMPACT_DIGITS = (8, 12, 14, 17)


@dataclass(frozen=True, kw_only=True)
class TimeContext:
    """What the surroundings of a time column tell about it.

    file_date : the day that the file name states, for times that count from midnight
    states_utc : a comment line or the column name says UTC
    settled : the form that rows before these had; None where these are all rows
    """

    where: str
    hints: SourceHints
    file_date: date | None = None
    states_utc: bool = False
    settled: str | None = None

    @property
    def zone(self) -> str | None:
        if self.hints.timezone is not None:
            return check_zone(self.hints.timezone)
        return "UTC" if self.states_utc else None

    def require_zone(self, example: str) -> str:
        if self.zone is None:
            raise DataError(
                f"{self.where}: {example} states no time zone; expected one from you: --timezone ZONE or config "
                "key source.timezone (an IANA name, UTC, or a fixed offset such as -05:00)"
            )
        return self.zone


@dataclass(frozen=True)
class Times:
    """stamps : (rows,) Datetime ns UTC, null where a reason stands; reasons : (rows,) String."""

    stamps: pl.Series
    reasons: pl.Series
    form: str


def looks_like_epoch(sample: list[str]) -> bool:
    """Tell whether most values are epoch stamps in s, ms, us or ns."""
    return _share(sample, lambda text: _NUMBER.match(text) is not None and 9 <= len(_whole(text)) <= 19) > 0.5


def looks_like_date(sample: list[str]) -> bool:
    """Tell whether most values are dates without a time of day."""
    form = detect_text_form(sample)
    return (form is not None and form.time == "none") or _share(sample, _is_compact_date) > 0.5


def looks_like_time_of_day(sample: list[str], *, named: bool = True) -> bool:
    """Tell whether most values are a time of day without a date.

    A column that is not called time (`named` false) must not be one of whole prices or volumes.
    """
    regex = _TIME_OF_DAY if named else _UNNAMED_TIME
    return _share(sample, lambda text: regex.match(text) is not None) > 0.5


def looks_like_stamp(sample: list[str]) -> bool:
    """Tell whether most values can be a time stamp: epoch, date and time, or counted from midnight."""
    if looks_like_epoch(sample) or detect_text_form(sample) is not None:
        return True
    below_day = _share(sample, lambda text: _NUMBER.match(text) is not None and float(text) < _DAY_MS)
    return below_day > 0.5 and len(set(sample)) > len(sample) // 2


def parse_times(column: pl.Series, context: TimeContext) -> Times:
    """Return the UTC stamps of a column; what cannot be read is null, with a reason.

    Epoch stamps are UTC. A date without time of day is the UTC midnight that labels it, in any zone.
    Everything else needs an offset in the text or a zone in the context.

    Raises
    ------
    DataError : no known form, a zone or a date order is needed, or the column has an impossible type.
    """
    times = _parsed(column, context)
    if context.settled is not None and _kind(times.form) != _kind(context.settled):
        raise DataError(
            f"{context.where}: holds {times.form} where rows before these hold {context.settled}; expected one form of "
            "time in a file: split it, or state the unit with --time-unit"
        )
    return times


def plain_stamps(column: pl.Series, form: str, hints: SourceHints) -> pl.Series | None:
    """Return the UTC stamps of a column whose form is settled, None unless every cell is known to have one."""
    span = _plain_span(column.dtype, form, hints)
    if span is None or column.null_count() or not len(column):
        return None
    scale, least, most = span
    numbers = column.to_physical().to_numpy()
    if not is_within(numbers, least, most):
        return None
    return (column.to_physical() if scale == 1 else pl.Series(numbers * scale)).cast(TIMESTAMP)


def _plain_span(dtype: pl.DataType, form: str, hints: SourceHints) -> tuple[int, int, int] | None:
    """Nanoseconds in the unit of a column of numbers, and between which of them nothing else can be meant."""
    if isinstance(dtype, pl.Datetime) and form == f"datetime[{dtype.time_unit}, {dtype.time_zone}]":
        scale = _UNIT_NS[dtype.time_unit]
        most = (_MAX_NS - _DAY_MS * 10**6) // scale
        return scale, -most, most
    unit = form.removeprefix("epoch ")
    if dtype != pl.Int64 or unit == form:
        return None
    most = _MAX_NS // _UNIT_NS[unit] - 1
    if hints.time_unit is not None:
        return _UNIT_NS[unit], 0, most
    fewest, digits = _EPOCH_DIGITS[unit]
    fewest += unit == "ms"  # 202401051030 may be a date
    return _UNIT_NS[unit], 10 ** (fewest - 1), min(most, 10**digits - 1)


def _kind(form: str) -> str:
    """What must not change within a column: the form without what only some of its cells say."""
    return form.partition(" in ")[0].removesuffix(" with offset")


def _parsed(column: pl.Series, context: TimeContext) -> Times:
    dtype = column.dtype
    if dtype == pl.Date:
        stamps = _holdable(column, 86_400 * 10**9).cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")
        return _with_reasons(column, stamps, None, "dates (midnight UTC labels)")
    if isinstance(dtype, pl.Datetime):
        return _from_datetime(column, dtype, context)
    if dtype.is_float():
        return _from_float(column, context)
    if dtype.is_integer():
        return _from_integer(column, context)
    if dtype != pl.String:
        raise DataError(
            f"{context.where}: has type {dtype}; expected times, dates, epoch numbers or text: choose the column "
            "with --column timestamp=NAME"
        )
    return _from_text(column.str.strip_chars(), context)


def join_date_and_time(days: pl.Series, times: pl.Series) -> pl.Series:
    """Return `date time` texts of two columns; a time that lost its leading zeros gets them back."""
    frame = pl.DataFrame({"day": days.cast(pl.String), "time": times.cast(pl.String)})
    time = pl.col("time").str.strip_chars()
    padded = pl.when(time.str.contains(r"^\d{1,5}$")).then(time.str.zfill(6)).otherwise(time)
    both = pl.concat_str(pl.col("day").str.strip_chars(), padded, separator=" ")
    return frame.select(both.fill_null("").str.strip_chars().alias("stamp")).to_series()


def _from_integer(column: pl.Series, context: TimeContext) -> Times:
    """As the text of the numbers would be read, without making it: 50 ns a row less."""
    sample = _sample(column.gather_every(max(1, len(column) // 2000)).cast(pl.String))
    unit = context.hints.time_unit or _number_unit(sample, context)
    if unit is None or unit == "ms_of_day":
        return _from_text(column.cast(pl.String), context)
    number, scale = pl.col("number"), _UNIT_NS[unit]
    frame = pl.DataFrame({"number": column.cast(pl.Int64, strict=False)})
    reasons = pl.repeat(None, len(frame), dtype=pl.String, eager=True)
    fits = number.is_between(0, _MAX_NS // scale - 1)
    if context.hints.time_unit is None:
        least, most = (10**digits for digits in (_EPOCH_DIGITS[unit][0] - 1, _EPOCH_DIGITS[unit][1]))
        native = number.is_between(least, min(most, _MAX_NS) - 1)
        reasons = frame.select(pl.when((number >= 0) & ~native).then(pl.lit(TIMESTAMP_UNIT))).to_series()
        fits &= native
    stamps = frame.select(pl.when(fits).then(number * scale).cast(TIMESTAMP)).to_series()
    return _with_reasons(column, stamps, reasons, f"epoch {unit}")


def _sample(text: pl.Series) -> list[str]:
    return [item for item in text.to_list() if item]


def _from_text(text: pl.Series, context: TimeContext) -> Times:
    sample = _sample(text.gather_every(max(1, len(text) // 2000)))
    unit = context.hints.time_unit or _number_unit(sample, context)
    if unit == "ms_of_day":
        return _from_midnight(text, context, sample[0] if sample else "")
    if unit is not None:
        return _from_epoch(text, unit, checked=context.hints.time_unit is None)
    form = detect_text_form(sample)
    if form is None:
        raise DataError(
            f"{context.where}: no known form of time in {sample[0] if sample else ''!r}; expected epoch numbers, dates "
            "or date-times: choose the column with --column timestamp=NAME, or the unit with --time-unit"
        )
    return _from_form(text, form, context)


def _from_epoch(text: pl.Series, unit: str, *, checked: bool) -> Times:
    """Read counts of a unit; where it was told from the file (`checked`), counts of another one have no stamp.

    A stamp in seconds among milliseconds would be a day of January 1970, and a zero 1970-01-01.
    """
    stamps = _scaled(text, unit).cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")
    if not checked:
        return _with_reasons(text, stamps, None, f"epoch {unit}")
    digits = pl.col("text").str.extract(r"^(\d+)(?:\.\d*)?$").str.strip_chars_start("0").str.len_bytes()
    foreign = ~digits.is_between(*_EPOCH_DIGITS[unit]) & (digits <= _EPOCH_DIGITS["ns"][1])
    reason = pl.when(foreign).then(pl.lit(TIMESTAMP_UNIT))
    reasons = pl.DataFrame({"text": text}).select(reason.alias("reason")).to_series()
    return _with_reasons(text, stamps.set(reasons.is_not_null(), None), reasons, f"epoch {unit}")


def _from_form(text: pl.Series, form: TextForm, context: TimeContext) -> Times:
    parsed = parse_text(text, form, where=context.where, date_order=context.hints.date_order)
    naive = parsed.timed & ~parsed.offset_known & parsed.local.is_not_null()
    known = parsed.local.is_not_null() & ~naive
    described = parsed.description
    reasons = None
    stamps = parsed.local.dt.replace_time_zone("UTC")
    if naive.any():
        # Where offsets are the rule, a row without one is a damaged row and not a reason to ask.
        offsets = int((known & parsed.timed).sum())
        example = repr(text.filter(naive)[0])
        zone = context.zone if offsets > int(naive.sum()) else context.require_zone(example)
        stamps, reasons = _naive_placed(parsed.local, naive, zone)
        described += f" in {zone}" if zone else ""
    return _with_reasons(text, stamps, reasons, described)


def _naive_placed(local: pl.Series, naive: pl.Series, zone: str | None) -> tuple[pl.Series, pl.Series | None]:
    """Return all stamps as UTC, the naive ones by way of their zone; without a zone they have none."""
    rows = pl.DataFrame({"local": local, "naive": naive})
    rest = rows.select(pl.when(~pl.col("naive")).then("local").dt.replace_time_zone("UTC").alias("rest"))
    if zone is None:
        return rest.to_series(), None
    placed, reasons = local_to_utc(rows.select(pl.when("naive").then("local").alias("local")).to_series(), zone)
    both = rest.with_columns(placed.alias("placed")).select(pl.coalesce("rest", "placed"))
    return both.to_series(), reasons


def _from_datetime(column: pl.Series, dtype: pl.Datetime, context: TimeContext) -> Times:
    unit = dtype.time_unit
    times = _holdable(column, _UNIT_NS[unit])
    if dtype.time_zone is not None:
        stamps = times.dt.convert_time_zone("UTC").dt.cast_time_unit("ns")
        return _with_reasons(column, stamps, None, f"datetime[{unit}, {dtype.time_zone}]")
    zone = context.require_zone(str(times.drop_nulls().first()))
    stamps, reasons = local_to_utc(times.dt.cast_time_unit("ns"), zone)
    return _with_reasons(column, stamps, reasons, f"datetime[{unit}] in {zone}")


def _holdable(column: pl.Series, scale: int) -> pl.Series:
    """Return the times with null for those that int64 nanoseconds cannot hold in every zone."""
    most = (_MAX_NS - _DAY_MS * 10**6) // scale
    numbers = column.to_physical()
    if len(column) and -most <= int(numbers.min() or 0) and int(numbers.max() or 0) <= most:  # type: ignore[arg-type]
        return column
    held = numbers.is_between(-most, most)
    return pl.DataFrame({"time": column, "held": held}).select(pl.when("held").then("time").alias("time")).to_series()


def _from_float(column: pl.Series, context: TimeContext) -> Times:
    finite = column.filter(column.is_finite().fill_null(False)).abs()
    if len(finite) and float(finite.median()) >= 1e17:  # type: ignore[arg-type]
        raise DataError(
            f"{context.where}: holds nanoseconds as {column.dtype}, which cannot keep them; expected integers: "
            "write the column as int64"
        )
    rows = pl.DataFrame({"value": column.cast(pl.Float64)})
    whole = pl.col("value").floor().cast(pl.Int64, strict=False)
    # A float64 of epoch seconds resolves about 0.2 us: microseconds are all that it can state.
    micros = whole * 1_000_000 + ((pl.col("value") - whole) * 1e6).round().cast(pl.Int64, strict=False)
    text = pl.format("{}.{}", micros // 1_000_000, (micros % 1_000_000).cast(pl.String).str.zfill(6))
    trimmed = text.str.strip_chars_end("0").str.strip_suffix(".")
    return _from_text(rows.select(trimmed.alias("text")).to_series(), context)


def _number_unit(sample: list[str], context: TimeContext) -> str | None:
    numbers = [text for text in sample if _NUMBER.match(text)]
    if len(numbers) * 2 <= len(sample):
        return None
    if _share(numbers, _is_compact) > 0.5:
        return None
    magnitude = sorted([len(text.partition(".")[0].lstrip("0")) for text in numbers])[len(numbers) // 2]
    if magnitude >= _EPOCH_DIGITS["s"][0]:
        return next((unit for unit, (_, most) in _EPOCH_DIGITS.items() if magnitude <= most), "ns")
    if context.file_date is not None:
        return "ms_of_day"
    raise DataError(
        f"{context.where}: {numbers[0]!r} is no epoch stamp and no date, and the file name states no day; expected "
        "a date as YYYYMMDD in the file name for ms since midnight, or --time-unit s|ms|us|ns"
    )


def _from_midnight(text: pl.Series, context: TimeContext, example: str) -> Times:
    day = context.file_date
    if day is None:
        raise DataError(
            f"{context.where}: counts from midnight, but the file name states no day; expected YYYYMMDD in the name"
        )
    zone = context.require_zone(f"{example} ms after midnight of {day}")
    midnight = (datetime(day.year, day.month, day.day) - datetime(1970, 1, 1)).days * 86_400 * 10**9
    counted = _scaled(text, "ms_of_day")
    local = counted.set(counted >= _DAY_MS * 10**6, None) + midnight
    stamps, reasons = local_to_utc(local.cast(pl.Datetime("ns")), zone)
    return _with_reasons(text, stamps, reasons, f"ms since midnight of {day} in {zone}")


def _scaled(text: pl.Series, unit: str) -> pl.Series:
    """Return counts of a unit as integer ns; the text never passes through a float."""
    scale, digits = _UNIT_NS[unit], _UNIT_DIGITS[unit]
    column = pl.col("text")
    if not text.str.contains(".", literal=True).any():
        whole, part = column.cast(pl.Int64, strict=False), pl.lit(0, dtype=pl.Int64)
    else:
        groups = column.str.extract_groups(rf"^(\d+)(?:\.(\d{{0,{digits}}})0*)?$")
        whole = groups.struct[0].cast(pl.Int64, strict=False)
        part = groups.struct[1].fill_null("").str.pad_end(max(digits, 1), "0").cast(pl.Int64, strict=False)
    fits = (whole >= 0) & (whole <= _MAX_NS // scale - 1)
    scaled = pl.when(fits).then(whole).otherwise(None) * scale + part
    return pl.DataFrame({"text": text}).select(scaled.alias("ns")).to_series()


def _with_reasons(source: pl.Series, stamps: pl.Series, reasons: pl.Series | None, form: str) -> Times:
    if not stamps.null_count():
        return Times(stamps.cast(TIMESTAMP), pl.repeat(None, len(stamps), eager=True, dtype=pl.String), form)
    frame = pl.DataFrame({"stamp": stamps.cast(TIMESTAMP)})
    empty = source.is_null() if source.dtype != pl.String else source.is_null() | (source == "")
    frame = frame.with_columns(empty=empty, given=reasons if reasons is not None else pl.lit(None, pl.String))
    bad = pl.when("empty").then(pl.lit(f"{MISSING_VALUE}:timestamp")).otherwise(pl.lit(UNPARSABLE_TIMESTAMP))
    reason = pl.when(pl.col("stamp").is_null()).then(pl.coalesce("given", bad))
    return Times(frame["stamp"], frame.select(reason.alias("reason")).to_series(), form)


def _share(sample: list[str], test: object) -> float:
    return sum(map(bool, map(test, sample))) / len(sample) if sample else 0.0  # type: ignore[call-overload]


def _whole(text: str) -> str:
    return text.partition(".")[0].lstrip("0")


def _is_compact(text: str) -> bool:
    return len(text) in _COMPACT_DIGITS and _COMPACT.match(text) is not None


def _is_compact_date(text: str) -> bool:
    return len(text) == 8 and _is_compact(text)
