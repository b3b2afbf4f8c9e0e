"""Files of every form on a few rows each: what is detected, and what an archive of several is."""

import gzip
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from pipelines.errors import DataError
from pipelines.ingest import Ingested, SourceHints, expand_sources, read_archive, read_source

UTC_HINT = SourceHints(timezone="UTC")


def _read(folder: Path, text: str, name: str = "X.csv", **hints: object) -> Ingested:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return read_source(path, SourceHints(**hints))  # type: ignore[arg-type]


def _ns(found: Ingested) -> list[int]:
    return found.frame["timestamp"].cast(pl.Int64).to_list()


def _stamps(found: Ingested) -> list[str]:
    return found.frame["timestamp"].dt.to_string("%Y-%m-%d %H:%M:%S%.9f").to_list()


@pytest.mark.parametrize(
    "header",
    [
        "timestamp,price,volume",
        "Timestamp,PRICE,Volume",
        "<DATE>,<LAST>,<VOL>",
        '"Datetime","Last","qty"',
        "DT,executed_price,SIZE",
        "T,p,q",
        "unix,Price,quantity",
        "ts_event, price ,amount",
        "Unnamed: 0,price,TradedVolume",
    ],
)
def test_trades_by_any_header(tmp_path: Path, header: str) -> None:
    found = _read(tmp_path, f"{header}\n1600000000,10.5,2\n1600000001,10.25,0\n")
    assert found.kind == "ticks"
    assert found.frame.rows() == [
        (datetime(2020, 9, 13, 12, 26, 40, tzinfo=UTC), "X", 10.5, 2.0),
        (datetime(2020, 9, 13, 12, 26, 41, tzinfo=UTC), "X", 10.25, 0.0),
    ]
    assert found.frame.schema["timestamp"] == pl.Datetime("ns", "UTC")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("end", ["", "last"])
def test_delimiters_and_line_ends(tmp_path: Path, delimiter: str, newline: str, end: str) -> None:
    lines = ["timestamp,price,volume", "1600000000,10.5,2", "1600000001,10.25,3"]
    text = newline.join(lines).replace(",", delimiter) + (newline if end else "")
    found = _read(tmp_path, text)
    assert found.frame["price"].to_list() == [10.5, 10.25]
    assert found.frame["volume"].to_list() == [2.0, 3.0]


def test_byte_order_mark_comments_and_blank_lines(tmp_path: Path) -> None:
    head = "\ufeff# made by hand\n\nTimes are UTC,https://example.org\ndate,open,high,low,close\n"
    text = head + "\n2020-01-02 10:00,1,3,1,2\n"
    found = _read(tmp_path, text)
    assert found.rows_in == 1
    assert _stamps(found) == ["2020-01-02 10:00:00.000000000"]
    assert found.frame["volume"].to_list() == [0.0]


def test_header_behind_a_comment_sign(tmp_path: Path) -> None:
    assert _read(tmp_path, "# time,price\n1600000000,5\n").frame["price"].to_list() == [5.0]


def test_index_column_without_a_name(tmp_path: Path) -> None:
    found = _read(tmp_path, "price,volume\n1600000000,5,1\n1600000001,6,1\n")
    assert found.frame["price"].to_list() == [5.0, 6.0]


def test_delimiter_at_the_end_of_each_row(tmp_path: Path) -> None:
    found = _read(tmp_path, "time,price,volume\n1600000000,5,1,\n1600000001,6,1,\n")
    assert found.frame["price"].to_list() == [5.0, 6.0]


def test_quoted_cells_may_hold_the_delimiter(tmp_path: Path) -> None:
    found = _read(tmp_path, 'time,symbol,price\n1600000000,"A, B","5"\n1600000001,"A, B",6\n')
    assert found.frame.select("symbol", "price").rows() == [("A, B", 5.0), ("A, B", 6.0)]


