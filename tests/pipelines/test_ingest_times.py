"""Time stamps of every form: exact to the nanosecond, UTC inside, and never guessed."""

from pathlib import Path

import polars as pl
import pytest

from pipelines.errors import DataError
from pipelines.ingest import Ingested, SourceHints, read_source
from pipelines.sources.zones import check_zone, fixed_offset, states_utc

NEW_YORK = "America/New_York"


def _read(folder: Path, stamps: list[str], name: str = "X.csv", head: str = "timestamp", **hints: object) -> Ingested:
    path = folder / name
    path.write_text(f"{head};price\n" + "".join(f"{stamp};{i + 1}\n" for i, stamp in enumerate(stamps)))
    return read_source(path, SourceHints(**hints))  # type: ignore[arg-type]


def _stamps(found: Ingested) -> list[str]:
    return found.frame["timestamp"].dt.to_string("%Y-%m-%d %H:%M:%S%.9f").to_list()


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        ("1315922016", "2011-09-13 13:53:36.000000000"),
        ("1315922016.123456789", "2011-09-13 13:53:36.123456789"),
        ("999999999", "2001-09-09 01:46:39.000000000"),
        ("1570752011620", "2019-10-11 00:00:11.620000000"),
        ("1570752011620.5", "2019-10-11 00:00:11.620500000"),
        ("1356998659486096", "2013-01-01 00:04:19.486096000"),
        ("1723161255030314667", "2024-08-08 23:54:15.030314667"),
        ("9000000000000000001", "2255-03-14 16:00:00.000000001"),
        ("2012-02-01 00:00:00+00:00", "2012-02-01 00:00:00.000000000"),
        ("2020-06-17T09:30:00-04:00", "2020-06-17 13:30:00.000000000"),
        ("2020-06-17T09:30:00.5+0530", "2020-06-17 04:00:00.500000000"),
        ("2020-06-17 09:30:00+05", "2020-06-17 04:30:00.000000000"),
        ("2015-09-23T20:57:42.146Z", "2015-09-23 20:57:42.146000000"),
        ("2015-09-23 20:57:42 UTC", "2015-09-23 20:57:42.000000000"),
        ("01.05.2012 00:00:01.680 GMT+0200", "2012-04-30 22:00:01.680000000"),
        ("2020-01-02", "2020-01-02 00:00:00.000000000"),
        ("20200102", "2020-01-02 00:00:00.000000000"),
        ("2020.01.02", "2020-01-02 00:00:00.000000000"),
        ("2020/1/2", "2020-01-02 00:00:00.000000000"),
        ("1927-12-30", "1927-12-30 00:00:00.000000000"),
        ("2000-02-29", "2000-02-29 00:00:00.000000000"),
        ("1999-12-31", "1999-12-31 00:00:00.000000000"),
    ],
)
def test_stamps_that_need_no_zone(tmp_path: Path, stamp: str, expected: str) -> None:
    order = "dmy" if stamp.startswith("01.05") else None
    assert _stamps(_read(tmp_path, [stamp], date_order=order)) == [expected]
    assert _stamps(_read(tmp_path, [stamp, stamp], date_order=order)) == [expected] * 2


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        ("20070101 21:00", "21:00:00.000000000"),
        ("20070101 090100", "09:01:00.000000000"),
        ("20070101 170000065", "17:00:00.065000000"),
        ("200701011700", "17:00:00.000000000"),
        ("20070101170001", "17:00:01.000000000"),
        ("20070101170001065", "17:00:01.065000000"),
        ("2007-01-01T20:57:42.146", "20:57:42.146000000"),
        ("2007-01-01 23:01:00.000001", "23:01:00.000001000"),
        ("2007-01-01D00:00:03.123456789", "00:00:03.123456789"),
        ("2007-01-01 9:30", "09:30:00.000000000"),
        ("2007-01-01 09-AM", "09:00:00.000000000"),
        ("2007-01-01 12-AM", "00:00:00.000000000"),
        ("2007-01-01 12-PM", "12:00:00.000000000"),
        ("2007-01-01 01:30:15 pm", "13:30:15.000000000"),
        ("2007.01.01 00:00", "00:00:00.000000000"),
        ("01.01.2007 00:00:01.680", "00:00:01.680000000"),
        ("1/1/2007 9:30", "09:30:00.000000000"),
    ],
)
def test_naive_forms_need_a_zone(tmp_path: Path, stamp: str, expected: str) -> None:
    with pytest.raises(DataError, match=r"states no time zone.*--timezone.*source\.timezone"):
        _read(tmp_path, [stamp])
    assert _stamps(_read(tmp_path, [stamp], timezone="UTC")) == ["2007-01-01 " + expected]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("date,time,price\n2012.05.01,00:01,1\n", "2012-05-01 00:01:00.000000000"),
        ("<DATE>,<TIME>,<LAST>\n20120501,93000,1\n", "2012-05-01 09:30:00.000000000"),
        ("Date,Time,price\n20120501,000100,1\n", "2012-05-01 00:01:00.000000000"),
        ("date,time,price\n2012-05-01,2012-05-01 10:00:00,1\n", "2012-05-01 10:00:00.000000000"),
    ],
)
def test_date_and_time_columns(tmp_path: Path, rows: str, expected: str) -> None:
    path = tmp_path / "X.csv"
    path.write_text(rows)
    assert _stamps(read_source(path, SourceHints(timezone="UTC"))) == [expected]


