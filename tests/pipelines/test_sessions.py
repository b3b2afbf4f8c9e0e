"""Sessions of an exchange: rows outside them are told, and no window spans two."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines import sessions
from pipelines.archive import build_archive
from pipelines.errors import DataError
from pipelines.panel import load_panel, panel_windows
from pipelines.reasons import Quality
from pipelines.schema import SourceHints
from pipelines.store import FeatureStore
from tests.pipelines.test_archive import NONE, parquet, request, small
from tests.pipelines.test_ledger import accounts_for_every_row

__all__ = ["small"]
SECOND, DAY = 10**9, 86_400 * 10**9
OPEN, CLOSE = 52_200 * SECOND, 75_600 * SECOND  # 14:30 to 21:00, each day of the week
EPOCH = 19_000  # a day in January 2022


@pytest.fixture
def every_day(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A calendar of one session a day, whatever its name is; it needs no library."""

    def of_year(calendar: str, year: int) -> tuple[tuple[int, int], ...]:
        first, last = (int(np.datetime64(f"{one}-01-01", "D").astype(np.int64)) for one in (year, year + 1))
        return tuple((day * DAY + OPEN, day * DAY + CLOSE) for day in range(first, last))

    sessions._edges_of_years.cache_clear()
    monkeypatch.setattr(sessions, "_of_year", of_year)
    yield
    sessions._edges_of_years.cache_clear()


def minutes(days: int) -> pl.DataFrame:
    """A trade a minute around the clock."""
    rows = days * 1440
    rng = np.random.default_rng(4)
    return pl.DataFrame(
        {
            "timestamp": EPOCH * DAY + np.arange(rows) * 60 * SECOND,
            "price": np.round(100 + np.cumsum(rng.normal(0, 0.01, rows)), 4),
            "volume": 1.0,
        }
    )


def built(source: Path, out: Path, *, action: str = "keep", **hints: object) -> FeatureStore:
    quality = Quality(calendar="XNYS", policy={"outside_session": action})  # type: ignore[dict-item]
    return build_archive(request(source, out, NONE, hints=SourceHints(quality=quality, **hints))).store  # type: ignore[arg-type]


def test_a_time_is_inside_from_the_open_to_the_close() -> None:
    held = [[10, 20], [30, 40], [40, 50]]
    stamps = np.array([9, 10, 20, 21, 29, 30, 40, 50, 51])
    assert sessions.is_outside(stamps, held).tolist() == [True, False, False, True, True, False, False, False, True]
    assert sessions.is_outside(stamps, []).all()
    edges = sessions.edges(held)
    assert edges.tolist() == [10, 21, 30, 40, 51]
    lowest = np.iinfo(np.int64).min
    assert sessions.begun(stamps, edges).tolist() == [lowest, 10, 10, 21, 21, 30, 40, 40, 51]
    assert sessions.begun(stamps, sessions.edges([])).tolist() == [0] * len(stamps)


@pytest.mark.usefixtures("small", "every_day")
def test_rows_outside_sessions_are_kept_or_quarantined(tmp_path: Path) -> None:
    parquet(tmp_path / "ticks" / "AAA.parquet", minutes(4))
    inside = 391  # minutes from 14:30 to 21:00, both of them
    kept = built(tmp_path / "ticks", tmp_path / "kept")
    found = accounts_for_every_row(kept).filter(reason="outside_session")
    assert found.select("action", "rows").rows() == [("keep", 1440 - inside)] * 4
    assert kept.manifest["rows_out"] == 4 * 1440
    assert [record["sessions"][-1] for record in kept.manifest["partitions"]] == [
        [day * DAY + OPEN, day * DAY + CLOSE] for day in range(EPOCH, EPOCH + 4)
    ]
    out = built(tmp_path / "ticks", tmp_path / "out", action="quarantine")
    assert accounts_for_every_row(out).filter(action="out")["rows"].to_list() == [inside] * 4
    assert out.manifest["quarantined"] == {"outside_session": 4 * (1440 - inside)}
    with pytest.raises(DataError, match=r"AAA\.parquet: line 1: outside_session, the first of"):
        built(tmp_path / "ticks", tmp_path / "fail", action="fail")