@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        ("1600000000,5.8,1\n1600000003,5.9,2\n", "price=1 volume=2"),
        ("1600000000,5.8\n1600000003,5.9\n", "price=1"),
        ("1600000000,5.80,5.81\n1600000003,5.90,5.92\n", "bid=1 ask=2"),
        ("20200101 170000065,5.80,5.81,0\n20200101 170000066,5.90,5.92,0\n", "bid=1 ask=2 volume=3"),
        ("1600000000,5.8,9,5.9,3\n1600000003,5.9,8,5.92,7\n", "bid=1 bid_size=2 ask=3 ask_size=4"),
        ("1600000000,5,7,4,6\n1600000003,6,7,4,6\n", "open=1 high=2 low=3 close=4"),
        ("20110103 090100;5;7;4;6;100\n20110103 090200;6;7;4;6;9\n", "open=1 high=2 low=3 close=4 volume=5"),
        ("2012.05.01,00:00,5,7,4,6,100\n2012.05.01,00:01,6,7,4,6,9\n", "open=2 high=3 low=4 close=5 volume=6"),
        ("EUR/USD,20200101 17:00:00.065,5.80,5.81\nEUR/USD,20200101 17:00:01,5.9,5.91\n", "bid=2 ask=3"),
    ],
)
def test_headerless_orders(tmp_path: Path, rows: str, columns: str) -> None:
    found = _read(tmp_path, rows, timezone="UTC")
    assert found.frame.height == 2
    assert columns in found.sources[0].description


def test_headerless_order_by_position(tmp_path: Path) -> None:
    rows = "9,1600000000,x,5\n8,1600000001,y,6\n"
    with pytest.raises(DataError, match="--column"):
        _read(tmp_path, rows)
    found = _read(tmp_path, rows, columns={"timestamp": 1, "price": "3", "volume": 0})
    assert found.frame.select("price", "volume").rows() == [(5.0, 9.0), (6.0, 8.0)]


def test_lean_bars_and_fractional_milliseconds(tmp_path: Path) -> None:
    name = "crypto/second/btcusd/20140508_trade.csv"
    found = _read(tmp_path, "43.142,5,7,4,6,1\n8715,5,7,4,6,2", name, timezone="UTC")
    assert _stamps(found) == ["2014-05-08 00:00:00.043142000", "2014-05-08 00:00:08.715000000"]
    assert found.frame["symbol"].unique().to_list() == ["BTCUSD"]


def test_lean_tick_trades_are_told_by_the_file_name(tmp_path: Path) -> None:
    name = "crypto/tick/btcusd/20140508_trade.csv"
    found = _read(tmp_path, "43,500.5,500.4\n8715,500.6,500.5\n", name, timezone="UTC")
    assert found.frame["price"].to_list() == [500.5, 500.6]
    assert found.frame["volume"].to_list() == [500.4, 500.5]


def test_quotes_have_mid_and_both_sides(tmp_path: Path) -> None:
    found = _read(tmp_path, "time,Ask,Bid,BidVolume,AskVolume\n1600000000,10.5,10,1,2\n")
    assert found.frame.drop("timestamp", "symbol").row(0, named=True) == {
        "price": 10.25, "volume": 0.0, "bid": 10.0, "ask": 10.5, "bid_size": 1.0, "ask_size": 2.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "words", "signs"),
    [
        ("side", ["buy", "SELL", "-"], [1, -1, None]),
        ("side", ["Buy", "Sell", "?"], [1, -1, None]),
        ("type", ["bid", "ask", ""], [1, -1, None]),
        ("aggressor_side", ["1", "2", "0"], [1, -1, None]),
        ("is_buyer_maker", ["True", "false", ""], [-1, 1, None]),
        ("m", ["true", "False", "x"], [-1, 1, None]),
    ],
)
def test_sides(tmp_path: Path, name: str, words: list[str], signs: list[int | None]) -> None:
    rows = "".join(f"160000000{i},5,1,{word}\n" for i, word in enumerate(words))
    found = _read(tmp_path, f"T,price,qty,{name}\n{rows}")
    assert found.frame["side"].to_list() == signs
    assert found.frame.schema["side"] == pl.Int8


