"""The signal log keeps what it acknowledged, tears nothing, and notices every altered byte."""

import os
import signal as os_signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.errors import DataError
from stockbot.errors import StockbotError, UsageError
from stockbot.live.signals import HEADER, Signal, SignalLog, read_signals, render, scan

MINUTE = 60 * 10**9
FIRST = Signal(
    symbol="BTC USD", bar=1_709_769_600 * 10**9, known_at=1_709_769_660 * 10**9, action="LONG",
    prediction=0.00031415926535, threshold=0.0003, price=38242.6, horizon=5, model="ab" * 32,
    commit="c0ffee" * 6,
)  # fmt: skip


def signals(count: int) -> list[Signal]:
    step = range(count)
    return [replace(FIRST, bar=FIRST.bar + i * MINUTE, known_at=FIRST.known_at + i * MINUTE) for i in step]


def write(path: Path, count: int) -> bytes:
    with SignalLog(path, mode="DRY") as log:
        for item in signals(count):
            assert log.append(item)
    return path.read_bytes()


def test_a_line_reads_back_as_it_was_written(tmp_path: Path) -> None:
    write(tmp_path / "signals.txt", 2)
    frame = read_signals(tmp_path / "signals.txt")
    row = frame.row(1, named=True)
    assert frame["seq"].to_list() == [1, 2]
    assert (row["symbol"], row["action"], row["mode"], row["price"]) == ("BTC USD", "LONG", "DRY", 38242.6)
    assert row["prediction"] == pytest.approx(FIRST.prediction, abs=1e-12)
    assert row["known_at"].isoformat() == "2024-03-07T00:02:00+00:00"
    assert (row["model"], row["commit"]) == ("ab" * 8, "c0ffee" * 2)


def test_the_id_depends_on_model_symbol_bar_end_and_horizon_alone() -> None:
    same = replace(FIRST, prediction=1.0, action="SHORT", price=1.0, threshold=0.5, commit="other")
    assert same.id == FIRST.id
    for change in ({"model": "x"}, {"symbol": "y"}, {"known_at": 1}, {"horizon": 6}, {"ordinal": 1}):
        assert replace(FIRST, **change).id != FIRST.id  # type: ignore[arg-type]


def test_a_signal_is_written_once_however_often_it_is_replayed(tmp_path: Path) -> None:
    path = tmp_path / "signals.txt"
    before = write(path, 3)
    with SignalLog(path, mode="DRY") as log:
        assert [log.append(item) for item in signals(5)] == [False, False, False, True, True]
    assert path.read_bytes().startswith(before)
    assert read_signals(path)["seq"].to_list() == [1, 2, 3, 4, 5]


def test_a_dry_line_does_not_suppress_the_live_one(tmp_path: Path) -> None:
    path = tmp_path / "signals.txt"
    write(path, 1)
    with SignalLog(path, mode="LIVE") as log:
        assert log.append(FIRST)
    assert read_signals(path)["mode"].to_list() == ["DRY", "LIVE"]


def test_every_prefix_recovers_to_its_whole_lines(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.txt", 4)
    width = (len(whole) - len(HEADER)) // 4
    for size in range(len(whole) + 1):
        good, rows = scan(whole[:size], origin="prefix")
        lines = (size - len(HEADER)) // width if size >= len(HEADER) else 0
        assert len(rows) == lines
        assert good == (len(HEADER) + lines * width if size >= len(HEADER) else 0)


@pytest.mark.parametrize("cut", [5, len(HEADER), len(HEADER) + 7, -1, -100])
def test_a_torn_tail_is_cut_kept_and_written_again(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "signals.txt"
    whole = write(path, 3)
    path.write_bytes(whole[:cut])
    with SignalLog(path, mode="DRY") as log:
        for item in signals(3):
            log.append(item)
    assert path.read_bytes() == whole
    torn = tmp_path / "signals.txt.torn"
    assert not torn.exists() or whole[:cut].endswith(torn.read_bytes())


def test_every_flip_of_a_byte_is_detected(tmp_path: Path) -> None:
    path = tmp_path / "signals.txt"
    whole = write(path, 3)
    for offset in range(len(whole)):
        for mask in (0x01, 0x20, 0x80, 0xFF):
            flipped = bytearray(whole)
            flipped[offset] ^= mask
            try:
                good, _ = scan(bytes(flipped), origin="flipped")
            except DataError:
                continue
            assert good < len(whole), (offset, mask)


def test_an_altered_line_is_named_by_reader_and_writer(tmp_path: Path) -> None:
    path = tmp_path / "signals.txt"
    whole = write(path, 3)
    path.write_bytes(whole.replace(b"LONG ", b"SHORT", 1))
    with pytest.raises(DataError, match="line 2: the checksum"):
        read_signals(path)
    with pytest.raises(DataError, match="line 2: the checksum"), SignalLog(path, mode="DRY"):
        pass
    path.write_bytes(whole[:-1])
    with pytest.raises(DataError, match="line 4: torn"):
        read_signals(path)


def test_a_removed_line_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "signals.txt"
    lines = write(path, 3).splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], lines[1], lines[3]]) + render(FIRST, seq=4, mode="DRY"))
    with pytest.raises(DataError, match="line 3: the checksum or sequence number"):
        read_signals(path)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "signals.txt"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="line 1: expected the header"), SignalLog(path, mode="DRY"):
        pass
    with pytest.raises(DataError, match="cannot be read"):
        read_signals(tmp_path / "absent.txt")
    with pytest.raises(UsageError, match="received a folder or device"), SignalLog(tmp_path, mode="DRY"):
        pass
    assert path.read_text() == "a,b\n1,2\n"
    assert not list(tmp_path.parent.glob(f"{tmp_path.name}*.lock"))
    assert [path.name for path in tmp_path.iterdir()] == ["signals.txt"]


def test_a_second_writer_is_refused_and_the_lock_is_released(tmp_path: Path) -> None:
    path = tmp_path / "signals.txt"
    with SignalLog(path, mode="DRY"), pytest.raises(StockbotError, match="another runner"), SignalLog(path, mode="DRY"):
        pass
    with SignalLog(path, mode="DRY"):
        pass


WRITER = textwrap.dedent(
    """
    import sys
    from dataclasses import replace
    from pathlib import Path
    from stockbot.live.signals import Signal, SignalLog
    path, start = Path(sys.argv[1]), 1_709_769_600 * 10**9
    with SignalLog(path, mode="DRY") as log:
        for i in range(100_000):
            item = Signal(symbol="A", bar=start + i, known_at=start + i, action="FLAT", prediction=i * 1e-9,
                          threshold=1.0, price=1.0, horizon=1, model="m", commit="c")
            if log.append(item):
                print(i, flush=True)
    """
)


def test_killed_writers_lose_and_repeat_nothing(tmp_path: Path) -> None:
    path, acknowledged = tmp_path / "signals.txt", []
    for lines_before_kill in (1, 40, 7):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
        )  # fmt: skip
        with writer:
            assert writer.stdout is not None
            acknowledged += [int(writer.stdout.readline()) for _ in range(lines_before_kill)]
            writer.send_signal(os_signal.SIGKILL)
            acknowledged += [int(line) for line in writer.stdout if line.endswith("\n")]
    with SignalLog(path, mode="DRY"):
        pass
    frame = read_signals(path)
    assert len(acknowledged) >= 48
    assert acknowledged == sorted(set(acknowledged))
    assert frame["signal_id"].n_unique() == frame.height
    assert frame["bar"].is_sorted()
    assert frame.height - 3 <= len(acknowledged) <= frame.height
