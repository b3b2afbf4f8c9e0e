"""SQLite, Parquet and Arrow/Feather sources."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest

from pipelines.errors import DataError
from pipelines.ingest import SourceHints, read_archive, read_source

STAMP = 1_723_161_255_030_314_667


def _database(folder: Path, script: str, rows: dict[str, Sequence[tuple[object, ...]]] | None = None) -> Path:
    path = folder / "market_data.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(script)
        for table, values in (rows or {}).items():
            marks = ",".join("?" * len(values[0]))
            connection.executemany(f'INSERT INTO "{table}" VALUES ({marks})', values)
    return path


def _parquet(folder: Path, columns: dict[str, object], kind: str = "parquet") -> Path:
    path = folder / f"X.{kind}"
    frame = pl.DataFrame(columns)
    frame.write_parquet(path) if kind == "parquet" else frame.write_ipc(path)
    return path


def test_market_table_is_found_among_others(tmp_path: Path) -> None:
    script = 'CREATE TABLE settings (key, value); CREATE TABLE "my ticks" (ts, price, qty, trade_id);'
    ticks = [(STAMP, 5, 1.5, 7), (STAMP + 1, 6.5, 2, 8), (STAMP + 2, "oops", 2, 9), (STAMP + 3, None, 2, 10)]
    found = read_source(_database(tmp_path, script, {"my ticks": ticks, "settings": [("a", "b")]}))
    assert found.frame["timestamp"].cast(pl.Int64).to_list() == [STAMP, STAMP + 1]
    assert found.frame["price"].to_list() == [5.0, 6.5]
    assert found.frame["trade_id"].to_list() == ["7", "8"]
    assert found.rejected.select("line", "reason").rows() == [
        (3, "unparsable_number:price"),
        (4, "missing_value:price"),
    ]
    assert found.rejected["raw"][0] == f"{STAMP + 2},oops,2.0,9"


def test_several_market_tables_need_a_choice(tmp_path: Path) -> None:
    script = "CREATE TABLE a (time, price); CREATE TABLE b (time, price);"
    path = _database(tmp_path, script, {"a": [(1_600_000_000, 1)], "b": [(1_600_000_000, 2)]})
    with pytest.raises(DataError, match=r"\(a, b\); tables found: a, b;.*--table"):
        read_source(path)
    assert read_source(path, SourceHints(table="b")).frame["price"].to_list() == [2.0]
    with pytest.raises(DataError, match="--table c: no such table; tables found: a, b"):
        read_source(path, SourceHints(table="c"))


@pytest.mark.parametrize(
    ("table", "symbol"),
    [("AAPL", "AAPL"), ("eurusd_1m", "eurusd"), ("trades_BTC-USD", "BTC_USD"), ("price_data", "market_data")],
)
def test_a_table_that_is_called_after_a_symbol_names_it(tmp_path: Path, table: str, symbol: str) -> None:
    script = f'CREATE TABLE "{table}" (time, price); CREATE TABLE msft (time, price);'
    rows = [(1_600_000_000, 1)]
    path = _database(tmp_path, script, {table: rows, "msft": rows})
    assert read_source(path, SourceHints(table=table)).frame["symbol"].to_list() == [symbol]
    assert read_source(path, SourceHints(table=table, symbol="X")).frame["symbol"].to_list() == ["X"]


def test_table_hint_applies_to_the_sqlite_sources(tmp_path: Path) -> None:
    script = "CREATE TABLE a (time, price); CREATE TABLE b (time, price);"
    path = _database(tmp_path, script, {"a": [(1_600_000_000, 1)], "b": [(1_600_000_000, 2)]})
    (tmp_path / "c.csv").write_text("time,price\n1600000001,3\n")
    assert read_archive([path, tmp_path / "c.csv"], SourceHints(table="b")).frame["price"].to_list() == [2.0, 3.0]


def test_no_market_table_lists_the_tables(tmp_path: Path) -> None:
    path = _database(tmp_path, "CREATE TABLE notes (words);", {"notes": [("x",)]})
    with pytest.raises(DataError, match=r"no table of market data; tables found: notes;.*--table"):
        read_source(path)


def test_a_view_of_a_table_that_is_gone_is_no_market_table(tmp_path: Path) -> None:
    script = "CREATE TABLE ticks (time, price); CREATE VIEW broken AS SELECT time, price FROM gone;"
    assert read_source(_database(tmp_path, script, {"ticks": [(1_600_000_000, 1)]})).frame.height == 1


def test_table_without_rows(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="table ticks has no rows"):
        read_source(_database(tmp_path, "CREATE TABLE ticks (time, price);"))


def test_timeframes_of_a_table_are_never_mixed(tmp_path: Path) -> None:
    bars = [(1_600_000_000, "1m", 1, 1, 1, 1, 0), (1_600_000_000, "1h", 2, 2, 2, 2, 0)]
    path = _database(tmp_path, "CREATE TABLE bars (ts, timeframe, o, h, l, c, v);", {"bars": bars})
    with pytest.raises(DataError, match=r"several timeframes in one table: 1h, 1m;.*--timeframe"):
        read_source(path)
    assert read_source(path, SourceHints(timeframe="1h")).frame["close"].to_list() == [2.0]


def test_ids_of_instruments_become_names(tmp_path: Path) -> None:
    script = """CREATE TABLE instrument (instrument_id INTEGER PRIMARY KEY, name TEXT);
    CREATE TABLE bar (instrument_id INTEGER REFERENCES instrument (instrument_id), ts, open, high, low, close);"""
    rows: dict[str, Sequence[tuple[object, ...]]] = {
        "instrument": [(1, "SPY"), (2, "^N225")],
        "bar": [(2, 1_600_000_000, 1, 1, 1, 1), (1, 1_600_000_000, 2, 2, 2, 2), (3, 1_600_000_000, 3, 3, 3, 3)],
    }
    assert read_source(_database(tmp_path, script, rows)).frame["symbol"].to_list() == ["^N225", "SPY", "3"]


def test_text_stamps_of_a_table_need_a_zone(tmp_path: Path) -> None:
    path = _database(tmp_path, "CREATE TABLE t (time, price);", {"t": [("2020-01-02 10:00:00", 5)]})
    with pytest.raises(DataError, match="--timezone"):
        read_source(path)
    assert read_source(path, SourceHints(timezone="UTC")).frame.height == 1


def test_damaged_database(tmp_path: Path) -> None:
    path = _database(tmp_path, "CREATE TABLE t (time, price);", {"t": [(1_600_000_000, 5)] * 2000})
    path.write_bytes(path.read_bytes()[:6000])
    with pytest.raises(DataError, match="not a readable SQLite file"):
        read_source(path)


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_typed_columns(tmp_path: Path, kind: str) -> None:
    stamps = pl.Series([STAMP, STAMP + 1, None]).cast(pl.Datetime("ns", "Asia/Tokyo"))
    columns = {
        "ts": stamps,
        "symbol": pl.Series(["A", "B", "B"], dtype=pl.Categorical),
        "price": pl.Series([1.5, 2.5, 3.5], dtype=pl.Float32),
        "size": pl.Series([1, 2, 3], dtype=pl.UInt64),
        "trade_id": [10, 11, 12],
    }
    found = read_source(_parquet(tmp_path, columns, kind))
    assert found.frame["timestamp"].cast(pl.Int64).to_list() == [STAMP, STAMP + 1]
    assert found.frame.select("symbol", "price", "volume", "trade_id").rows() == [
        ("A", 1.5, 1.0, "10"),
        ("B", 2.5, 2.0, "11"),
    ]
    assert found.rejected.select("line", "reason").rows() == [(3, "missing_value:timestamp")]


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        (pl.Series([STAMP]), STAMP),
        (pl.Series([1_600_000_000], dtype=pl.Int32), 1_600_000_000 * 10**9),
        (pl.Series([1_600_000_000.25]), 1_600_000_000_250_000_000),
        (pl.Series([1_600_000_000_123.0]), 1_600_000_000_123_000_000),
        (pl.Series([date(2020, 1, 2)]), 1_577_923_200 * 10**9),
        (pl.Series([20200102]), 1_577_923_200 * 10**9),
        (pl.Series(["2020-01-02T00:00:00Z"]), 1_577_923_200 * 10**9),
    ],
)
def test_typed_stamps_without_zone(tmp_path: Path, stamps: pl.Series, expected: int) -> None:
    found = read_source(_parquet(tmp_path, {"time": stamps, "price": [1.0]}))
    assert found.frame["timestamp"].cast(pl.Int64).to_list() == [expected]


@pytest.mark.parametrize(
    "far",
    [
        [date(9999, 12, 31), date(2020, 1, 2), date(1, 1, 1), None],
        pl.Series([32_503_680_000_000_000, 1_577_923_200_000_000, -(2**63), None]).cast(pl.Datetime("us", "UTC")),
        pl.Series([2**62, 1_577_923_200_000, -(2**62), None]).cast(pl.Datetime("ms")),
    ],
    ids=["dates", "us", "ms without a zone"],
)
def test_times_that_nanoseconds_cannot_hold_are_rejected(tmp_path: Path, far: object) -> None:
    path = _parquet(tmp_path, {"time": far, "price": [1.0, 2.0, 3.0, 4.0]})
    found = read_source(path, SourceHints(timezone="America/New_York"))
    assert found.frame["price"].to_list() == [2.0]
    assert found.rejected["reason"].to_list() == ["unparsable_timestamp"] * 2 + ["missing_value:timestamp"]


def test_naive_datetimes_need_a_zone(tmp_path: Path) -> None:
    path = _parquet(tmp_path, {"time": [datetime(2020, 1, 2, 10)], "price": [1.0]})
    with pytest.raises(DataError, match="--timezone"):
        read_source(path)
    found = read_source(path, SourceHints(timezone="-05:00"))
    assert found.frame["timestamp"].cast(pl.Int64)[0] == 1_577_977_200 * 10**9


def test_nanoseconds_in_a_float_column_are_refused(tmp_path: Path) -> None:
    path = _parquet(tmp_path, {"time": [float(STAMP)], "price": [1.0]})
    with pytest.raises(DataError, match=r"nanoseconds as Float64.*int64"):
        read_source(path)


@pytest.mark.parametrize(
    ("column", "values", "words"),
    [
        ("price", [[1.0], [2.0]], r"'price' \(price\): expected numbers, received type List"),
        ("price", [True, False], "received type Boolean"),
        ("price", ["a", "b"], "received text such as 'a'"),
        ("time", [True, False], "'time': has type Boolean; expected times"),
        ("time", [[1], [2]], "has type List"),
        ("time", [{"a": 1}, {"a": 2}], "has type Struct"),
        ("date", [[1], [2]], "has type List"),
        ("price", [{"a": 1}, {"a": 2}], "received type Struct"),
        ("symbol", [["A"], ["B"]], r"'symbol' \(symbol\): expected text or numbers, received type List"),
        ("symbol", [{"a": 1}, {"a": 2}], "received type Struct"),
        ("symbol", [b"A", b"\xff"], "received type Binary"),
        ("trade_id", [[1], [2]], r"\(trade_id\): expected text or numbers, received type List"),
        ("side", [["buy"], ["sell"]], r"\(side\): expected text or numbers, received type List"),
        ("timeframe", [["1m"], ["1h"]], r"\(timeframe\): expected text or numbers, received type List"),
    ],
)
def test_wrong_types_name_column_expected_and_received(
    tmp_path: Path, column: str, values: list[object], words: str
) -> None:
    columns: dict[str, object] = {"time": [1_600_000_000, 1_600_000_001], "price": [1.0, 2.0], column: values}
    if column == "date":
        del columns["time"]
    with pytest.raises(DataError, match=words) as caught:
        read_source(_parquet(tmp_path, columns))
    assert "--column" in str(caught.value)


def test_prices_as_text_are_read(tmp_path: Path) -> None:
    path = _parquet(tmp_path, {"time": [1_600_000_000, 1_600_000_001], "price": ["1.5", "x"]})
    assert read_source(path).rejected["reason"].to_list() == ["unparsable_number:price"]


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_damaged_and_empty_columnar_files(tmp_path: Path, kind: str) -> None:
    path = _parquet(tmp_path, {"time": [1_600_000_000] * 99, "price": [1.0] * 99}, kind)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="not a readable"):
        read_source(path)
    empty = _parquet(tmp_path, {"time": pl.Series([], dtype=pl.Int64), "price": pl.Series([], dtype=pl.Float64)}, kind)
    with pytest.raises(DataError, match="no rows"):
        read_source(empty)
