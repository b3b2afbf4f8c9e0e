"""Imports go one way, stockbot → pipelines → kernels, and the lower layers stay quiet."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FORBIDDEN_CALLS = {"print", "input"}
FORBIDDEN_MODULES = {"logging", "random"}


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module


@pytest.mark.parametrize(("package", "above"), [("kernels", {"pipelines", "stockbot"}), ("pipelines", {"stockbot"})])
def test_no_layer_imports_one_above(package: str, above: set[str]) -> None:
    wrong = [(path.name, name) for path in sources(package) for name in imported(path) if name.split(".")[0] in above]
    assert wrong == []


@pytest.mark.parametrize("package", ["kernels", "pipelines", "stockbot"])
def test_nothing_imports_the_tests(package: str) -> None:
    roots = {name.split(".")[0] for path in sources(package) for name in imported(path)}
    assert not roots & {"tests", "benchmarks"}


def test_kernels_need_numpy_and_numba_alone() -> None:
    import sys

    foreign = {name.split(".")[0] for path in sources("kernels") for name in imported(path)}
    assert foreign - set(sys.stdlib_module_names) == {"numpy", "numba", "llvmlite", "kernels"}


def test_tensorflow_is_met_in_the_dataset_alone_below_the_application() -> None:
    users = {
        path.name
        for path in sources("pipelines")
        if {name.split(".")[0] for name in imported(path)} & {"tensorflow", "keras"}
    }
    assert users == {"dataset.py"}


@pytest.mark.parametrize("package", ["kernels", "pipelines"])
def test_lower_layers_do_not_print_log_or_read_the_clock(package: str) -> None:
    wrong = []
    for path in sources(package):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        wrong += [(path.name, name) for name in imported(path) if name.split(".")[0] in FORBIDDEN_MODULES]
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called in FORBIDDEN_CALLS or called.endswith((".now", ".today", "time.time", "time.perf_counter")):
                    wrong.append((path.name, called))
    assert wrong == []


def test_the_environment_is_read_where_it_is_stated() -> None:
    readers = {
        str(path.relative_to(ROOT))
        for package in ("kernels", "pipelines")
        for path in sources(package)
        if "os.environ" in path.read_text(encoding="utf-8")
    }
    assert readers == {"kernels/compilation.py"}  # the folder of the compilation cache
