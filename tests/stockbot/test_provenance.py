"""What a manifest says about the code: the commit, whether it was changed, and the libraries."""

import shutil
import subprocess
from pathlib import Path

import pytest

from stockbot.provenance import git_state, library_versions


def test_outside_a_repository_the_commit_is_unknown(tmp_path: Path) -> None:
    assert git_state(tmp_path) == ("unknown", False)


def test_an_image_says_the_commit_it_was_built_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOCKBOT_COMMIT", "0123abc")
    assert git_state(tmp_path) == ("0123abc", False)


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_commit_and_what_differs_from_it(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.strip()

    git("init", "--quiet")
    assert git_state(tmp_path) == ("unknown", False)
    git("commit", "--quiet", "--allow-empty", "--message", "first")
    assert git_state(tmp_path) == (git("rev-parse", "HEAD"), False)
    (tmp_path / "new.txt").write_text("not committed")
    assert git_state(tmp_path) == (git("rev-parse", "HEAD"), True)


def test_versions_name_python_and_every_library_of_training() -> None:
    assert {"python", "numpy", "keras", "tensorflow", "onnx", "onnxruntime", "scikit-learn"} <= set(library_versions())