def test_a_type_that_is_no_side_gives_no_side(tmp_path: Path) -> None:
    found = _read(tmp_path, "time,price,type\n1600000000,5,limit\n1600000001,5,market\n")
    assert found.frame.columns == ["timestamp", "symbol", "price", "volume"]


def test_binance_aggregate_trades(tmp_path: Path) -> None:
    found = _read(tmp_path, "a,p,q,f,l,T,m\n26129,0.5,4.7,27781,27781,1498793709153,True\n")
    row = found.frame.row(0, named=True)
    assert (row["trade_id"], row["price"], row["volume"], row["side"]) == ("26129", 0.5, 4.7, -1)
    assert _ns(found) == [1_498_793_709_153_000_000]


def test_book_ticker_letters_differ_by_case(tmp_path: Path) -> None:
    found = _read(tmp_path, "E,s,b,B,a,A\n1498793709153,BTC,10,3,11,4\n")
    row = found.frame.row(0, named=True)
    assert (row["bid"], row["bid_size"], row["ask"], row["ask_size"]) == (10.0, 3.0, 11.0, 4.0)


def test_id_is_the_time_where_nothing_else_is(tmp_path: Path) -> None:
    found = _read(tmp_path, "id,price,amount,type\n1356998659486096,13.5,36.8,ask\n")
    assert _ns(found) == [1_356_998_659_486_096_000]
    assert "trade_id" not in found.frame.columns


@pytest.mark.parametrize(
    ("symbol", "columns", "chosen"),
    [
        ("BTCUSD", "volume_btc,volume", 61.0),
        ("BTCUSD", "volume,volume_btc", 92.0),
        ("BTC/USD", "Volume USD,Volume BTC", 92.0),
        ("XYZ", "Volume USD,Volume BTC", 92.0),
        ("XYZ", "Volume,Volume USD", 61.0),
        ("XYZ", "VolumeFrom,VolumeTo", 61.0),
        ("XYZ", "Volume_(Currency),Volume_(BTC)", 92.0),
        ("XYZ", "<VOL>,<TICKVOL>", 61.0),
        ("XYZ", "quote_qty,cum_vol", 0.0),
    ],
)
def test_the_volume_of_the_base_is_chosen(tmp_path: Path, symbol: str, columns: str, chosen: float) -> None:
    found = _read(tmp_path, f"time,symbol,price,{columns}\n1600000000,{symbol},5,61,92\n")
    assert found.frame["volume"].to_list() == [chosen]


def test_adjusted_close_is_ignored_and_order_of_columns_is_free(tmp_path: Path) -> None:
    found = _read(tmp_path, "Date,Open,Close,High,Low,Adj Close,Volume\n2020-01-02,2,3,4,1,99,7\n")
    assert found.frame.row(0)[2:] == (2.0, 4.0, 1.0, 3.0, 7.0)


def test_a_volume_column_without_any_value_is_no_volume(tmp_path: Path) -> None:
    found = _read(tmp_path, "date,open,high,low,close,volume\n2020-01-02,2,3,1,2,\n2020-01-03,2,3,1,2,\n")
    assert found.frame["volume"].to_list() == [0.0, 0.0]


def test_newest_first_is_reversed_with_its_ties(tmp_path: Path) -> None:
    rows = "1600000002,5,1\n1600000001,4,1\n1600000001,3,1\n1600000000,2,1\n"
    found = _read(tmp_path, "time,price,volume\n" + rows)
    assert found.frame["price"].to_list() == [2.0, 3.0, 4.0, 5.0]
    assert "newest first -> reversed" in found.sources[0].description


