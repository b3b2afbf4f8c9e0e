"""The compilation cache never stops a program, never gives old code, and never gives damaged code.

Each test runs real processes over a small package `kernels` that holds our own `compilation` and `code_cache`.
"""

import ast
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import numpy as np
from kernels.caller import caller
from kernels.compilation import CACHE_FOLDER, CACHE_PROBLEM
print(caller(np.arange(4.0)), caller(np.arange(4)), sum(caller.stats.cache_hits.values()), CACHE_FOLDER, CACHE_PROBLEM)
"""
OPENED = "from kernels.compilation import *; print(0, 0, 0, CACHE_FOLDER, CACHE_PROBLEM)"
# An interpreter in root's own home is out of reach for others: load it first, let go of root then.
AS_NOBODY = f"""
import os, numba, numpy
numba.njit(lambda x: x.sum())(numpy.arange(4.0))
os.setgroups([]), os.setgid(65534), os.setuid(65534)
{PROGRAM}"""
HELPER = """
from kernels.compilation import kernel

@kernel
def helper(x):
    return x * 2
"""
CALLER = """
from kernels.compilation import kernel
from kernels.helper import helper

@kernel
def caller(x):
    return helper(x.sum()) + 1
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder with the small package; its cache, `.cache` beside it, is empty."""
    return write_package(tmp_path)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_package(tmp_path_factory.mktemp("compiled"))
    assert run(folder)[:3] == ["13.0", "13", "0"]
    return folder


@pytest.fixture
def warm(compiled: Path, tmp_path: Path) -> Path:
    """The same with a cache that holds all four forms."""
    return Path(shutil.copytree(compiled, tmp_path / "warm"))


def write_package(folder: Path) -> Path:
    (folder / "kernels").mkdir()
    for name in ("compilation.py", "code_cache.py"):
        shutil.copy(ROOT / "kernels" / name, folder / "kernels")
    for name, text in (("__init__", ""), ("helper", HELPER), ("caller", CALLER)):
        (folder / "kernels" / f"{name}.py").write_text(text)
    return folder


def start(folder: Path, program: str = PROGRAM, **environment: str) -> subprocess.Popen[str]:
    unset = ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "NUMBA_DISABLE_JIT", "NUMBA_BOUNDSCHECK", "PYTHONPATH")
    clean = {name: value for name, value in os.environ.items() if name not in unset}
    clean |= {"HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1"} | environment
    return subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=folder, env=clean, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> list[str]:
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    return out.split(maxsplit=4)


def run(folder: Path, program: str = PROGRAM, **environment: str) -> list[str]:
    """What the program printed: two results, hits in the cache, its folder, its problem."""
    return finish(start(folder, program, **environment))


def files(package: Path) -> list[Path]:
    return sorted((package / ".cache").rglob("*.nbc"))


def test_the_cache_is_private_named_after_the_sources_and_used(warm: Path) -> None:
    *results, hits, name = run(warm)[:4]
    assert (results, hits) == (["13.0", "13"], "2")
    folder = Path(name)
    assert folder.parent == warm / ".cache" / "stockbot-hp"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in files(warm)] == [0o600] * 4


def test_a_helper_edited_in_another_module_counts_at_once(warm: Path) -> None:
    (warm / "kernels" / "helper.py").write_text(HELPER.replace("x * 2", "x * 3"))
    assert run(warm)[:3] == ["19.0", "19", "0"]


def test_helpers_of_kernels_outside_the_package_count_too(package: Path) -> None:
    (package / "mine.py").write_text(CALLER.replace("kernels.helper", "yours"))
    program = PROGRAM.replace("kernels.caller", "mine")
    for factor, expected in ((2, ["13.0", "13", "0"]), (2, ["13.0", "13", "2"]), (3, ["19.0", "19", "0"])):
        (package / "yours.py").write_text(HELPER.replace("x * 2", f"x * FACTOR\nFACTOR = {factor}"))
        assert run(package, program)[:3] == expected


def empty(content: bytes) -> bytes:
    return b""


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def random_bytes(content: bytes) -> bytes:
    return bytes(range(251)) * 40


def one_bit_flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize("damage", [empty, truncated, random_bytes, one_bit_flipped])
def test_damaged_files_are_compiled_anew_and_replaced(warm: Path, damage: object) -> None:
    for path in files(warm):
        path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    assert run(warm)[:3] == ["13.0", "13", "0"]
    for content in (path.read_bytes() for path in files(warm)):
        assert hashlib.sha256(content[32:]).digest() == content[:32]


def test_two_processes_that_compile_at_once_leave_a_whole_cache(package: Path) -> None:
    other_way = PROGRAM.replace("print(", "caller(np.arange(4)); print(")  # the signatures in another order
    for done in [start(package), start(package, other_way)]:
        assert finish(done)[:2] == ["13.0", "13"]
    assert run(package)[:3] == ["13.0", "13", "2"]
    assert {path.suffix for path in (package / ".cache").rglob("*") if path.is_file()} == {".nbc"}


def test_an_unusable_cache_only_costs_time(package: Path) -> None:
    file = package / "file"
    file.write_text("not a folder")
    *results, _, folder, problem = run(package, HOME=str(file))
    assert (results, folder) == (["13.0", "13"], "None")
    assert "every process compiles anew" in problem
    assert str(file) in problem
    assert run(package, OPENED, NUMBA_CACHE_DIR=str(file))[3] == "None"


def test_a_folder_that_is_removed_under_way_is_made_again(package: Path) -> None:
    removed = "import shutil, kernels.compilation as c; shutil.rmtree(c.CACHE_FOLDER)" + PROGRAM
    folder = Path(run(package, removed)[3])
    assert len(files(package)) == 4
    assert folder.stat().st_mode & 0o777 == 0o700


def test_the_users_own_place_is_respected(package: Path) -> None:
    folder = Path(run(package, NUMBA_CACHE_DIR=str(package / "own"))[3])
    assert folder.parent == package / "own" / "stockbot-hp"
    assert len(list(folder.glob("*.nbc"))) == 4
    assert files(package) == []


def test_code_with_bounds_checks_is_kept_apart(warm: Path) -> None:
    assert run(warm, OPENED, NUMBA_BOUNDSCHECK="1")[3] != str(files(warm)[0].parent)


def test_folders_of_older_sources_are_swept(package: Path) -> None:
    caches = package / ".cache" / "stockbot-hp"
    for age in range(6):
        stale = caches / f"kernels-{age:016x}"
        stale.mkdir(parents=True)
        os.utime(stale, (1e9 - age, 1e9 - age))
    (caches / "kernels-notes").mkdir()
    own = Path(run(package, OPENED)[3])
    kept = {f"kernels-{age:016x}" for age in range(3)}
    assert {path.name for path in caches.iterdir()} == {own.name, "kernels-notes"} | kept


def test_clearing_removes_our_folders_and_nothing_else(warm: Path) -> None:
    (warm / ".cache" / "stockbot-hp" / "notes").mkdir()
    finish(start(warm, "from kernels.compilation import clear_cache; assert len(clear_cache()) == 1"))
    assert [path.name for path in (warm / ".cache" / "stockbot-hp").iterdir()] == ["notes"]


as_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root, to run as another user"
)


@pytest.fixture
def public(compiled: Path) -> Iterator[Path]:
    """The compiled package where everyone can read it and root alone can write, as an administrator installs it."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(shutil.copytree(compiled, name, dirs_exist_ok=True))