def test_widths_separators_and_offsets_may_change_inside_a_file(tmp_path: Path) -> None:
    stamps = ["2020-03-08 01:59:59.5-05:00", "2020-03-08T03:00:00-04:00", "2020-03-08 03:00:00.123456789-0400"]
    assert _stamps(_read(tmp_path, stamps)) == [
        "2020-03-08 06:59:59.500000000",
        "2020-03-08 07:00:00.000000000",
        "2020-03-08 07:00:00.123456789",
    ]


def test_zone_of_the_user_is_applied(tmp_path: Path) -> None:
    stamps = ["2020-01-02 09:30", "2020-07-02 09:30"]
    assert _stamps(_read(tmp_path, stamps, timezone=NEW_YORK))[0] == "2020-01-02 14:30:00.000000000"
    assert _stamps(_read(tmp_path, stamps, timezone=NEW_YORK))[1] == "2020-07-02 13:30:00.000000000"
    assert _stamps(_read(tmp_path, stamps, timezone="-05:00"))[1] == "2020-07-02 14:30:00.000000000"
    assert _stamps(_read(tmp_path, stamps, timezone="UTC+5:30"))[0] == "2020-01-02 04:00:00.000000000"


@pytest.mark.parametrize("head", ["Gmt time", "timestamp_utc", "Time (UTC)"])
def test_a_column_name_may_state_the_zone(tmp_path: Path, head: str) -> None:
    assert _stamps(_read(tmp_path, ["2020-01-02 09:30"], head=head)) == ["2020-01-02 09:30:00.000000000"]


def test_offsets_of_the_text_win_over_the_zone_and_rows_without_are_damaged(tmp_path: Path) -> None:
    stamps = ["2020-01-02 09:30:00+00:00", "2020-01-02 09:31:00+00:00", "2020-01-02 09:32:00"]
    without = _read(tmp_path, stamps)
    assert without.rejected.select("line", "reason").rows() == [(4, "unparsable_timestamp")]
    assert _stamps(_read(tmp_path, stamps, timezone=NEW_YORK))[-1] == "2020-01-02 14:32:00.000000000"


def test_hours_that_the_clock_skips_or_repeats_are_rejected(tmp_path: Path) -> None:
    stamps = ["2019-03-10 01:59", "2019-03-10 02:30", "2019-11-03 01:30", "2019-11-03 02:00"]
    found = _read(tmp_path, stamps, timezone=NEW_YORK)
    assert found.rejected.select("line", "reason").rows() == [
        (3, "nonexistent_local_time"),
        (4, "ambiguous_local_time"),
    ]
    assert _stamps(found) == ["2019-03-10 06:59:00.000000000", "2019-11-03 07:00:00.000000000"]


@pytest.mark.parametrize(
    "bad",
    ["", "x", "2020-13-01 00:00Z", "2020-02-30 00:00Z", "2020-01-01 24:00Z", "2020-01-01 00:60Z",
     "2020-01-01 00:00:60Z", "1600-01-01 00:00Z", "2020-01-01 00:00+15:00", "2020-01-01 00:00:00.0123456789Z",
     "2020-01-01T", "1600000000"],
)  # fmt: skip
def test_damaged_stamps_are_rejected(tmp_path: Path, bad: str) -> None:
    found = _read(tmp_path, ["2020-01-01 00:00Z", bad, "2020-01-01 00:02Z"])
    reason = "unparsable_timestamp" if bad else "missing_value:timestamp"
    assert found.rejected.select("line", "reason", "raw").rows() == [(3, reason, f"{bad};2")]


@pytest.mark.parametrize("bad", ["-1600000001", "99999999999999999999", "1600000000.1234567891", "1e9", "1600000000x"])
def test_damaged_epochs_are_rejected(tmp_path: Path, bad: str) -> None:
    found = _read(tmp_path, ["1600000000", bad, "1600000002"])
    assert found.rejected["reason"].to_list() == ["unparsable_timestamp"]


@pytest.mark.parametrize(
    ("unit", "good", "foreign"),
    [
        ("s", ["1600000000", "1600000001.5"], ["1600000002000", "1600000002000000", "0", "16000000"]),
        ("ms", ["1600000000000", "1600000001500"], ["1600000002", "1600000002000000", "0.0", "01600000002"]),
        ("us", ["1600000000000000", "1600000001500000"], ["1600000002", "1600000002000"]),
        ("ns", ["1600000000000000000", "1600000001500000000"], ["1600000002", "1600000002000000"]),
    ],
)
def test_epochs_of_another_unit_are_rejected(tmp_path: Path, unit: str, good: list[str], foreign: list[str]) -> None:
    found = _read(tmp_path, [*good, *good, *good, *good, *foreign, ""])
    assert found.rejected["reason"].to_list() == ["timestamp_unit"] * len(foreign) + ["missing_value:timestamp"]
    assert set(_stamps(found)) == {"2020-09-13 12:26:40.000000000", "2020-09-13 12:26:41.500000000"}
    assert f"epoch {unit}" in found.sources[0].description


