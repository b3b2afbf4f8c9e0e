"""Local time to UTC: IANA zones with their missing and double hours, and fixed offsets."""

import re
import zoneinfo
from datetime import timedelta

import polars as pl

from pipelines.errors import DataError
from pipelines.reasons import AMBIGUOUS_LOCAL_TIME, NONEXISTENT_LOCAL_TIME

_FIXED = re.compile(r"^(?:UTC|GMT)?\s*([+-])(\d{1,2}):?(\d{2})?$", re.IGNORECASE)
_STATED = re.compile(r"(?<![a-z])(utc|gmt)(?![a-z+\-])", re.IGNORECASE)


def states_utc(text: str) -> bool:
    """Tell whether a comment line or a column name says that times are UTC."""
    return _STATED.search(text.replace("_", " ")) is not None


def check_zone(zone: str) -> str:
    """Return the zone when it is known.

    Raises
    ------
    DataError : neither an IANA name nor a fixed offset.
    """
    if fixed_offset(zone) is None and zone not in zoneinfo.available_timezones():
        raise DataError(
            f"--timezone {zone}: unknown time zone; expected an IANA name such as America/New_York, or a fixed "
            "offset such as -05:00 (config key source.timezone)"
        )
    return zone


def fixed_offset(zone: str) -> timedelta | None:
    """Return the distance from UTC of a fixed zone, None for any other."""
    if zone.upper() in ("UTC", "GMT", "Z"):
        return timedelta(0)
    match = _FIXED.match(zone)
    if match is None or int(match[2]) > 14 or int(match[3] or 0) > 59:
        return None
    distance = timedelta(hours=int(match[2]), minutes=int(match[3] or 0))
    return -distance if match[1] == "-" else distance


def local_to_utc(local: pl.Series, zone: str) -> tuple[pl.Series, pl.Series]:
    """Return UTC stamps and the reason why a local time has none (null where it has one).

    An hour that the clock shows twice, or never, is not guessed: such stamps come back null.
    """
    offset = fixed_offset(zone)
    none = pl.repeat(None, len(local), dtype=pl.String, eager=True)
    if offset is not None:
        # In integers: `Series - timedelta` turns a series of one row into microseconds (polars 2.1).
        utc = local.cast(pl.Int64) - int(offset.total_seconds()) * 1_000_000_000
        return utc.cast(pl.Datetime("ns")).dt.replace_time_zone("UTC"), none
    strict = local.dt.replace_time_zone(zone, ambiguous="null", non_existent="null")
    if strict.null_count() > local.null_count():
        earliest = local.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
        frame = pl.DataFrame({"local": local, "strict": strict, "earliest": earliest})
        lost = pl.col("local").is_not_null() & pl.col("strict").is_null()
        double = lost & pl.col("earliest").is_not_null()
        none = frame.select(
            pl.when(double).then(pl.lit(AMBIGUOUS_LOCAL_TIME)).when(lost).then(pl.lit(NONEXISTENT_LOCAL_TIME))
        ).to_series()
    return strict.dt.convert_time_zone("UTC"), none