@as_root
def test_a_read_only_install_without_a_home_runs(public: Path) -> None:
    public.chmod(0o755)
    *results, _, folder, problem = run(public, AS_NOBODY, HOME="/nonexistent")
    assert (results, folder) == (["13.0", "13"], "None")
    assert "every process compiles anew" in problem


@as_root
def test_a_warmed_cache_that_cannot_be_written_is_read(public: Path) -> None:
    folder = files(public)[0].parent
    for path in [public, folder, *folder.iterdir()]:
        path.chmod(0o755)
    *results, hits, shown, problem = run(public, AS_NOBODY)
    assert (results, hits, shown) == (["13.0", "13"], "2", str(folder))
    assert "cannot be written" in problem


@as_root
def test_code_that_somebody_else_may_have_written_is_not_run(public: Path) -> None:
    folder = files(public)[0].parent
    folder.chmod(0o777)
    run(public, OPENED)
    assert folder.stat().st_mode & 0o777 == 0o700
    os.chown(folder, 65534, 65534)
    *_, shown, problem = run(public, OPENED)
    assert (shown, problem.strip()) == (
        "None", f"no cache, every process compiles anew: {folder} belongs to another user"
    )  # fmt: skip


def words(path: Path) -> set[str]:
    """Names, attributes, keywords and imported names of a source file."""
    tree = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    found = {node.id for node in tree if isinstance(node, ast.Name)}
    found |= {node.attr for node in tree if isinstance(node, ast.Attribute)}
    found |= {str(node.arg) for node in tree if isinstance(node, ast.keyword)}
    return found | {node.name for node in tree if isinstance(node, ast.alias)}


def test_jit_options_stand_in_one_place_and_none_changes_results() -> None:
    used = {
        path.name: words(path) for name in ("kernels", "pipelines", "stockbot") for path in (ROOT / name).rglob("*.py")
    }
    assert [name for name, found in used.items() if found & {"fastmath", "parallel", "prange"}] == []
    assert [name for name, found in used.items() if found & {"jit", "njit", "vectorize", "guvectorize"}] == [
        "compilation.py"
    ]
