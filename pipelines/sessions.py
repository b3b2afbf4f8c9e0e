"""Sessions of an exchange: when it opens and closes, by the calendars of `exchange_calendars`."""

import warnings
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.arrays import Integers
from pipelines.errors import DataError

Session = list[int]  # open and close, ns UTC

DAY_NS = 86_400 * 10**9
_WEEK_NS = 7 * DAY_NS  # more than a session is away from the day that it is named after


def between(calendar: str, start: int, end: int) -> list[Session]:
    """The sessions that are open at some time from `start` to before `end`, ns UTC, in order.

    Raises:
        DataError: `exchange_calendars` is not installed, or has no such calendar for these years.
    """
    first, last = (datetime.fromtimestamp(stamp // 10**9, UTC).year for stamp in (start - _WEEK_NS, end + _WEEK_NS))
    found = [session for year in range(first, last + 1) for session in _of_year(calendar, year)]
    return [[opened, closed] for opened, closed in found if closed >= start and opened < end]


def check_calendar(calendar: str) -> None:
    """Raises DataError when there is no such calendar, or no `exchange_calendars` to ask."""
    _of_year(calendar, 2020)


@lru_cache(256)
def _of_year(calendar: str, year: int) -> tuple[tuple[int, int], ...]:
    exchanges = _library()
    try:
        with warnings.catch_warnings():  # what it asks of pandas is its own affair
            warnings.simplefilter("ignore")
            schedule = exchanges.get_calendar(calendar, start=f"{year}-01-01", end=f"{year}-12-31").schedule
            moments = schedule[["open", "close"]].astype("datetime64[ns, UTC]").astype("int64")
    except exchanges.errors.InvalidCalendarName:
        names = ", ".join(exchanges.get_calendar_names(include_aliases=False))
        raise DataError(f"source.calendar: expected one of {names}; received {calendar!r}") from None
    except (ValueError, exchanges.errors.CalendarError) as error:
        told = " ".join(str(error).split())
        raise DataError(f"source.calendar: {calendar} does not tell of {year}: {told}; leave it out") from None
    return tuple((int(opened), int(closed)) for opened, closed in moments.to_numpy())


def _library() -> Any:
    try:
        import exchange_calendars
    except ImportError:
        raise DataError(
            "source.calendar: needs exchange_calendars, which is not installed; install the extra `calendar` of "
            "stockbot-hp, or leave the setting out"
        ) from None
    return exchange_calendars


def is_outside(stamps: Integers, sessions: Sequence[Session]) -> NDArray[np.bool_]:
    """Which times lie outside all sessions; those of an open and of a close lie inside. (rows,) bool."""
    if not sessions:
        return np.ones(len(stamps), dtype=bool)
    opens, closes = np.array(sessions, dtype=np.int64).T
    at = np.searchsorted(opens, stamps, side="right") - 1
    return np.asarray((at < 0) | (stamps > closes[at]))


def edges(sessions: Iterable[Sequence[int]]) -> Integers:
    """Times at which a session begins, or the time outside one: sorted, ns UTC."""
    found = np.array(list(sessions), dtype=np.int64).reshape(-1, 2)
    opens = np.unique(found[:, 0])
    return np.union1d(opens, np.setdiff1d(found[:, 1], opens) + 1)


def begun(stamps: Integers, edges: Integers) -> Integers:
    """When the session, or the time outside one, began that each time lies in: what tells them apart. (rows,) int64."""
    if not len(edges):
        return np.zeros(len(stamps), dtype=np.int64)
    at = np.searchsorted(edges, stamps, side="right") - 1
    return np.where(at < 0, np.iinfo(np.int64).min, edges[at])


def begun_by(calendar: str | None, stamps: Integers) -> Integers:
    """As `begun`, of rows in time order, by a calendar; 0 without one.

    Raises:
        DataError: as `between`.
    """
    if calendar is None or not len(stamps):
        return np.zeros(len(stamps), dtype=np.int64)
    first, last = (datetime.fromtimestamp(int(stamp) // 10**9, UTC).year for stamp in (stamps[0], stamps[-1]))
    return begun(stamps, _edges_of_years(calendar, first - 1, last + 1))


@lru_cache(64)
def _edges_of_years(calendar: str, first: int, last: int) -> Integers:
    return edges(session for year in range(first, last + 1) for session in _of_year(calendar, year))
