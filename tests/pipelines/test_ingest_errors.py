"""Sources that cannot be read as a whole: one line that says what, where, and the mend."""

import gzip
import zipfile
from pathlib import Path

import pytest

from pipelines.errors import DataError
from pipelines.ingest import SourceHints, read_archive, read_source
from pipelines.reasons import Quality

GOOD = b"time,price\n1600000000,1\n"


def _error(path: Path, **hints: object) -> str:
    with pytest.raises(DataError) as caught:
        read_source(path, SourceHints(**hints))  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def _file(folder: Path, data: bytes, name: str = "X.csv") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty (0 bytes)"),
        (b"\n \n", "the file is empty"),
        (b"time,price\n", "no rows below its header, or in any other file"),
        (b"<!DOCTYPE html>\n<html>404, not found</html>\n", "holds a web page or XML"),
        (b"\xef\xbb\xbf# a\n# b\n", "only comment lines"),
        (b"word\nother\n", "no delimiter found in 'word'"),
        (b'{"p": 1}\n', "JSON messages"),
        (b"1723161253937085768 {\"stream\": 1}\n", "JSON messages"),
        (b"time,pr\xfcce\n1600000000,1\n", "not UTF-8: byte 0xfc at byte offset 7"),
        (b"\xef\xbb\xbftime,pr\xfcce\n1600000000,1\n", "byte offset 10"),
        ("time,price\n1,2\n".encode("utf-16"), "not UTF-8"),
        (b"time,price\n1600000000,\x00\n", "zero byte at byte offset 22"),
        (b"\x89HDF\r\n\x1a\n" + bytes(20), "is a HDF5 file"),
        (b"BZh91AY&SY", "is a bzip2 file"),
    ],
)  # fmt: skip
def test_unreadable_texts(tmp_path: Path, data: bytes, words: str) -> None:
    assert words in _error(_file(tmp_path, data))


@pytest.mark.parametrize(
    ("header", "needed"),
    [
        ("time,foo", "needed: price (trades), or bid, ask (quotes), or open, high, low, close (candles)"),
        ("when,price", "needed: a time column"),
        ("time,bid", "needed: price (trades)"),
        ("foo,bar", "needed: a time column; price (trades)"),
    ],
)
def test_missing_columns_name_found_needed_and_flag(tmp_path: Path, header: str, needed: str) -> None:
    message = _error(_file(tmp_path, f"{header}\n1600000000,1\n".encode()))
    assert f"found columns {header.replace(',', ', ')}" in message
    assert needed in message
    assert "--column" in message


def test_missing_columns_are_mended_by_the_named_flag(tmp_path: Path) -> None:
    path = _file(tmp_path, b"when,worth\n1600000000,1\n")
    found = read_source(path, SourceHints(columns={"timestamp": "When", "price": "worth"}))
    assert found.frame["price"].to_list() == [1.0]


def test_kind_of_the_user_needs_its_columns(tmp_path: Path) -> None:
    path = _file(tmp_path, b"time,price,bid,ask\n1600000000,1,2,3\n")
    assert read_source(path, SourceHints(kind="quotes")).frame["price"].to_list() == [2.5]
    assert read_source(path).frame["price"].to_list() == [1.0]
    assert "needed: open, high, low, close" in _error(path, kind="candles")


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"price": "prize"}, "--column price=prize: no such column; found columns time, price: did you mean 'price'?"),
        ({"price": 7}, "--column price=7: no such column"),
    ],
)
def test_unknown_hinted_columns(tmp_path: Path, columns: dict[str, str | int], words: str) -> None:
    assert words in _error(_file(tmp_path, GOOD), columns=columns)


def test_two_columns_of_one_meaning_need_a_choice(tmp_path: Path) -> None:
    path = _file(tmp_path, b"time,price,Price\n1600000000,1,2\n")
    assert "both mean price" in _error(path)
    assert read_source(path, SourceHints(columns={"price": "Price"})).frame["price"].to_list() == [2.0]


