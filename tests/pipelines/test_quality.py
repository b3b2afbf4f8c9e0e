"""Each reason for which a row is rejected, and the odd rows that are kept."""

from pathlib import Path

import pytest

from pipelines.ingest import Ingested, SourceHints, read_source
from pipelines.reasons import Quality

TRADES = "time,price,volume,id\n1600000000,5,1,1\n"
QUOTES = "time,bid,ask,bid_size\n1600000000,5,6,1\n"
CANDLES = "time,open,high,low,close,volume\n1600000000,5,6,4,5,1\n"
BARS = ",".join(f"{side}_{name}" for side in ("bid", "ask") for name in ("open", "high", "low", "close"))
QUOTE_CANDLES = f"time,{BARS}\n1600000000,5,6,4,5,6,7,5,6\n"


def _read(folder: Path, text: str, **hints: object) -> Ingested:
    path = folder / "X.csv"
    path.write_text(text)
    found = read_source(path, SourceHints(**hints))  # type: ignore[arg-type]
    assert found.rows_in == found.frame.height + found.rejected.height
    return found


@pytest.mark.parametrize(
    ("good", "row", "reason"),
    [
        (TRADES, "1600000001,,1,2", "missing_value:price"),
        (TRADES, "1600000001,5,,2", "missing_value:volume"),
        (TRADES, ",5,1,2", "missing_value:timestamp"),
        (TRADES, "1600000001, ,1,2", "missing_value:price"),
        (TRADES, "1600000001,5x,1,2", "unparsable_number:price"),
        (TRADES, "1600000001,NaN,1,2", "not_finite:price"),
        (TRADES, "1600000001,inf,1,2", "not_finite:price"),
        (TRADES, "1600000001,1e400,1,2", "not_finite:price"),
        (TRADES, "1600000001,5,one,2", "unparsable_number:volume"),
        (TRADES, "1600000001,0,1,2", "non_positive_price"),
        (TRADES, "1600000001,-5,1,2", "non_positive_price"),
        (TRADES, "1600000001,5,-1,2", "negative_volume"),
        (TRADES, "1600000000,5,1,1", "duplicate_trade_id"),
        (TRADES, "1600000001,5,1", "ragged_row:3_of_4_fields"),
        (TRADES, "1600000001,5,1,2,3", "ragged_row:5_of_4_fields"),
        (TRADES, '1600000001,"5,1,2', "malformed_quote"),
        (TRADES, '1600000001,""5,1,2', "malformed_quote"),
        (QUOTES, "1600000001,7,6,1", "crossed_quote"),
        (QUOTES, "1600000001,0,6,1", "zero_sided_quote"),
        (QUOTES, "1600000001,5,0,1", "zero_sided_quote"),
        (QUOTES, "1600000001,-5,6,1", "non_positive_price"),
        (QUOTES, "1600000001,5,6,-1", "negative_volume"),
        (QUOTES, "1600000001,5,6,x", "unparsable_number:bid_size"),
        (CANDLES, "1600000001,5,4.9,4,4,1", "inconsistent_ohlc"),
        (CANDLES, "1600000001,5,6,5.1,6,1", "inconsistent_ohlc"),
        (CANDLES, "1600000001,5,6,4,6.1,1", "inconsistent_ohlc"),
        (CANDLES, "1600000001,5,6,4,5,", "missing_value:volume"),
        (CANDLES, "1600000001,5,6,0,5,1", "non_positive_price"),
        (CANDLES, "1600000000,5,6,4,5,1", "duplicate_candle"),
        (QUOTE_CANDLES, "1600000001,5,6,4,5,6,5.5,5,6", "inconsistent_ohlc"),
        (QUOTE_CANDLES, "1600000001,0,6,4,5,6,7,5,6", "zero_sided_quote"),
        (QUOTE_CANDLES, "1600000001,6,6,4,5,5,7,5,6", "crossed_quote"),
    ],
)
def test_rejected_rows(tmp_path: Path, good: str, row: str, reason: str) -> None:
    found = _read(tmp_path, good + row + "\n")
    assert found.rejected.rows() == [(str(tmp_path / "X.csv"), 3, reason, row)]
    assert found.frame.height == 1


@pytest.mark.parametrize(
    ("good", "row"),
    [
        (TRADES, "1600000000,5,1,2"),
        (TRADES, "1600000001,5,0,2"),
        (TRADES, "1600000001,5,1,"),
        (TRADES, "1600000001,5,1,1"),
        (TRADES, "1600000000,6,1,1"),
        (TRADES, "1600000001,1e-5,1E3,2"),
        (QUOTES, "1600000001,6,6,1"),
        (QUOTES, "1600000001,5,6,"),
        (CANDLES, "1600000001,5,5,5,5,0"),
    ],
)
def test_kept_rows(tmp_path: Path, good: str, row: str) -> None:
    found = _read(tmp_path, good + row + "\n")
    assert (found.frame.height, found.rejected.height) == (2, 0)


def test_equal_rows_without_ids_are_kept(tmp_path: Path) -> None:
    assert _read(tmp_path, "time,price,volume\n" + "1600000000,5,1\n" * 3).frame.height == 3


def test_trade_ids_are_told_apart_by_symbol(tmp_path: Path) -> None:
    text = "time,symbol,price,trade_id\n1600000000,A,5,1\n1600000000,B,5,1\n1600000000,A,5,1\n1600000001,,5,2\n"
    found = _read(tmp_path, text)
    assert found.frame["symbol"].to_list() == ["A", "B"]
    assert found.rejected.select("line", "reason").rows() == [(4, "duplicate_trade_id"), (5, "missing_value:symbol")]


def test_crossed_quotes_may_be_kept(tmp_path: Path) -> None:
    found = _read(tmp_path, QUOTES + "1600000001,7,6,1\n", quality=Quality(policy={"crossed_quote": "keep"}))
    assert found.frame["price"].to_list() == [5.5, 6.5]


def test_lines_count_header_comments_and_blanks(tmp_path: Path) -> None:
    found = _read(tmp_path, "# note\n\ntime,price\n1600000000,1\n\n1600000001,x\n")
    assert found.rejected.select("line", "raw").rows() == [(6, "1600000001,x")]