def test_shuffled_rows_are_sorted_stably(tmp_path: Path) -> None:
    rows = "1600000001,1\n1600000002,2\n1600000000,0.5\n1600000002,3\n1600000003,4\n"
    found = _read(tmp_path, "time,price\n" + rows)
    assert found.frame["price"].to_list() == [0.5, 1.0, 2.0, 3.0, 4.0]
    assert "1 backward steps sorted" in found.sources[0].description


def test_wide_tables_count_listed_cells_only(tmp_path: Path) -> None:
    head = ",A:open,A:high,A:low,A:close,B:open,B:high,B:low,B:close\n"
    found = _read(tmp_path, head + "2020-01-02,1,2,1,2,,,,\n2020-01-03,1,2,1,2,5,6,5,oops\n2020-01-04,,,,,5,6,5,6\n")
    assert found.rows_in == 4
    assert found.frame.select("symbol", "close").rows() == [("A", 2.0), ("A", 2.0), ("B", 6.0)]
    assert found.rejected.select("line", "reason").rows() == [(3, "unparsable_number:close")]
    assert found.rejected["raw"][0] == "2020-01-03,1,2,1,2,5,6,5,oops"
    assert "2 absent symbol rows" in found.sources[0].description


def test_prefixed_quotes_of_one_symbol(tmp_path: Path) -> None:
    found = _read(tmp_path, "time,EURUSD.bid,EURUSD.ask\n1600000000,1.5,2\n")
    assert found.frame.select("symbol", "price").rows() == [("EURUSD", 1.75)]


def test_symbol_column_groups_and_hint_selects(tmp_path: Path) -> None:
    text = "time,symbol,price\n1600000000,A,1\n1600000000,B,2\n1600000001,A,3\n"
    assert _read(tmp_path, text).frame["symbol"].to_list() == ["A", "B", "A"]
    only = _read(tmp_path, text, symbol="A")
    assert (only.rows_in, only.frame["price"].to_list()) == (2, [1.0, 3.0])
    with pytest.raises(DataError, match=r"several symbols in one table: A, B; received C.*--symbol"):
        _read(tmp_path, text, symbol="C")


def test_symbol_hint_names_the_only_symbol(tmp_path: Path) -> None:
    assert _read(tmp_path, "time,price\n1600000000,1\n", symbol="EURUSD").frame["symbol"][0] == "EURUSD"
    text = "time,symbol,price\n1600000000,eur,1\n"
    assert _read(tmp_path, text, symbol="EURUSD").frame["symbol"][0] == "EURUSD"


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("EURUSD_2020-01.csv", "EURUSD"),
        ("nt-spy-minute-2011.csv", "nt-spy-minute"),
        ("btc-20200102.csv", "btc"),
        ("spx500.csv", "spx500"),
        ("folder/20200102.csv", "folder"),
        ("forex/minute/eurusd/20200102_quote.csv", "EURUSD"),
        ("forex/daily/eurusd.csv", "EURUSD"),
        ("crypto/daily/btcusd_trade.csv", "BTCUSD"),
    ],
)
def test_symbol_from_the_path(tmp_path: Path, name: str, symbol: str) -> None:
    assert _read(tmp_path, "time,price\n1600000000,1\n", name).frame["symbol"][0] == symbol


def test_several_timeframes_are_refused_until_one_is_chosen(tmp_path: Path) -> None:
    text = "time,interval,open,high,low,close\n1600000000,1m,1,1,1,1\n1600000060,1m,1,1,1,1\n1600000000,1h,2,2,2,2\n"
    with pytest.raises(DataError, match=r"several timeframes in one table: 1h, 1m; .*--timeframe"):
        _read(tmp_path, text)
    found = _read(tmp_path, text, timeframe="1m")
    assert (found.rows_in, found.frame.height) == (2, 2)
    with pytest.raises(DataError, match="received 5m"):
        _read(tmp_path, text, timeframe="5m")