def test_day_order_is_settled_by_one_row_anywhere(tmp_path: Path) -> None:
    days = ["01/02/2020"] * 3000 + ["13/02/2020"]
    found = _read(tmp_path, days)
    assert _stamps(found)[0] == "2020-02-01 00:00:00.000000000"
    assert "dmy" in found.sources[0].description
    american = _read(tmp_path, ["1/2/2020", "1/13/2020"])
    assert _stamps(american)[0] == "2020-01-02 00:00:00.000000000"


def test_ambiguous_day_order_shows_both_readings(tmp_path: Path) -> None:
    days = ["05/05/2020 10:00", "03/04/2020 10:00", "12/11/2020 10:00"]
    with pytest.raises(DataError) as caught:
        _read(tmp_path, days, timezone="UTC")
    message = str(caught.value)
    assert "'03/04/2020 10:00' is 2020-04-03 (dmy) or 2020-03-04 (mdy)" in message
    assert "--date-order dmy|mdy" in message
    assert "\n" not in message
    dmy = _read(tmp_path, days, timezone="UTC", date_order="dmy")
    assert _stamps(dmy)[0] == "2020-04-03 10:00:00.000000000"
    mdy = _read(tmp_path, days, timezone="UTC", date_order="mdy")
    assert _stamps(mdy)[0] == "2020-03-04 10:00:00.000000000"


def test_equal_readings_are_not_ambiguous(tmp_path: Path) -> None:
    assert _stamps(_read(tmp_path, ["05/05/2020", "06/06/2020"]))[0] == "2020-05-05 00:00:00.000000000"


def test_rows_that_contradict_the_order_are_rejected_or_refused(tmp_path: Path) -> None:
    days = [f"{day}/02/2020" for day in range(13, 28)]
    found = _read(tmp_path, [*days, "01/31/2020"])
    assert found.rejected["reason"].to_list() == ["unparsable_timestamp"]
    with pytest.raises(DataError, match="--date-order"):
        _read(tmp_path, ["13/02/2020", "02/14/2020"])


def test_years_of_two_digits_have_three_readings(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--date-order"):
        _read(tmp_path, ["01/03/16"])
    assert _stamps(_read(tmp_path, ["01/03/16"], date_order="dmy")) == ["2016-03-01 00:00:00.000000000"]
    assert _stamps(_read(tmp_path, ["13/03/70"], date_order="dmy")) == ["1970-03-13 00:00:00.000000000"]


def test_milliseconds_of_day_need_day_and_zone(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="YYYYMMDD in the file name"):
        _read(tmp_path, ["8715", "9000"], timezone="UTC")
    with pytest.raises(DataError, match="states no day"):
        _read(tmp_path, ["8715", "9000"], timezone="UTC", time_unit="ms_of_day")
    with pytest.raises(DataError, match="--timezone"):
        _read(tmp_path, ["8715", "9000"], "20140508_eurusd.csv")
    found = _read(tmp_path, ["8715", "43200000", "86400000"], "20140508_eurusd.csv", timezone="-05:00")
    assert _stamps(found) == ["2014-05-08 05:00:08.715000000", "2014-05-08 17:00:00.000000000"]
    assert found.rejected["reason"].to_list() == ["unparsable_timestamp"]


def test_unit_of_the_user_wins(tmp_path: Path) -> None:
    found = _read(tmp_path, ["86400", "1600000000"], time_unit="s")
    assert _stamps(found) == ["1970-01-02 00:00:00.000000000", "2020-09-13 12:26:40.000000000"]


def test_a_column_of_words_is_no_time(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'timestamp': no known form of time in 'soon'.*--column timestamp="):
        _read(tmp_path, ["soon", "later"])


@pytest.mark.parametrize("zone", ["Mars/Olympus", "+15:00", "5", ""])
def test_unknown_zones_are_named(tmp_path: Path, zone: str) -> None:
    with pytest.raises(DataError, match=r"--timezone.*unknown time zone"):
        _read(tmp_path, ["2020-01-02 09:30"], timezone=zone)


def test_zone_helpers() -> None:
    assert check_zone("EST") == "EST"
    assert str(fixed_offset("UTC-5")) == "-1 day, 19:00:00"
    assert fixed_offset("Europe/Berlin") is None
    assert states_utc("Timestamps are UTC timezone")
    assert not states_utc("UTC+2 stamps")
    assert not states_utc("outcome")


def test_stamps_are_utc_nanoseconds(tmp_path: Path) -> None:
    assert _read(tmp_path, ["1600000000"]).frame.schema["timestamp"] == pl.Datetime("ns", "UTC")
