"""Random ticks through every form of file come back equal; damage never loses a row."""

import string
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import DataError
from pipelines.ingest import SourceHints, read_source
from pipelines.schema import CANDLE_SCHEMA, TICK_SCHEMA

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000_000


def _calendar(form: str, digits: int) -> Callable[[int], str]:
    def write(stamp: int) -> str:
        moment = EPOCH + timedelta(seconds=stamp // SECOND)
        fraction = f"{stamp % SECOND:09d}"[:digits]
        return moment.strftime(form).replace("FFF", fraction)

    return write


def _offset(stamp: int) -> str:
    hours = stamp % 25 - 12
    local = EPOCH + timedelta(seconds=stamp // SECOND, hours=hours)
    return f"{local:%Y-%m-%dT%H:%M:%S}.{stamp % SECOND:09d}{hours:+03d}:00"


def _short(stamp: int) -> str:
    """Write as few digits of the fraction as it needs, as exporters do."""
    fraction = f"{stamp % SECOND:09d}".rstrip("0")
    return f"{EPOCH + timedelta(seconds=stamp // SECOND):%Y-%m-%d %H:%M:%S}" + (f".{fraction}" if fraction else "")


# How a stamp is written, and the smallest step that the form can state.
FORMS: dict[str, tuple[Callable[[int], str], int]] = {
    "epoch s": (lambda stamp: str(stamp // SECOND), SECOND),
    "epoch s with fraction": (lambda stamp: f"{stamp // SECOND}.{stamp % SECOND:09d}", 1),
    "epoch ms": (lambda stamp: str(stamp // 10**6), 10**6),
    "epoch us": (lambda stamp: str(stamp // 10**3), 10**3),
    "epoch ns": (str, 1),
    "iso ns": (_calendar("%Y-%m-%dT%H:%M:%S.FFF", 9), 1),
    "iso mixed": (_short, 1),
    "iso offset": (_offset, 1),
    "compact ms": (_calendar("%Y%m%d %H%M%SFFF", 3), 10**6),
    "compact s": (_calendar("%Y%m%d%H%M%S", 0), SECOND),
    "day first": (_calendar("%d.%m.%Y %H:%M:%S.FFF", 3), 10**6),
    "month first": (_calendar("%m/%d/%Y %I:%M:%S %p", 0), SECOND),
    "year slashes": (_calendar("%Y/%m/%d,%H:%M:%S.FFF", 6), 10**3),
}
ORDERS: dict[str, Literal["dmy", "mdy"]] = {"day first": "dmy", "month first": "mdy"}

# From 2001-09-09, the first second of ten digits, to 2099: compact dates begin with 19 or 20.
STAMPS = st.integers(10**18, 4_102_444_800 * SECOND - 1)
PRICES = st.floats(1e-9, 1e12, allow_nan=False)
VOLUMES = st.floats(0, 1e12, allow_nan=False)
TICKS = st.lists(st.tuples(STAMPS, PRICES, VOLUMES), min_size=1, max_size=12)


@settings(max_examples=150)
@given(
    ticks=TICKS,
    form=st.sampled_from(sorted(FORMS)),
    delimiter=st.sampled_from(",;\t|"),
    newline=st.sampled_from(["\n", "\r\n"]),
    header=st.booleans(),
)
def test_ticks_survive_the_round_trip(
    ticks: list[tuple[int, float, float]], form: str, delimiter: str, newline: str, header: bool
) -> None:
    write, step = FORMS[form]
    ticks = [(stamp // step * step, price, volume) for stamp, price, volume in ticks]
    rows = [[write(stamp), repr(price), repr(volume)] for stamp, price, volume in ticks]
    lines = [["timestamp", "price", "volume"], *rows] if header else rows
    quote = '"' if delimiter == "," and "slashes" in form else ""
    text = newline.join(delimiter.join([f"{quote}{line[0]}{quote}", *line[1:]]) for line in lines)
    columns: dict[str, str | int] = {"timestamp": 0, "price": 1, "volume": 2}
    hints = SourceHints(
        timezone="UTC",
        date_order=ORDERS.get(form),
        columns=columns,
        header=header,
        delimiter=delimiter,
    )
    with TemporaryDirectory() as folder:
        path = Path(folder) / "X.csv"
        path.write_bytes(text.encode())
        found = read_source(path, hints).frame
    expected = sorted(ticks, key=lambda tick: tick[0])
    assert found["timestamp"].cast(pl.Int64).to_list() == [tick[0] for tick in expected]
    assert sorted(found["price"].to_list()) == sorted(tick[1] for tick in ticks)
    assert sorted(found["volume"].to_list()) == sorted(tick[2] for tick in ticks)


CELLS = st.text(alphabet=string.printable.replace("\n", "").replace("\r", "") + "é\u0660", max_size=6)
HEADS = {
    "trades": ["timestamp", "price", "volume", "side", "trade_id"],
    "quotes": ["timestamp", "bid", "ask", "bid_size", "ask_size"],
    "candles": ["timestamp", "open", "high", "low", "close", "volume"],
    "wide": ["timestamp", "A:bid", "A:ask", "B:bid", "B:ask"],
}


@settings(max_examples=200)
@given(data=st.data(), head=st.sampled_from(sorted(HEADS)), count=st.integers(1, 25))
def test_damage_never_loses_a_row(data: st.DataObject, head: str, count: int) -> None:
    names = HEADS[head]
    rows = [[str(1_600_000_000 + i), *("5" for _ in names[1:-1]), str(5 + i)] for i in range(count)]
    for _ in range(data.draw(st.integers(0, 8))):
        row = rows[data.draw(st.integers(0, count - 1))]
        row[data.draw(st.integers(0, len(names) - 1))] = data.draw(CELLS)
    lines = [",".join(row) for row in rows]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "X.csv"
        path.write_text("\n".join([",".join(names), *lines]), newline="")
        try:
            found = read_source(path, SourceHints(timezone="UTC", delimiter=",", header=True))
        except DataError as error:
            assert "\n" not in str(error)  # noqa: PT017
            return
    assert found.rows_in == found.frame.height + found.rejected.height
    if head != "wide":
        assert found.rows_in == sum(1 for line in lines if line.strip())
    written = dict(enumerate(lines, 2))
    for line, reason, raw in found.rejected.select("line", "reason", "raw").iter_rows():
        assert raw == written[line]
        assert reason
    assert found.frame["timestamp"].is_sorted()
    required = [name for name in (*TICK_SCHEMA, *CANDLE_SCHEMA) if name in found.frame.columns]
    assert found.frame.select(set(required)).null_count().sum_horizontal().item() == 0