def test_gz_and_zip_of_one_and_of_several_members(tmp_path: Path) -> None:
    text = b"time,price\n1600000000,1\n1600000001,oops\n"
    gz, one, two = tmp_path / "a.csv.gz", tmp_path / "b.zip", tmp_path / "c.zip"
    gz.write_bytes(gzip.compress(text))
    with zipfile.ZipFile(one, "w") as archive:
        archive.writestr("x.csv", text)
    with zipfile.ZipFile(two, "w") as archive:
        archive.writestr("dir/", "")
        archive.writestr("__MACOSX/._x.csv", "junk")
        archive.writestr("20200913.csv", text)
        archive.writestr("20200914.csv", text)
    for path, files in ((gz, [str(gz)]), (one, [str(one)]), (two, [f"{two}!20200913.csv", f"{two}!20200914.csv"])):
        found = read_source(path)
        assert found.rows_in == 2 * len(files)
        assert found.rejected["file"].to_list() == files
        assert found.rejected["line"].to_list() == [3] * len(files)
        assert len(found.sources) == 1


def test_archive_joins_files_in_stable_time_order(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("time,symbol,price,side\n1600000000,A,1,buy\n1600000005,A,2,buy\n")
    (tmp_path / "b.csv").write_text("time,symbol,price\n1600000000,A,3\n1600000003,B,4\n1600000009,A,-1\n")
    (tmp_path / "notes.md").write_text("not market data")
    calls: list[tuple[int, int]] = []
    found = read_archive([tmp_path], progress=lambda done, total: calls.append((done, total)))
    assert found.frame["price"].to_list() == [1.0, 3.0, 4.0, 2.0]
    assert found.frame["side"].to_list() == [1, None, None, 1]
    assert found.frame.columns == ["timestamp", "symbol", "price", "volume", "side"]
    assert (found.rows_in, found.rejected.height) == (5, 1)
    assert [(report.rows_in, report.rows_out) for report in found.sources] == [(2, 2), (3, 2)]
    assert calls == [(1, 2), (2, 2)]


def test_identity_repeated_in_another_file_is_rejected_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("time,price,trade_id\n1600000000,1,7\n1600000001,2,8\n")
    (tmp_path / "b.csv").write_text("time,price,trade_id\n1600000001,2,8\n1600000002,3,9\n")
    found = read_archive([tmp_path], SourceHints(symbol="A"))
    assert found.frame["trade_id"].to_list() == ["7", "8", "9"]
    assert found.rejected.rows() == [(str(tmp_path / "b.csv"), 2, "duplicate_trade_id", "1600000001,2,8")]
    assert [report.rows_out for report in found.sources] == [2, 1]


def test_expand_sources(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv", "deep/c.zip", "_state/d.csv", ".hidden/e.csv", "f.md"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    every = [tmp_path / "a.csv", tmp_path / "b.csv", tmp_path / "deep/c.zip"]
    assert expand_sources([tmp_path]) == every
    assert expand_sources([str(tmp_path / "*.csv"), tmp_path / "a.csv"]) == every[:2]
    assert expand_sources([str(tmp_path / "**" / "*.zip")]) == every[2:]
    assert expand_sources([tmp_path / "f.md"]) == [tmp_path / "f.md"]


def test_description_is_one_printable_line(tmp_path: Path) -> None:
    found = _read(tmp_path, "ti\u0007me;price\n1600000000;1\n", columns={"timestamp": 0})
    description = found.sources[0].description
    assert description.isprintable()
    assert description == "trades; semicolon-separated; timestamp=ti?me price=price; epoch s; symbol X; in time order"
    assert len(found.sources[0].sha256) == 64


def test_naive_hint_is_not_needed_for_dates(tmp_path: Path) -> None:
    assert read_source(_written(tmp_path), UTC_HINT).frame.equals(read_source(_written(tmp_path)).frame)


def _written(folder: Path) -> Path:
    path = folder / "d.csv"
    path.write_text("date,open,high,low,close\n2020-01-02,1,1,1,1\n")
    return path