@pytest.mark.usefixtures("every_day")
@pytest.mark.parametrize("action", ["keep", "quarantine"])
def test_no_window_spans_two_sessions(tmp_path: Path, action: str) -> None:
    parquet(tmp_path / "ticks" / "AAA.parquet", minutes(4))
    store = built(tmp_path / "ticks", tmp_path / "store", action=action)
    panel = load_panel(store, ["tod_sin"])
    lookback, horizon = 30, 3
    starts, _ = panel_windows(panel, lookback=lookback, horizon=horizon, max_gap_ns=10 * DAY)
    first, last = panel.timestamp[starts], panel.timestamp[starts + lookback + horizon - 1]

    def stretch(stamps: np.ndarray) -> np.ndarray:
        """The day and whether it is before, in or after its session, by the clock."""
        return np.stack([stamps // DAY, np.digitize(stamps % DAY, [OPEN, CLOSE + 1])])

    before, after = stretch(first), stretch(last)
    night = (before[1] == 2) & (after[1] == 0) & (after[0] == before[0] + 1)  # from a close to the next open
    assert ((before == after).all(axis=0) | night).all()
    assert {1} <= set(before[1].tolist()) <= ({0, 1, 2} if action == "keep" else {1})
    in_session = (before[1] == 1).sum()
    assert in_session >= 3 * (391 - lookback - horizon)
    # The same rows by the calendar itself, as the live runner tells them.
    known = sessions.begun_by("XNYS", panel.timestamp)
    np.testing.assert_array_equal(np.diff(known) != 0, np.diff(panel.session) != 0)


@pytest.mark.usefixtures("small", "every_day")
def test_a_period_without_rows_still_parts_sessions(tmp_path: Path) -> None:
    frame = minutes(5)
    day = pl.col("timestamp") // DAY - EPOCH
    evening = pl.col("timestamp") % DAY > CLOSE
    parquet(tmp_path / "ticks" / "AAA.parquet", frame.filter((day < 1) | ((day == 1) & evening) | (day > 2)))
    store = built(tmp_path / "ticks", tmp_path / "store")
    panel = load_panel(store, ["tod_sin"])
    known = sessions.begun_by("XNYS", panel.timestamp)
    np.testing.assert_array_equal(np.diff(known) != 0, np.diff(panel.session) != 0)


@pytest.mark.usefixtures("every_day")
def test_candles_of_days_lie_in_no_session(tmp_path: Path) -> None:
    rows = "\n".join(f"2022-01-{day:02},5,6,4,5,1" for day in range(1, 29))
    (tmp_path / "days.csv").write_text(f"date,open,high,low,close,volume\n{rows}\n")
    with pytest.raises(DataError, match=r"holds candles of 1 days, which lie in no session; .*: leave it out"):
        built(tmp_path / "days.csv", tmp_path / "store", timezone="UTC")


def test_a_calendar_needs_its_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    parquet(tmp_path / "ticks" / "AAA.parquet", minutes(1))
    sessions._of_year.cache_clear()
    monkeypatch.setitem(sys.modules, "exchange_calendars", None)
    with pytest.raises(DataError, match=r"source\.calendar: needs exchange_calendars, .* install the extra `calendar`"):
        built(tmp_path / "ticks", tmp_path / "store")


@pytest.fixture
def library() -> None:
    pytest.importorskip("exchange_calendars", reason="needs the extra `calendar` (exchange_calendars)")
    sessions._of_year.cache_clear()


@pytest.mark.usefixtures("library")
def test_the_new_york_stock_exchange_opens_and_closes() -> None:
    first, last = (int(np.datetime64(day, "ns").astype(np.int64)) for day in ("2019-11-27", "2019-12-03"))
    held = [
        [str(np.datetime64(edge, "ns"))[:16] for edge in session] for session in sessions.between("XNYS", first, last)
    ]
    assert held == [
        ["2019-11-27T14:30", "2019-11-27T21:00"],
        ["2019-11-29T14:30", "2019-11-29T18:00"],  # after Thanksgiving
        ["2019-12-02T14:30", "2019-12-02T21:00"],
    ]


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    ("calendar", "problem"),
    [("NYSE!", "expected one of 24/5, .*; received 'NYSE!'"), ("XHKG", "XHKG does not tell of 19.*; leave it out")],
)
def test_calendars_that_cannot_tell(calendar: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        sessions.between(calendar, -20 * 365 * DAY, -20 * 365 * DAY + 1)


@pytest.mark.usefixtures("library")
def test_minutes_of_new_york(market_data: Path, tmp_path: Path) -> None:
    source = market_data / "mplfinance" / "SP500_NOV2019_IDay.csv"
    index = built(source, tmp_path / "index", timezone="America/New_York", date_order="mdy", action="fail")
    assert accounts_for_every_row(index).filter(action="out")["rows"].sum() == 1563
    assert len({tuple(one) for part in index.manifest["partitions"] for one in part["sessions"]}) >= 4
    source = market_data / "pyalgotrade" / "nt-spy-minute-2011.csv"
    fund = built(source, tmp_path / "fund", timezone="UTC", action="quarantine")
    found = accounts_for_every_row(fund)
    assert fund.manifest["rows_in"] == 14_180
    assert 0 < found.filter(reason="outside_session")["rows"].sum() < 14_180
    stamps = fund.read(fund.symbols[0], ["timestamp"])["timestamp"]
    clock = stamps.dt.convert_time_zone("America/New_York").dt.time()
    assert (str(clock.min()), str(clock.max())) == ("09:30:00", "16:00:00")
    assert len(load_panel(fund, ["tod_sin"]).session) == len(stamps)


def test_weekends_of_a_currency_are_gaps(market_data: Path, tmp_path: Path) -> None:
    source = market_data / "lean" / "forex" / "oanda" / "tick" / "eurusd"
    hints = SourceHints(timezone="UTC")
    store = build_archive(request(source, tmp_path / "store", hints=hints)).store
    out = accounts_for_every_row(store).filter(action="out")
    assert out["rows"].sum() == 532_903
    weekends = out.filter(pl.col("longest_gap_ns") > 40 * 3600 * SECOND)
    assert weekends["longest_gap_end"].dt.weekday().unique().to_list() == [7]
