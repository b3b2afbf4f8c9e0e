"""The doctor reports without changing anything, and works where TensorFlow is absent."""

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from stockbot.cli.doctor import command
from stockbot.doctor import BASE, examine


def test_it_names_versions_threads_cache_disk_and_devices(tmp_path: Path) -> None:
    report = examine(tmp_path / "not" / "yet" / "there")
    assert all(report["versions"][name] for name in BASE)
    assert report["cores"] >= 1
    assert {"polars", "numba"} <= set(report["threads"])
    assert set(report["numba_cache"]) == {"folder", "writable"}
    assert set(report["gpu"]) == {"devices", "nvidia_smi"}
    assert report["disk_free_gb"] > 0
    assert report["problems"] == []
    assert list(tmp_path.iterdir()) == []


def test_threads_set_by_the_user_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert examine(tmp_path)["threads"]["OMP_NUM_THREADS"] == "3"


def test_it_does_not_import_tensorflow_and_says_so_when_it_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    assert "tensorflow" not in examine(tmp_path)["gpu"]
    assert examine(tmp_path, gpu=True)["gpu"]["tensorflow"].startswith("not importable")


def test_a_driver_is_reported_by_its_own_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU 0: Model X'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert examine(tmp_path)["gpu"]["nvidia_smi"] == ["GPU 0: Model X"]


def test_a_file_where_the_folder_should_be_is_no_crash(tmp_path: Path) -> None:
    (tmp_path / "artifacts").write_text("")
    assert examine(tmp_path / "artifacts")["folder_writable"] in (True, False)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder that nobody can write")
def test_a_folder_that_cannot_be_written_is_a_problem() -> None:
    report = examine(Path("/proc"))
    assert not report["folder_writable"]
    result = CliRunner().invoke(command, ["--artifacts", "/proc", "--json"])
    assert result.exit_code == 1
    assert "/proc: not writable; give another --artifacts" in json.loads(result.output)["problems"]


def test_the_command_prints_one_json_object(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, ["--artifacts", str(tmp_path), "--json"])
    assert result.exit_code == 0
    assert json.loads(result.output.splitlines()[-1])["problems"] == []
    plain = CliRunner().invoke(command, ["--artifacts", str(tmp_path)])
    assert "problems         none" in plain.output
