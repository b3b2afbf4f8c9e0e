"""Dates and times written as text: which form a column has, and its parts as numbers."""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Literal

import polars as pl

from pipelines.errors import DataError

_DATES = {
    "ymd": r"(?P<y>\d{4})[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})",
    "compact": r"(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})",
    "parts": r"(?P<a>\d{1,2})[-/.](?P<b>\d{1,2})[-/.](?P<c>\d{4}|\d{2})",
}
_TIMES = {
    "clock": r"[ T,D]+(?P<H>\d{1,2}):(?P<M>\d{2})(?::(?P<S>\d{2})(?:[.,](?P<f>\d{1,9}))?)?(?: ?(?P<p>[AaPp][Mm]))?",
    "digits": r"[ T,]*(?P<H>\d{2})(?P<M>\d{2})(?:(?P<S>\d{2})(?P<f>\d{3}|\d{6}|\d{9})?)?",
    "half": r"[ T]+(?P<H>\d{1,2})[- ]?(?P<p>[AaPp][Mm])",
}
_OFFSET = r" ?(?:(?P<z>Z|z|UTC|GMT)?(?P<o>[+-]\d{2}(?::?\d{2})?)?)"
_ORDERS = {"dmy": ("c", "b", "a"), "mdy": ("c", "a", "b"), "ymd": ("a", "b", "c")}
_GROUPS = ("y", "m", "d", "a", "b", "c", "H", "M", "S", "f", "p", "z", "o")
# Years that int64 nanoseconds can hold from their first day to their last.
_YEARS = (1678, 2261)
# The parts of a slice take some 20 times the room of its stamps; slices also run in parallel.
_SLICE = 250_000
_PLAIN = re.compile(
    r"^\d{4}(?P<day>[-/.])\d{2}(?P=day)\d{2}(?P<joint>[ T])\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?P<zone>Z?)$"
)


@dataclass(frozen=True)
class TextForm:
    """date : how the day is written; time : how the time of day is, "none" where it is not."""

    date: Literal["ymd", "compact", "parts"]
    time: Literal["clock", "digits", "half", "none"]

    @property
    def pattern(self) -> str:
        time = "" if self.time == "none" else f"(?:{_TIMES[self.time]}{_OFFSET})?"
        return f"^{_DATES[self.date]}{time}$"


_FORMS = [TextForm(day, time) for time in ("none", *_TIMES) for day in _DATES]  # type: ignore[arg-type]
_COMPILED = [(form, re.compile(form.pattern)) for form in _FORMS]


@dataclass(frozen=True)
class ParsedText:
    """local : Datetime ns, the offset of the text already taken off; offset_known, timed : Boolean."""

    local: pl.Series
    offset_known: pl.Series
    timed: pl.Series
    description: str


def detect_text_form(sample: list[str]) -> TextForm | None:
    """Return the form that reads most of a sample, the simplest of equals; None when it reads under half."""
    hits = Counter({form: sum(1 for text in sample if regex.match(text)) for form, regex in _COMPILED})
    form, count = hits.most_common(1)[0]
    return form if count * 2 > len(sample) else None


def parse_text(text: pl.Series, form: TextForm, *, where: str, date_order: str | None) -> ParsedText:
    """Read a column of one form; what does not fit it, or is no date of the calendar, is null.

    Raises
    ------
    DataError : day and month can be told apart by no row, or rows contradict one another.
    """
    label: str = form.date
    if form.date == "parts":
        label = date_order or _settled_order(text, where)
    plain = _plain(text) if form == TextForm("ymd", "clock") else None
    if plain is not None:
        return ParsedText(plain["local"], plain["offset_known"], plain["timed"], _described(label, form, plain))
    named = dict(zip("ymd", _ORDERS[label] if form.date == "parts" else "ymd", strict=True))
    slices = [_parsed(text.slice(at, _SLICE), form, named) for at in range(0, max(len(text), 1), _SLICE)]
    frame = pl.concat(pl.collect_all(slices))
    described = _described(label, form, frame)
    return ParsedText(frame["local"], frame["offset_known"], frame["timed"], described)


def _plain(text: pl.Series) -> pl.DataFrame | None:
    """Read a column that is `2024-01-05 10:00:00[.5][Z]` throughout, at a sixth of the time; None for any other."""
    shape = _PLAIN.match(text[0] or "") if len(text) else None
    if shape is None:
        return None
    day, joint, zone = shape["day"], shape["joint"], shape["zone"]
    date, time = f"[0-9]{{4}}[{day}][0-9]{{2}}[{day}][0-9]{{2}}", "[0-9]{2}:[0-5][0-9]:[0-5][0-9]"
    pattern = rf"^{date}{joint}{time}(?:\.[0-9]{{1,9}})?{zone}$"
    if not text.str.contains(pattern).fill_null(False).all():
        return None
    seconds = text.str.slice(0, 19).str.to_datetime(f"%Y{day}%m{day}%d{joint}%H:%M:%S", time_unit="us", strict=False)
    years = seconds.dt.year()
    if seconds.null_count() or years.min() < _YEARS[0] or years.max() > _YEARS[1]:  # type: ignore[operator]
        return None
    fraction = text.str.strip_suffix("Z").str.slice(20).str.pad_end(9, "0").cast(pl.Int64)
    local = seconds.to_physical() * 1000 + fraction
    return pl.select(
        local=local.cast(pl.Datetime("ns")),
        offset_known=pl.repeat(zone == "Z", len(text), dtype=pl.Boolean),
        timed=pl.repeat(True, len(text), dtype=pl.Boolean),
    )


