"""What becomes visible is whole, and what was there is never lost."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.errors import DataError
from pipelines.files import (
    HashedFile,
    canonical_json,
    lines_json,
    make_folder,
    publish_folder,
    read_json,
    sha256_bytes,
    staging_beside,
    write_atomic,
)

ROOT = Path(__file__).resolve().parents[2]


def folder_with(path: Path, text: str) -> Path:
    path.mkdir()
    (path / "file").write_text(text)
    return path


def test_a_failed_write_keeps_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_atomic(tmp_path / "file", b"old")

    def fail(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(DataError, match=r"file: cannot be written: Input/output error; free some space"):
        write_atomic(tmp_path / "file", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_what_is_published_was_synced_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    real = os.fsync

    def record(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    with staging_beside(tmp_path / "new") as staging:
        (staging / "file").write_text("x")
        publish_folder(staging, tmp_path / "new")
    assert synced == [str(staging / "file"), str(staging), str(tmp_path)]


def test_publishing_refuses_what_is_there_unless_told(tmp_path: Path) -> None:
    target = folder_with(tmp_path / "target", "old")
    with pytest.raises(DataError, match="already exists; give another folder or --overwrite"):
        publish_folder(folder_with(tmp_path / "one", "new"), target)
    assert (target / "file").read_text() == "old"
    publish_folder(tmp_path / "one", target, replace=True)
    assert (target / "file").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_an_empty_folder_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    publish_folder(folder_with(tmp_path / "one", "new"), tmp_path / "target")
    assert (tmp_path / "target" / "file").read_text() == "new"


def test_a_replacement_is_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two renames a killed process would leave nothing under the name."""
    target, staging = folder_with(tmp_path / "target", "old"), folder_with(tmp_path / "staging", "new")
    renamed: list[Path] = []
    monkeypatch.setattr(Path, "rename", lambda self, to: renamed.append(self))
    publish_folder(staging, target, replace=True)
    assert (target / "file").read_text() == "new"
    assert renamed == []
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_where_the_system_cannot_exchange_two_renames_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "plan9")
    target, staging = folder_with(tmp_path / "target", "old"), folder_with(tmp_path / "staging", "new")
    folder_with(tmp_path / ".old-0123abcd-target", "left by a kill")
    publish_folder(staging, target, replace=True)
    assert (target / "file").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_a_failed_replacement_puts_the_old_folder_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "plan9")
    target, staging = folder_with(tmp_path / "target", "old"), folder_with(tmp_path / "staging", "new")
    real = Path.rename

    def fail_for_staging(self: Path, to: Path) -> Path:
        if self == staging:
            raise OSError(28, "No space left on device")
        return real(self, to)

    monkeypatch.setattr(Path, "rename", fail_for_staging)
    with pytest.raises(DataError, match=r"target: cannot be written: No space left on device; free some space"):
        publish_folder(staging, target, replace=True)
    assert (target / "file").read_text() == "old"
    assert (staging / "file").read_text() == "new"


def test_each_new_folder_is_synced_into_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr("pipelines.files.fsync_folder", lambda folder: synced.append(str(folder.relative_to(tmp_path))))
    make_folder(tmp_path / "a" / "b")
    assert synced == [".", "a"]


HOLD = """
import sys
from pathlib import Path
from pipelines.files import staging_beside
with staging_beside(Path(sys.argv[1])) as staging:
    (staging / "half").write_text("x")
    print(staging.name, flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_writer_left_goes_and_what_a_living_one_holds_stays(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path / "store")]
    writers = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    killed, living = [writer.stdout.readline().strip() for writer in writers if writer.stdout]
    writers[0].send_signal(signal.SIGKILL)
    writers[0].communicate()
    (tmp_path / ".tmp-mine").write_text("not ours")
    before = {path.name for path in tmp_path.iterdir()}
    assert {killed, f"{killed}.lock", living, f"{living}.lock"} < before
    with staging_beside(tmp_path / "store") as staging:
        mine = {staging.name, f"{staging.name}.lock"}
        assert {path.name for path in tmp_path.iterdir()} == before - {killed, f"{killed}.lock"} | mine
    writers[1].communicate()
    assert [path.name for path in tmp_path.iterdir()] == [".tmp-mine"]


def test_json_has_one_form_and_refuses_what_is_none(tmp_path: Path) -> None:
    assert canonical_json({"b": 1, "a": [1.5, None]}) == b'{"a":[1.5,null],"b":1}\n'
    with pytest.raises(ValueError, match="Out of range float"):
        canonical_json({"a": float("nan")})
    (tmp_path / "bad.json").write_text('{\n  "a": 1,\n')
    with pytest.raises(DataError, match=r"bad\.json: not valid JSON at line 3"):
        read_json(tmp_path / "bad.json")
    with pytest.raises(DataError, match=r"none\.json: no such file"):
        read_json(tmp_path / "none.json")


@pytest.mark.parametrize("sizes", [[5], [2_000] * 9, [30_000, 1]])
def test_a_hashed_file_is_as_long_as_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sizes: list[int]
) -> None:
    monkeypatch.setattr("pipelines.files.RESERVED", 8_192)  # what is reserved beyond the end is given back
    data = [bytes([number]) * size for number, size in enumerate(sizes)]
    file = HashedFile(tmp_path)
    for piece in data:
        file.write(piece)
    file.publish("file")
    assert (tmp_path / "file").read_bytes() == b"".join(data)
    assert (file.size, file.sha256) == (sum(sizes), sha256_bytes(b"".join(data)))


def test_a_file_whose_space_cannot_be_reserved_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pipelines.files.RESERVED", 4)
    monkeypatch.setattr(os, "posix_fallocate", refuse, raising=False)
    file = HashedFile(tmp_path)
    file.write(b"more than that")
    file.publish("file")
    assert (tmp_path / "file").read_bytes() == b"more than that"


def test_json_in_lines_is_the_value_with_an_item_a_line() -> None:
    value = {"b": [{"x": 1, "a": [1, 2]}, {}], "a": "é", "c": [], "d": {"e": []}, "f": None}
    text = lines_json(value)
    assert json.loads(text) == value
    assert text.decode("ascii").splitlines() == [
        "{",
        '  "a": "\\u00e9",',
        '  "b": [',
        '    {"a": [1, 2], "x": 1},',
        "    {}",
        "  ],",
        '  "c": [],',
        '  "d": {"e": []},',
        '  "f": null',
        "}",
    ]
    with pytest.raises(ValueError, match="not JSON compliant"):
        lines_json({"a": float("nan")})