@pytest.mark.parametrize(
    ("header", "kind", "flags"),
    [
        ("time,bid,size", "quotes", "--column ask=NAME"),
        ("time,worth,size", "quotes", "--column bid=NAME --column ask=NAME"),
        ("time,bid,size", None, "--column ask=NAME"),
        ("time,open,close", None, "--column high=NAME --column low=NAME"),
        ("time,worth,size", None, "--column price=NAME"),
        ("when,price,size", "trades", "--column timestamp=NAME"),
    ],
)
def test_missing_columns_name_the_flags_of_what_is_missing(
    tmp_path: Path, header: str, kind: str | None, flags: str
) -> None:
    message = _error(_file(tmp_path, f"{header}\n1600000000,1,2\n".encode()), kind=kind)
    assert message.endswith(f"map them with {flags}")


def test_a_delimiter_that_does_not_occur_is_named_with_the_one_in_use(tmp_path: Path) -> None:
    path = _file(tmp_path, GOOD)
    assert "--delimiter ';' occurs in no line, its delimiter seems to be ','" in _error(path, delimiter=";")
    assert read_source(path, SourceHints(delimiter=",")).frame.height == 1
    assert "has none of the usual ones" in _error(_file(tmp_path, b"word\nother\n"), delimiter=";")


def test_a_table_is_of_sqlite_only(tmp_path: Path) -> None:
    path = _file(tmp_path, GOOD)
    assert "--table ticks names a table of a SQLite file, but no source is one" in _error(path, table="ticks")


