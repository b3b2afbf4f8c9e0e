"""Periods: the calendar's days, months and years, as Polars cuts them too."""

from datetime import date
from typing import get_args

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipelines.parts import Period, period_bounds, period_end, period_key

UNITS = {"day": "1d", "month": "1mo", "year": "1y"}
STAMPS = st.integers(-(2**62), 2**62)  # ns: from 1823 to 2116


@pytest.mark.parametrize("period", get_args(Period))
@given(stamp=STAMPS)
@example(stamp=-1)
@example(stamp=1_709_164_800 * 10**9)  # 29 February 2024
@example(stamp=1_735_689_599_999_999_999)  # the last instant of a leap year
def test_periods_are_those_of_the_calendar(period: Period, stamp: int) -> None:
    first = pl.Series([stamp]).cast(pl.Datetime("ns")).dt.truncate(UNITS[period])
    key, end = period_key(stamp, period), int(first.dt.offset_by(UNITS[period]).to_physical()[0])
    assert date.fromisoformat(key) == first.dt.date()[0]
    assert period_bounds(key, period) == (int(first.to_physical()[0]), end)
    assert period_end(key, period) == end
    assert period_key(end, period) != key == period_key(end - 1, period)
