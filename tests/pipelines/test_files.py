"""What becomes visible is whole, and what was there is never lost."""

import os
from pathlib import Path

import pytest

from pipelines.errors import DataError
from pipelines.files import canonical_json, make_folder, make_staging, publish_folder, read_json, write_atomic


def folder_with(path: Path, text: str) -> Path:
    path.mkdir()
    (path / "file").write_text(text)
    return path


def test_a_failed_write_keeps_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_atomic(tmp_path / "file", b"old")

    def fail(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output error"):
        write_atomic(tmp_path / "file", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_what_is_published_was_synced_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    staging = make_staging(tmp_path / "new")
    (staging / "file").write_text("x")
    synced: list[str] = []
    real = os.fsync

    def record(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", record)
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


def test_a_failed_replacement_puts_the_old_folder_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, staging = folder_with(tmp_path / "target", "old"), folder_with(tmp_path / "staging", "new")
    real = Path.rename

    def fail_for_staging(self: Path, to: Path) -> Path:
        if self == staging:
            raise OSError(28, "No space left on device")
        return real(self, to)

    monkeypatch.setattr(Path, "rename", fail_for_staging)
    with pytest.raises(OSError, match="No space left"):
        publish_folder(staging, target, replace=True)
    assert (target / "file").read_text() == "old"
    assert (staging / "file").read_text() == "new"


def test_each_new_folder_is_synced_into_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr("pipelines.files.fsync_folder", lambda folder: synced.append(str(folder.relative_to(tmp_path))))
    make_folder(tmp_path / "a" / "b")
    assert synced == [".", "a"]


def test_stagings_of_two_writers_are_apart(tmp_path: Path) -> None:
    assert make_staging(tmp_path / "store") != make_staging(tmp_path / "store")


def test_json_has_one_form_and_refuses_what_is_none(tmp_path: Path) -> None:
    assert canonical_json({"b": 1, "a": [1.5, None]}) == b'{"a":[1.5,null],"b":1}\n'
    with pytest.raises(ValueError, match="Out of range float"):
        canonical_json({"a": float("nan")})
    (tmp_path / "bad.json").write_text('{\n  "a": 1,\n')
    with pytest.raises(DataError, match=r"bad\.json: not valid JSON at line 3"):
        read_json(tmp_path / "bad.json")
    with pytest.raises(DataError, match=r"none\.json: no such file"):
        read_json(tmp_path / "none.json")