def test_truncated_and_damaged_archives(tmp_path: Path) -> None:
    packed = gzip.compress(GOOD * 100)
    assert "truncated or damaged" in _error(_file(tmp_path, packed[:-9], "a.csv.gz"))
    assert "truncated or damaged" in _error(_file(tmp_path, packed[:20] + b"\xff" * 30, "b.csv.gz"))
    path = tmp_path / "c.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.csv", GOOD * 100)
    whole = path.read_bytes()
    assert "zip file is damaged" in _error(_file(tmp_path, whole[: len(whole) // 2], "d.zip"))
    assert "zip file is damaged" in _error(_file(tmp_path, whole[:45] + b"\xff" * 8 + whole[53:], "e.zip"))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("dir/", "")
    assert "holds no file of data" in _error(path)


def test_packed_files_inside_an_archive_are_named(tmp_path: Path) -> None:
    twice = _file(tmp_path, gzip.compress(gzip.compress(GOOD)), "a.csv.gz")
    assert "holds a gzip file inside the archive" in _error(twice)
    path = tmp_path / "b.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.parquet", b"PAR1\x00\xff")
    assert "holds a parquet file inside the archive" in _error(path)


def test_rows_that_never_fit_the_header(tmp_path: Path) -> None:
    assert "line 2 has 4 fields, the header has 2" in _error(_file(tmp_path, b"time,price\n1,2,3,4\n1,2,3,4\n"))


def test_an_archive_without_a_usable_row(tmp_path: Path) -> None:
    message = _error(_file(tmp_path, b"time,price\n1600000000,-1\n1600000001,0\n1600000001,x\n"))
    assert "all 3 were rejected, 2 as non_positive_price" in message
    assert "line 2: '1600000000,-1'" in message


def test_decimal_commas_are_named(tmp_path: Path) -> None:
    message = _error(_file(tmp_path, b"time;price\n1600000000;1,5\n1600000001;1,6\n"))
    assert "2 as unparsable_number:price; expected numbers such as 1234.5 (no decimal comma" in message


def test_headerless_order_that_is_not_known(tmp_path: Path) -> None:
    message = _error(_file(tmp_path, b"1600000000,1,2,3,4,5,6,7\n1600000001,1,2,3,4,5,6,7\n"))
    assert "order of its 8 columns is not a known one" in message
    assert "--column price=POSITION" in message


@pytest.mark.parametrize(
    ("source", "words"),
    [("no/such.csv", "no such file or folder"), ("no/*.csv", "the glob matches no file"), (".", "no market data")],
)
def test_sources_that_are_not_there(tmp_path: Path, source: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_archive([tmp_path / source])


def test_no_sources_at_all() -> None:
    with pytest.raises(DataError, match="no sources given"):
        read_archive([])


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _file(tmp_path, GOOD)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert "cannot be read: Permission denied" in _error(path)


def test_ticks_and_candles_do_not_mix(tmp_path: Path) -> None:
    _file(tmp_path, GOOD, "a.csv")
    _file(tmp_path, b"time,open,high,low,close\n1600000000,1,1,1,1\n", "b.csv")
    with pytest.raises(DataError, match=r"b\.csv: holds candles, but .*a\.csv holds trades"):
        read_archive([tmp_path])


@pytest.mark.parametrize(
    "pairs",
    [
        [(100, 99), (99.5, 101), (100.5, 98)],  # amounts on both sides of the price
        [(99, 100), (99.5, 100), (98, 100)],  # an amount that never moves
        [(96, 100), (97, 100.5), (95, 100)],  # always above, never very near
    ],
)
def test_amounts_near_the_price_of_a_headerless_file_need_names(
    tmp_path: Path, pairs: list[tuple[float, float]]
) -> None:
    rows = "".join(f"{1_600_000_000 + i},{left},{right}\n" for i, (left, right) in enumerate(pairs))
    path = _file(tmp_path, rows.encode())
    message = _error(path)
    assert "columns 1 and 2 (first row 1600000000," in message
    assert "--column bid=1 --column ask=2, or --column price=1 --column volume=2" in message
    assert read_source(path, SourceHints(columns={"price": 1, "volume": 2})).frame["price"].to_list() == [
        left for left, _ in pairs
    ]
    assert read_source(path, SourceHints(kind="trades")).frame["volume"][0] == pairs[0][1]
    quotes = read_source(path, SourceHints(kind="quotes", quality=Quality(policy={"crossed_quote": "keep"}))).frame
    assert quotes.select("bid", "ask").rows() == pairs
    named = _file(tmp_path, rows.encode(), "20200102_quote.csv")
    assert "bid" in read_source(named, SourceHints(quality=Quality(policy={"crossed_quote": "keep"}))).frame.columns


def test_members_of_a_zip_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "c.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", GOOD)
        archive.writestr("b.csv", "time,bid,ask\n1600000000,1,2\n")
    assert "holds quotes" in _error(path)


def test_members_of_several_symbols_are_never_mixed(tmp_path: Path) -> None:
    path = tmp_path / "two.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, price in (("AAA.csv", 1), ("BBB.csv", 2)):
            archive.writestr(name, f"timestamp,price,volume\n1700000000,{price},1\n1700000060,{price},1\n")
    with pytest.raises(DataError, match=r"its members name several symbols \(AAA, BBB\).*--symbol"):
        read_archive([path])
    assert read_archive([path], SourceHints(symbol="X")).frame["symbol"].unique().to_list() == ["X"]


def test_a_timeframe_that_no_column_holds_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "candles.csv"
    path.write_text("timestamp,open,high,low,close,volume,length\n1700000000,1,1,1,1,1,1m\n")
    with pytest.raises(DataError, match=r"no column holds the timeframe .*--column timeframe=NAME"):
        read_archive([path], SourceHints(timeframe="1m"))
    path.write_text("timestamp,open,high,low,close,volume,tf\n1700000000,1,1,1,1,1,1m\n1700000060,1,1,1,1,1,1h\n")
    with pytest.raises(DataError, match="several timeframes in one table: 1h, 1m"):
        read_archive([path])


def test_a_file_with_lone_carriage_returns_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "mac.csv"
    path.write_bytes(b"timestamp,price,volume\r1700000000,1,1\r1700000060,1,1\r")
    assert "expected lines that end in LF or CR LF" in _error(path)
