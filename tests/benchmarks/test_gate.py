"""The gate on a real tree in a repository of its own: what is planted there is found, what is not is not."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = ("benchmarks", "kernels", "pipelines", "stockbot")
THIRTY_PERCENT_MORE_WORK = """

_once = rsi_update


@kernel
def rsi_update(state, x, out):
    part = len(x) * 3 // 10
    _once(state.copy(), x[:part], out[:part])
    _once(state, x, out)
"""
DIGITS_LOST = """

_exact = rolling_mean


def rolling_mean(x, window, out=None):
    made = _exact(x, window, out)
    made *= 1 + 1e-14
    return made
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of this tree with one commit."""
    folder = tmp_path / "tree"
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "requirements", folder / "requirements")
    git(folder, "init", "--quiet", "--initial-branch", "main")
    commit(folder)
    return folder


def commit(folder: Path) -> None:
    identity = ("-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false")
    git(folder, "add", "--all")
    git(folder, *identity, "commit", "--quiet", "--message", "a commit")


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def gate(folder: Path, *arguments: str) -> tuple[int, dict[str, dict[str, Any]], str]:
    """Exit code, findings by name, and what was printed."""
    report = folder.parent / "gate.json"
    command = [sys.executable, "-m", "benchmarks.gate", "--json", str(report), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    findings = json.loads(report.read_text())["findings"] if report.is_file() else []
    return done.returncode, {finding["name"]: finding for finding in findings}, done.stdout + done.stderr


def test_a_planted_slowdown_of_thirty_percent_fails(tree: Path) -> None:
    with (tree / "kernels" / "recursive.py").open("a") as source:
        source.write(THIRTY_PERCENT_MORE_WORK)
    changed = git(tree, "status", "--porcelain")
    code, findings, said = gate(tree, "--short", "--cases", "RSI 14")
    assert code == 1, said
    assert [name for name, finding in findings.items() if not finding["passed"]] == ["RSI 14"], said
    assert findings["RSI 14"]["comparison"]["low"] > 1.25
    assert "above the limit twice" in said
    assert git(tree, "status", "--porcelain") == changed  # the gate leaves the tree as it is


def test_an_unchanged_tree_passes_again_and_again(tree: Path) -> None:
    for _ in range(2):
        code, findings, said = gate(tree, "--short", "--base", "HEAD", "--cases", "RSI 14")
        assert code == 0, said
        assert findings["RSI 14"]["comparison"]["low"] < 1.25


def test_a_kernel_that_head_lacks_fails(tree: Path) -> None:
    without(tree, "rsi")
    code, findings, said = gate(tree, "--cases", "RSI 14")
    assert code == 1, said
    assert findings["RSI 14"]["note"].startswith("does not run: AttributeError")


def test_a_kernel_that_the_base_lacks_is_held_to_its_error_budget_alone(tree: Path) -> None:
    exports = without(tree, "rolling_mean")
    commit(tree)
    git(tree, "checkout", "--quiet", "HEAD~1", "--", str(exports))
    with (tree / "kernels" / "rolling.py").open("a") as source:
        source.write(DIGITS_LOST)
    code, findings, said = gate(tree, "--cases", "mean 64")
    assert code == 1, said
    assert findings["mean 64"]["passed"]
    assert findings["mean 64"]["note"].startswith("not in the base: AttributeError")
    errors = [finding for name, finding in findings.items() if name.startswith("error of mean 64")]
    assert [finding["passed"] for finding in errors] == [False, False], said


def test_a_base_that_is_no_commit_is_wrong_usage(tree: Path) -> None:
    code, _, said = gate(tree, "--base", "nowhere")
    assert code == 2
    assert "nowhere" in said
    assert "--base" in said


def without(tree: Path, kernel: str) -> Path:
    """Take a kernel out of the exports, and say where."""
    exports = tree / "kernels" / "__init__.py"
    with exports.open("a") as source:
        source.write(f"\ndel {kernel}\n")
    return exports
