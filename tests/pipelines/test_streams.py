"""Files read batch by batch: the same rows as when read whole, and what contradicts the first rows is told."""

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pytest

from pipelines.errors import DamagedError, DataError
from pipelines.ingest import read_source
from pipelines.runs import canonical_batches
from pipelines.schema import SourceHints
from pipelines.sources import streams
from pipelines.sources.calendar_text import detect_text_form, parse_text
from pipelines.sources.text import plain_table, settle_layout, split_lines, text_lines

HEAD = "timestamp,price,volume\n"


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "HEAD_BYTES", 600)
    monkeypatch.setattr(streams, "HEAD_ROWS", 20)
    monkeypatch.setattr(streams, "BATCH_BYTES", 500)
    monkeypatch.setattr(streams, "BATCH_ROWS", 50)


def lines(first: int, last: int, volume: str = "1", unit: int = 1) -> str:
    return "".join(f"{(1_700_000_000 + row) * unit},{100 + row % 7}.5,{volume}\n" for row in range(first, last))


def streamed(
    path: Path, hints: SourceHints | None = None, size: int | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    found = list(canonical_batches(path, hints or SourceHints(), path.stat().st_size if size is None else size))
    good = pl.concat([rows for rows, _, _ in found if len(rows)], how="diagonal")
    rejected = pl.concat([bad for _, bad, _ in found])
    assert sum(rows for _, _, rows in found) == len(good) + len(rejected)
    return good, rejected


ODD = {
    "plain": lines(0, 100),
    "no end of line": lines(0, 100).rstrip("\n"),
    "windows": lines(0, 100).replace("\n", "\r\n"),
    "blank lines": lines(0, 60) + "\n\n" + lines(60, 100) + "\n",
    "quotes": lines(0, 70) + '"1700000070","105.5","1"\n' + lines(71, 100),
    "ragged": lines(0, 70) + "1700000070,105.5\n1700000070,105.5,1,1\n" + lines(71, 100),
    "words": lines(0, 70) + "1700000070,nan,1\n1700000070,oops,1\n1700000070,inf,1\n" + lines(71, 100),
    "blanks": lines(0, 70) + "1700000070, 105.5 ,1\n" + lines(71, 100),
    "empty cells": lines(0, 70) + "1700000070,,1\n,105.5,1\n1700000070,105.5,\n" + lines(71, 100),
    "fractions": lines(0, 70) + "1700000070.25,105.5,1\n" + lines(71, 100),
    "other unit": lines(0, 70) + "1700000070000,105.5,1\n0,105.5,1\n-5,105.5,1\n" + lines(71, 100),
    "signs": lines(0, 70) + "".join(f"1700000070,{x},1\n" for x in ("+5.5", "-5.5", "1e2", ".5")) + lines(71, 99),
    "comment": lines(0, 70) + "# a,b,c\n" + lines(71, 100),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_a_text_in_batches_gives_the_rows_of_the_whole(tmp_path: Path, name: str) -> None:
    path = tmp_path / "A.csv"
    path.write_bytes((HEAD + ODD[name]).encode())
    good, rejected = streamed(path)
    whole = read_source(path)
    assert good.drop("_line").equals(whole.frame)
    assert rejected.sort("line").equals(whole.rejected.sort("line"))


@pytest.mark.parametrize("name", ODD)
def test_a_block_that_is_read_in_one_step_is_what_its_lines_give(name: str) -> None:
    layout = settle_layout("A.csv", text_lines((HEAD + lines(0, 9)).encode()), SourceHints())
    types = {"0": pl.Int64(), "1": pl.Float64(), "2": pl.Float64()}
    data = ODD[name].encode()
    table = plain_table("A.csv", data, 8, layout, types)
    assert (table is not None) == (name in ("plain", "no end of line", "windows", "other unit", "signs", "empty cells"))
    if table is not None:
        slow = split_lines("A.csv", text_lines(data), 8, layout)
        numbers = slow.frame.select(pl.col(at).replace("", None).cast(kind) for at, kind in types.items())
        assert table.frame.equals(numbers)
        assert table.lines.equals(slow.lines)
        assert table.raw_rows(table.lines).equals(slow.raw_rows(slow.lines))


def test_rows_that_were_written_since_the_file_was_counted_are_for_the_next_time(tmp_path: Path) -> None:
    path = tmp_path / "A.csv"
    path.write_text(HEAD + lines(0, 100))
    size = path.stat().st_size
    with path.open("a") as file:
        file.write(lines(100, 200))
    assert len(streamed(path, size=size)[0]) == 100


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (lines(0, 100, "") + lines(100, 200, "3"), r"line 102: column 'volume' \(volume\) holds values from here, but"),
        (lines(0, 100) + lines(100, 300, unit=1000), "holds epoch ms where rows before these hold epoch s"),
        (lines(0, 100) + lines(100, 200).replace("17000", "20230101 0"), "expected one form of time in a file"),
    ],
    ids=["a column that fills", "a unit that changes", "a form that changes"],
)  # fmt: skip
def test_what_contradicts_the_first_rows_is_told(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "A.csv"
    path.write_text(HEAD + text)
    with pytest.raises(DataError, match=message):
        streamed(path, SourceHints(timezone="UTC"))


def test_a_timeframe_that_changes_is_told_and_one_that_is_chosen_is_read(tmp_path: Path) -> None:
    path = tmp_path / "A.csv"
    rows = [f"{1_700_000_000 + 60 * row},1,2,0.5,1,{'1m' if row < 100 else '1h'}\n" for row in range(200)]
    path.write_text("timestamp,open,high,low,close,timeframe\n" + "".join(rows))
    with pytest.raises(DataError, match=r"line 102: timeframe 1h, where rows before have 1m; they are never mixed"):
        streamed(path)
    path.write_text("timestamp,open,high,low,close,timeframe\n" + "".join(rows[90:] + rows[:90]))
    assert len(streamed(path, SourceHints(timeframe="1m"))[0]) == 100


def test_a_column_that_is_empty_in_a_batch_rejects_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "A.csv"
    path.write_text(HEAD + lines(0, 100) + lines(100, 200, "") + lines(200, 300))
    good, rejected = streamed(path)
    assert (len(good), rejected["reason"].unique().to_list()) == (200, ["missing_value:volume"])


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_a_columnar_file_in_batches_gives_the_rows_of_the_whole(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"A.{kind}"
    price = np.where(np.arange(300) % 50 == 7, -1.0, 100.0 + np.arange(300) % 9)
    frame = pl.DataFrame(
        {
            "note": [f"n{row}" for row in range(300)],
            "timestamp": pl.Series(1_700_000_000_000_000_000 + 10**9 * np.arange(300)).cast(pl.Datetime("ns", "UTC")),
            "price": price,
            "size": np.ones(300),
        }
    )
    if kind == "parquet":
        frame.write_parquet(path, row_group_size=110)
    else:
        pyarrow.feather.write_feather(frame.to_arrow(), path, chunksize=110)
    good, rejected = streamed(path)
    whole = read_source(path)
    assert good.drop("_line").equals(whole.frame)
    assert rejected.equals(whole.rejected)
    assert rejected["raw"][0].startswith("n7,")


def test_a_damaged_columnar_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "A.parquet"
    pl.DataFrame({"timestamp": [1], "price": [1.0]}).write_parquet(path)
    path.write_bytes(b"PAR1" + path.read_bytes()[40:])
    with pytest.raises(DamagedError, match=r"A\.parquet: not a readable Parquet file .*; fetch or write it again"):
        streamed(path)


def test_a_symbol_column_that_the_file_states_once_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    frame = pl.DataFrame({"timestamp": 1_700_000_000 + np.arange(100), "symbol": ["AAA"] * 100, "price": np.ones(100)})
    frame.write_parquet(path)
    assert streamed(path)[0]["symbol"].unique().to_list() == ["AAA"]
    stream = streams.open_stream(path, "parquet", SourceHints())
    assert stream is not None
    assert stream.constants == {1: "AAA"}


def test_columns_within_columns_are_for_the_reader_of_whole_files(tmp_path: Path) -> None:
    path = tmp_path / "A.parquet"
    table = pa.table({"timestamp": [1_700_000_000], "price": [1.0], "depth": [[1.0, 2.0]]})
    pa.parquet.write_table(table, path)
    assert streams.open_stream(path, "parquet", SourceHints()) is None
    assert read_source(path).rows_in == 1


PLAIN = ["2024-01-05 10:00:00", "2024-01-05 23:59:59.5", "1999-12-31 00:00:00.123456789"]
NOT_PLAIN = [
    "2024-1-5 3:04:05", "2024-02-30 00:00:00", "2024-01-05 25:00:00", "+024-01-05 10:00:00", "2300-01-01 00:00:00",
    "2016-12-31 23:59:60", "",
]  # fmt: skip


@pytest.mark.parametrize("change", [("-", "/"), (" ", "T"), ("-", "-")], ids=str)
@pytest.mark.parametrize("end", ["", "Z"])
@pytest.mark.parametrize("odd", [[], *([text] for text in NOT_PLAIN)], ids=str)
def test_times_that_are_read_in_one_step_are_what_the_pattern_reads(
    change: tuple[str, str], end: str, odd: list[str]
) -> None:
    texts = [text.replace(*change) + end for text in PLAIN]
    form = detect_text_form(texts)
    assert form is not None
    both = parse_text(pl.Series([*texts, *odd]), form, where="x", date_order=None)
    alone = [parse_text(pl.Series([text, "x"]), form, where="x", date_order=None) for text in [*texts, *odd]]
    assert both.local.to_physical().to_list() == [one.local.to_physical()[0] for one in alone]
    assert both.offset_known[:3].to_list() == [end == "Z"] * 3
    assert both.timed[:3].all()


@pytest.mark.parametrize("unit", ["ns", "us", "ms"])
def test_groups_that_are_older_than_what_is_due_are_not_read(tmp_path: Path, unit: str) -> None:
    path = tmp_path / "A.parquet"
    times = pl.Series(1_700_000_000_000_000_000 + 10**9 * np.arange(300)).cast(pl.Datetime("ns", "UTC"))
    frame = pl.DataFrame({"timestamp": times.dt.cast_time_unit(unit), "price": np.ones(300)})  # type: ignore[arg-type]
    frame.write_parquet(path, row_group_size=100)
    for second, lines in [(0, 1), (99, 1), (100, 101), (250, 201), (300, 201)]:
        start = 1_700_000_000_000_000_000 + 10**9 * second
        first, *_ = [rows for rows, _, _ in canonical_batches(path, SourceHints(), 0, start=start)]
        assert first["_line"][0] == lines
    frame.with_columns(pl.col("timestamp").dt.replace_time_zone(None)).write_parquet(path, row_group_size=100)
    assert len(list(canonical_batches(path, SourceHints(timezone="UTC"), 0, start=2**62))) == 6
