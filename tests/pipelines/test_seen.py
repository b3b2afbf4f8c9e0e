"""Which sources need not be hashed again when a store is brought up to date."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines import seen, survey
from pipelines.archive import build_archive
from pipelines.files import sha256_file
from pipelines.request import Request
from pipelines.store import FeatureStore
from tests.pipelines.test_archive import csv, request, small, ticks

__all__ = ["small"]
pytestmark = pytest.mark.usefixtures("small")


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that were written a moment ago count as old."""
    monkeypatch.setattr(seen, "SETTLED_NS", -(10**12))


@pytest.fixture
def asked(tmp_path: Path) -> Request:
    for seed, symbol in enumerate(("AAA", "BBB")):
        csv(tmp_path / "ticks" / f"{symbol}.csv", ticks(3000, seed, step_ns=60 * 10**9))
    return request(tmp_path / "ticks", tmp_path / "store")


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were read for their hash."""
    names: list[str] = []

    def noted(path: Path, size: int) -> str:
        names.append(path.name)
        return sha256_file(path, size)

    monkeypatch.setattr(survey, "sha256_file", noted)
    return names


@pytest.mark.usefixtures("settled")
def test_only_what_looks_otherwise_is_hashed_again(asked: Request, tmp_path: Path, hashed: list[str]) -> None:
    build_archive(asked)
    assert sorted(hashed) == ["AAA.csv", "BBB.csv"]
    hashed.clear()
    csv(tmp_path / "ticks" / "CCC.csv", ticks(3000, 2, step_ns=60 * 10**9))
    report = build_archive(asked)
    assert hashed == ["CCC.csv"]
    assert [(source["name"], source["sha256"]) for source in report.store.manifest["sources"]] == [
        (name, sha256_file(tmp_path / "ticks" / name)) for name in ("AAA.csv", "BBB.csv", "CCC.csv")
    ]


@pytest.mark.usefixtures("settled")
def test_a_changed_file_is_found_also_where_its_time_was_put_back(
    asked: Request, tmp_path: Path, hashed: list[str]
) -> None:
    build_archive(asked)
    hashed.clear()
    path = tmp_path / "ticks" / "AAA.csv"
    before = path.stat()
    path.write_bytes(path.read_bytes().replace(b",3.0\n", b",4.0\n"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert build_archive(asked).taken > 0
    assert hashed == ["AAA.csv"]


def test_files_that_changed_just_before_are_hashed_again(asked: Request, hashed: list[str]) -> None:
    build_archive(asked)
    build_archive(asked)
    assert sorted(hashed) == ["AAA.csv", "AAA.csv", "BBB.csv", "BBB.csv"]


def test_what_changed_since_just_before_the_build_began_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "ticks.csv"
    path.write_bytes(b"1")
    digests = {path: "a" * 64, tmp_path / "none.csv": "b" * 64}
    seen.write(tmp_path, digests, path.stat().st_ctime_ns + seen.SETTLED_NS)
    assert seen.unchanged(tmp_path, digests) == {}
    seen.write(tmp_path, digests, path.stat().st_ctime_ns + seen.SETTLED_NS + 1)
    assert [(found, sha256) for found, (sha256, _) in seen.unchanged(tmp_path, digests).items()] == [(path, "a" * 64)]
    path.unlink()
    assert seen.unchanged(tmp_path, digests) == {}


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: data.replace(b'"look": [', b'"look": [1')])
def test_a_damaged_list_is_told_and_not_believed(
    asked: Request, tmp_path: Path, hashed: list[str], damage: Callable[[bytes], bytes]
) -> None:
    store = build_archive(asked).store
    assert store.verify() == []
    path = tmp_path / "store" / "_sources.json"
    path.write_bytes(damage(path.read_bytes()))
    assert store.verify() == [f"{path}: its content does not match its own hash; remove it"]
    build_archive(asked)
    assert sorted(hashed) == ["AAA.csv", "AAA.csv", "BBB.csv", "BBB.csv"]
    assert FeatureStore.open(tmp_path / "store").verify() == []