def _parsed(text: pl.Series, form: TextForm, named: dict[str, str]) -> pl.LazyFrame:
    groups = pl.DataFrame({"text": text}).lazy().select(pl.col("text").str.extract_groups(form.pattern))
    parts = groups.unnest("text")
    absent = [name for name in _GROUPS if f"?P<{name}>" not in form.pattern]
    parts = parts.with_columns(pl.lit(None, pl.String).alias(name) for name in absent)
    parts = parts.with_columns(pl.col(source).alias(name) for name, source in named.items())
    return parts.select(
        (_days() * 86_400_000_000_000 + _ns_of_day() - _offset_ns()).cast(pl.Datetime("ns")).alias("local"),
        (pl.col("z").is_not_null() | pl.col("o").is_not_null()).alias("offset_known"),
        pl.col("H").is_not_null().alias("timed"),
    )


def _described(label: str, form: TextForm, frame: pl.DataFrame) -> str:
    if not frame["timed"].any():
        return f"dates {label} (midnight UTC labels)"
    return f"date-times {label}" + (" with offset" if frame["offset_known"].any() else "")


def _days() -> pl.Expr:
    """Days since 1970 of the proleptic calendar, null where year, month and day are no date."""
    digits, short = pl.col("y").cast(pl.Int64), pl.col("y").str.len_bytes() == 2
    year = digits + pl.when(~short).then(0).when(digits < 69).then(2000).otherwise(1900)
    month, day = pl.col("m").cast(pl.Int64), pl.col("d").cast(pl.Int64)
    leap = ((year % 4 == 0) & (year % 100 != 0)) | (year % 400 == 0)
    length = pl.when(month == 2).then(28 + leap.cast(pl.Int64)).otherwise(30 + (month + month // 8) % 2)
    valid = month.is_between(1, 12) & day.is_between(1, length) & year.is_between(*_YEARS)
    # Years counted from March, so that the leap day is the last of its year.
    shifted = year - (month <= 2).cast(pl.Int64)
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    days = 365 * shifted + shifted // 4 - shifted // 100 + shifted // 400 + of_year - 719_468
    return pl.when(valid).then(days)


def _ns_of_day() -> pl.Expr:
    stated, noon = pl.col("H").cast(pl.Int64), pl.col("p").str.to_lowercase()
    hour = pl.when(noon.is_null()).then(stated).otherwise(stated % 12 + 12 * (noon == "pm").cast(pl.Int64))
    minute, second = (pl.col(n).fill_null("0").cast(pl.Int64) for n in ("M", "S"))
    fraction = pl.col("f").fill_null("0").str.pad_end(9, "0").cast(pl.Int64)
    valid = (minute < 60) & (second < 60) & pl.when(noon.is_null()).then(hour < 24).otherwise(stated.is_between(1, 12))
    nanoseconds = ((hour * 60 + minute) * 60 + second) * 1_000_000_000 + fraction
    return pl.when(stated.is_null()).then(0).when(valid).then(nanoseconds)


def _offset_ns() -> pl.Expr:
    digits = pl.col("o").str.replace(":", "", literal=True)
    minutes = digits.str.slice(1, 2).cast(pl.Int64) * 60
    minutes += digits.str.slice(3, 2).str.replace("^$", "0").cast(pl.Int64)
    signed = pl.when(digits.str.starts_with("-")).then(-minutes).otherwise(minutes)
    return pl.when(digits.is_null()).then(0).when(minutes <= 14 * 60).then(signed) * 60_000_000_000


def _settled_order(text: pl.Series, where: str) -> str:
    """Return the order under which more days are dates; every day of the whole column takes part."""
    rows = pl.DataFrame({"text": text, "day": text.str.extract("^([^ T,]*)")})
    text = rows.unique("day", maintain_order=True)["text"]
    parts = pl.DataFrame({"text": text.str.extract_groups("^" + _DATES["parts"])}).unnest("text")
    short = parts["c"].str.len_bytes().max() == 2
    days = {order: _days_under(order, parts) for order in (_ORDERS if short else ("dmy", "mdy"))}
    counts = {order: int(found.is_not_null().sum()) for order, found in days.items()}
    best = max(counts, key=lambda order: counts[order])
    for other in counts.keys() - {best}:
        only_other = int((days[best].is_null() & days[other].is_not_null()).sum())
        only_best = int((days[other].is_null() & days[best].is_not_null()).sum())
        differing = (days[best] != days[other]).fill_null(False)
        if only_best > 10 * only_other or not (differing.any() or only_best or only_other):
            continue
        row = differing if differing.any() else days[other].is_not_null()
        raise DataError(_two_readings(text.filter(row)[0], best, other, days, row, where))
    return best


def _days_under(order: str, parts: pl.DataFrame) -> pl.Series:
    named = parts.select(pl.col(source).alias(n) for n, source in zip("ymd", _ORDERS[order], strict=True))
    return named.select(_days().alias("days")).to_series()


def _two_readings(text: str, best: str, other: str, days: dict[str, pl.Series], row: pl.Series, where: str) -> str:
    first, second = sorted((best, other))
    shown = {o: days[o].filter(row).cast(pl.Date)[0] for o in (first, second)}
    return (
        f"{where}: the order of day and month is ambiguous: {text!r} is {shown[first]} ({first}) or {shown[second]} "
        f"({second}), and no row settles it; state it with --date-order {first}|{second} (config key "
        "source.date_order)"
    )
