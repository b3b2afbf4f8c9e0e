"""A place that cannot be written is refused, and asking leaves no trace."""

import sys
from pathlib import Path

import pytest

from stockbot.destination import require_file_place, require_writable_parent
from stockbot.errors import UsageError


def test_new_files_old_files_and_missing_folders_pass_and_nothing_is_made(tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text("old")
    for path in (tmp_path / "old.csv", tmp_path / "new.csv", tmp_path / "a" / "b" / "new.csv"):
        require_file_place(path)
    assert [path.name for path in tmp_path.iterdir()] == ["old.csv"]


def test_a_folder_a_device_and_a_file_above_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="received a folder or device"):
        require_file_place(tmp_path)
    with pytest.raises(UsageError, match="is no folder"):
        require_writable_parent(tmp_path / "file" / "store")


@pytest.mark.skipif(sys.platform != "linux", reason="needs a device and a folder that nobody can write")
def test_what_the_system_keeps_for_itself_is_refused() -> None:
    with pytest.raises(UsageError, match="received a folder or device"):
        require_file_place(Path("/dev/null"))
    with pytest.raises(UsageError, match="/proc cannot be written"):
        require_file_place(Path("/proc/out.csv"))
