"""`verify` rehashes stores and bundles and lists every problem, not the first."""

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pipelines.archive import build_archive
from pipelines.errors import DataError
from stockbot.cli.verify import command
from stockbot.verify import verify
from tests.pipelines.test_archive import days, request
from tests.stockbot.world import World, make_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture
def store(world: World, tmp_path: Path) -> Path:
    return Path(shutil.copytree(world.store.path, tmp_path / "store"))


@pytest.fixture
def bundle(world: World, tmp_path: Path) -> Path:
    return Path(shutil.copytree(world.bundle.path, tmp_path / world.bundle.path.name))


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_whole_folders_have_no_problem(store: Path, bundle: Path) -> None:
    assert (verify(store).kind, verify(store).problems) == ("feature store", [])
    assert (verify(bundle).kind, verify(bundle).problems) == ("bundle", [])
    assert verify(store).files > 4
    assert verify(bundle).files == 4


def test_every_problem_of_a_store_is_listed(store: Path) -> None:
    parts = sorted(store.rglob("*.parquet"))
    flip(parts[0])
    parts[1].unlink()
    (store / "stray.txt").write_text("x")
    problems = verify(store).problems
    assert len(problems) == 3
    for path, what in ((parts[0], "expected SHA-256"), (parts[1], "missing"), (store / "stray.txt", "not named")):
        assert any(str(path) in problem and what in problem for problem in problems)


@pytest.mark.parametrize(
    ("mode", "victim"),
    [
        ("none", "store/_state/*.npz"), ("none", "ticks/1/AAA.parquet"), ("input", "store/_state/*.npz"),
        ("input", "store/input/symbol=AAA/*/*.parquet"), ("none", "store/quality/*"), ("input", "store/config.yaml"),
    ],
)  # fmt: skip
def test_a_flipped_bit_of_a_store_that_computes_its_rows_is_found(tmp_path: Path, mode: str, victim: str) -> None:
    days(tmp_path / "ticks")
    build_archive(request(tmp_path / "ticks", tmp_path / "store", materialize=mode))
    assert verify(tmp_path / "store").problems == []
    path = sorted(tmp_path.glob(victim))[0]
    flip(path)
    (problem,) = verify(tmp_path / "store").problems
    assert problem.startswith(f"{path}: expected SHA-256 ")


def test_a_file_that_cannot_be_read_hides_no_other_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    days(tmp_path / "ticks")
    build_archive(request(tmp_path / "ticks", tmp_path / "store", materialize="none"))
    state = sorted(tmp_path.glob("store/_state/*.npz"))[0]
    source, opened = tmp_path / "ticks" / "1" / "AAA.parquet", Path.open

    def worn(path: Path, *how: Any, **more: Any) -> Any:
        if path in (state, source):
            raise OSError(errno.EIO, "Input/output error")
        return opened(path, *how, **more)

    monkeypatch.setattr(Path, "open", worn)
    (tmp_path / "store" / "stray.txt").write_text("x")
    problems = verify(tmp_path / "store").problems
    told = [f"{path}: cannot be read: Input/output error" for path in (state, source)]
    assert [problem.partition(";")[0] for problem in problems] == [
        *told,
        f"{tmp_path / 'store' / 'stray.txt'}: not named in manifest.json",
    ]


def test_every_problem_of_a_bundle_is_listed(bundle: Path) -> None:
    flip(bundle / "model.onnx")
    (bundle / "scaler.json").unlink()
    (bundle / "stray.txt").write_text("x")
    problems = verify(bundle).problems
    assert [what for problem in problems for what in ("SHA-256", "missing", "not named") if what in problem] == [
        "SHA-256", "missing", "not named",
    ]  # fmt: skip


def test_an_altered_manifest_is_noticed(store: Path, bundle: Path) -> None:
    for folder in (store, bundle):
        manifest = folder / "manifest.json"
        manifest.write_bytes(manifest.read_bytes().replace(b"logret_1", b"logret_2", 1))
        assert verify(folder).problems


def test_a_bundle_under_another_name_is_noticed(bundle: Path, tmp_path: Path) -> None:
    moved = bundle.rename(tmp_path / "renamed")
    assert "begins with renamed" in verify(moved).problems[0]


def test_the_command_exits_with_1_and_prints_each_problem(store: Path) -> None:
    whole = CliRunner().invoke(command, [str(store)])
    assert (whole.exit_code, "problems  0" in whole.output) == (0, True)
    (store / "stray.txt").write_text("x")
    plain = CliRunner().invoke(command, [str(store)])
    assert plain.exit_code == 1
    assert f"{store / 'stray.txt'}: not named in manifest.json" in plain.output
    as_json = CliRunner().invoke(command, [str(store), "--json"])
    assert as_json.exit_code == 1
    assert len(json.loads(as_json.output.splitlines()[-1])["problems"]) == 1


@pytest.mark.parametrize(("content", "message"), [(None, "cannot be read"), ("{", "not valid JSON"), ("{}", "another")])
def test_a_folder_that_is_neither_is_one_line(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(DataError, match=message):
        verify(tmp_path)
