"""Candles of two lengths are never one series, however they come together; gappy candles of one length are."""

from pathlib import Path

import numpy as np
import pytest

from pipelines.errors import DataError
from pipelines.ingest import Ingested, SourceHints, read_archive

JANUARY, FEBRUARY = 1_704_067_200, 1_706_745_600
MINUTE, HOUR, DAY = 60, 3_600, 86_400
Row = tuple[int, str]


def _candles(start: int, step: int, count: int, *, present: float = 1.0, flat: bool = False) -> list[Row]:
    random = np.random.default_rng(start + step)
    price = 100 * np.exp(np.cumsum(random.normal(0, 1e-5 * step**0.5, count)))
    spread = 0 if flat else 1e-5 * step**0.5
    rows = []
    for i in np.flatnonzero(random.random(count) < present):
        high, low = price[i] * (1 + spread), price[i] * (1 - spread)
        rows.append((start + int(i) * step, f"{price[i]:.6f},{high:.6f},{low:.6f},{price[i]:.6f},1"))
    return rows


def _file(folder: Path, name: str, rows: list[Row], symbol: str = "EURUSD") -> Path:
    path = folder / name
    text = "".join(f"{stamp},{symbol},{rest}\n" for stamp, rest in rows)
    path.write_text("time,symbol,open,high,low,close,volume\n" + text)
    return path


def _by_time(*groups: list[Row]) -> list[Row]:
    return sorted((row for group in groups for row in group), key=lambda row: row[0])


def _refused(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_archive([folder])
    message = str(caught.value)
    assert "\n" not in message
    assert "candles of EURUSD" in message
    assert "--timeframe" in message
    assert "--column timeframe=NAME" in message
    return message


@pytest.mark.parametrize(
    ("step", "count", "shown"),
    [(120, 40, "0:02:00"), (300, 12, "0:05:00"), (HOUR, 6, "1:00:00"), (DAY, 6, "1 day, 0:00:00")],
)
def test_files_of_two_lengths_are_refused_although_they_do_not_overlap(
    tmp_path: Path, step: int, count: int, shown: str
) -> None:
    fine = _file(tmp_path, "a.csv", _candles(JANUARY, MINUTE, 500))
    long = _file(tmp_path, "b.csv", _candles(FEBRUARY, step, count))
    message = _refused(tmp_path)
    assert message.startswith(f"{long}: line 2: candles of EURUSD are {shown} apart from here, but 0:01:00 apart")
    assert f"line 2 of {fine}" in message


def test_gappy_short_candles_beside_long_ones_are_refused(tmp_path: Path) -> None:
    _file(tmp_path, "a.csv", _candles(JANUARY, MINUTE, 4_000, present=0.1))
    _file(tmp_path, "b.csv", _candles(FEBRUARY, HOUR, 48))
    assert "1:00:00 apart from here" in _refused(tmp_path)


def test_calendar_months_beside_days_are_refused(tmp_path: Path) -> None:
    starts = np.arange("2010-01", "2012-01", dtype="datetime64[M]").astype("datetime64[s]").astype(int)
    months = [(int(start), rest) for start, (_, rest) in zip(starts, _candles(0, DAY, len(starts)), strict=True)]
    _file(tmp_path, "a.csv", months)
    _file(tmp_path, "b.csv", _candles(JANUARY, DAY, 60))
    assert "31 days, 0:00:00 apart from here" in _refused(tmp_path)


@pytest.mark.parametrize("order", ["one after the other", "by time", "by time, long first", "by length"])
def test_a_table_of_two_lengths_is_refused(tmp_path: Path, order: str) -> None:
    fine, long = _candles(JANUARY, MINUTE, 600), _candles(JANUARY, HOUR, 10)
    rows = {
        "one after the other": [*fine, *_candles(FEBRUARY, HOUR, 30)],
        "by time": _by_time(fine, long),
        "by time, long first": _by_time(long, fine),
        "by length": [*fine, *long],
    }
    _file(tmp_path, "a.csv", rows[order])
    assert "1:00:00 apart from here, but 0:01:00 apart" in _refused(tmp_path)


def test_a_table_of_three_lengths_and_newest_first_is_refused(tmp_path: Path) -> None:
    rows = _by_time(*(_candles(JANUARY, step, 40 * DAY // step) for step in (900, HOUR, 4 * HOUR)))
    _file(tmp_path, "a.csv", rows[::-1])
    _refused(tmp_path)


def test_a_timeframe_column_of_an_unknown_name_is_found_out_and_can_be_named(tmp_path: Path) -> None:
    rows = _by_time(
        [(stamp, f"{rest},1m") for stamp, rest in _candles(JANUARY, MINUTE, 600)],
        [(stamp, f"{rest},1h") for stamp, rest in _candles(JANUARY, HOUR, 10)],
    )
    text = "".join(f"{stamp},{rest}\n" for stamp, rest in rows)
    (tmp_path / "EURUSD.csv").write_text("time,open,high,low,close,volume,tf_len\n" + text)
    _refused(tmp_path)
    found = read_archive([tmp_path], SourceHints(columns={"timeframe": "tf_len"}, timeframe="1h"))
    assert found.frame.height == 10


def test_two_symbols_may_have_two_lengths(tmp_path: Path) -> None:
    _file(tmp_path, "a.csv", _candles(JANUARY, MINUTE, 500))
    _file(tmp_path, "b.csv", _candles(FEBRUARY, HOUR, 48), symbol="GBPUSD")
    assert _read(tmp_path).frame.height == 548


def _read(folder: Path) -> Ingested:
    found = read_archive([folder])
    assert found.rejected.height == 0
    return found


@pytest.mark.parametrize("present", [0.1, 0.3, 0.7])
def test_candles_with_gaps_are_of_one_length(tmp_path: Path, present: float) -> None:
    _file(tmp_path, "a.csv", _candles(JANUARY, MINUTE, 2_000))
    for hour in range(40):
        _file(tmp_path, f"b{hour}.csv", _candles(FEBRUARY + hour * HOUR, MINUTE, 60, present=present))
    _read(tmp_path)


def test_days_without_weekends_and_hours_moved_by_a_clock_are_of_one_length(tmp_path: Path) -> None:
    days = [row for i, row in enumerate(_candles(JANUARY, DAY, 400)) if i % 7 < 5]
    moved = [(stamp - HOUR if 60 < i % 365 < 300 else stamp, rest) for i, (stamp, rest) in enumerate(days)]
    _file(tmp_path, "a.csv", moved)
    _file(tmp_path, "b.csv", _candles(days[-1][0] + DAY, DAY, 3))
    _read(tmp_path)


def test_hours_of_sessions_that_begin_at_half_past_are_of_one_length(tmp_path: Path) -> None:
    hours = [JANUARY + day * DAY + half * 1_800 for day in range(20) for half in (19, 20, 22, 24, 26, 28, 30)]
    bars = _candles(0, HOUR, len(hours))
    _file(tmp_path, "a.csv", [(stamp, rest) for stamp, (_, rest) in zip(hours, bars, strict=True)])
    _read(tmp_path)


def test_a_month_of_closing_auctions_only_is_no_month_of_days(tmp_path: Path) -> None:
    _file(tmp_path, "a.csv", _candles(JANUARY, MINUTE, 500))
    _file(tmp_path, "b.csv", _candles(FEBRUARY, DAY, 20, flat=True))
    _read(tmp_path)
