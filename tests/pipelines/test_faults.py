"""What may happen while a store is built: operations that fail, power that goes, kills, full disks, a second writer."""

import builtins
import contextlib
import dataclasses
import errno
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from pipelines import files
from pipelines.archive import build_archive
from pipelines.errors import DataError
from pipelines.request import Request
from pipelines.store import FeatureStore
from tests.pipelines.test_archive import SMALL, content, csv, parquet, request, small, ticks

__all__ = ["small"]
ROOT = Path(__file__).resolve().parents[2]
of_every_kind = pytest.mark.parametrize("mode", ["all", "input", "none"])


class CrashError(BaseException):
    """The machine stopped."""


class Faults:
    """Counts the operations that change files, and lets the n-th fail: alone, or as the last one ever.

    A write fails when half of it is done. What comes after a crash does nothing.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int, *, crash: bool) -> None:
        self.count, self.at, self.crash = 0, at, crash
        sync, opened = os.fsync, builtins.open
        monkeypatch.setattr(os, "fsync", lambda descriptor: self._do("fsync", sync, descriptor))
        monkeypatch.setattr(files, "open", lambda *args: _Opened(self, opened(*args)), raising=False)
        for name in ("replace", "rename", "mkdir", "unlink"):
            monkeypatch.setattr(Path, name, self._method(getattr(Path, name)))

    def _method(self, real: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **more: self._do(real.__name__, real, *args, **more)

    def _do(self, name: str, real: Callable[..., Any], *args: Any, **more: Any) -> Any:
        self.step(name)
        return real(*args, **more)

    def step(self, name: str) -> None:
        """Count an operation, and fail if it is its turn."""
        self.count += 1
        if self.crash and self.count > self.at:
            raise OSError(errno.EIO, "after the crash")
        if self.count == self.at:
            if self.crash:
                raise CrashError(name)
            raise OSError(*((errno.ENOSPC, "No space left on device"), (errno.EIO, "Input/output error"))[self.at % 2])


class _Opened:
    """A file whose writes are counted."""

    def __init__(self, faults: Faults, file: Any) -> None:
        self._faults, self._file = faults, file

    def __enter__(self) -> "_Opened":
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, data: bytes) -> int:
        try:
            self._faults.step("write")
        except BaseException:
            self._file.write(data[: len(data) // 2])
            self._file.flush()
            raise
        return int(self._file.write(data))


def outcomes(asked: Request, *, crash: bool, before: Path | None) -> Iterator[int]:
    """Build with the n-th operation failing, for every n, each time into a fresh copy of `before`; then yield n."""
    out = Path(str(asked.out))
    for at in range(1, 2_000):
        shutil.rmtree(out, ignore_errors=True)
        shutil.rmtree(out.with_name(f".{out.name}.building"), ignore_errors=True)
        if before is not None:
            shutil.copytree(before, out)
        with pytest.MonkeyPatch.context() as monkeypatch:
            faults = Faults(monkeypatch, at, crash=crash)
            with contextlib.suppress(DataError, CrashError, OSError):
                build_archive(asked)
        if faults.count < at:
            assert at > 30
            return
        yield at


@pytest.fixture
def mode() -> str:
    return "all"


@pytest.fixture
def archive(tmp_path: Path, small: None, mode: str) -> Path:
    """Two files that are good, and in turn bad rows in a file of their own, or among the good where these are read."""
    frame, folder = ticks(1_000), tmp_path / "ticks"
    parquet(folder / "0" / "AAA.parquet", frame[:600])
    if mode == "none":
        bad = pl.int_range(len(frame)) % 3 == 2
        later = frame.with_columns(price=pl.when(bad).then(-1.0).otherwise("price"))[600:]
        parquet(folder / "2" / "AAA.parquet", later)
    else:
        csv(folder / "1" / "AAA.csv", frame[600:].with_columns(volume=-1.0))
        csv(folder / "2" / "AAA.csv", frame[600:])
    return folder


@pytest.fixture
def unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    """No power goes here that a sync would have to outlast: it is counted, and fails, without waiting for the disk."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.mark.usefixtures("unsynced")
@of_every_kind
@pytest.mark.parametrize("crash", [False, True], ids=["fails", "is the last"])
def test_whichever_operation_fails_the_next_try_gives_the_same_bytes(
    tmp_path: Path, archive: Path, mode: str, crash: bool
) -> None:
    build_archive(request(archive, tmp_path / "clean", materialize=mode))
    clean = content(tmp_path / "clean")
    out = tmp_path / "there" / "store"
    asked = request(archive, out, materialize=mode)
    for at in outcomes(asked, crash=crash, before=None):
        if (out / "manifest.json").exists():
            assert content(out) == clean, at
        build_archive(asked)
        assert content(out) == clean, at
        assert [path.name for path in out.parent.iterdir()] == ["store"], at


@pytest.mark.usefixtures("unsynced")
@of_every_kind
@pytest.mark.parametrize("crash", [False, True], ids=["fails", "is the last"])
def test_whichever_operation_of_an_update_fails_readers_see_the_old_store_or_the_new(
    tmp_path: Path, archive: Path, mode: str, crash: bool
) -> None:
    """The update takes back a partition, so that files of the old store make room for new ones."""
    old = build_archive(request(archive, tmp_path / "before", materialize=mode)).store
    parquet(archive / "3" / "AAA.parquet", ticks(1_300)[900:].with_columns(pl.col("price") + 0.5))
    clean = build_archive(request(archive, tmp_path / "clean", materialize=mode)).store
    rows = {store.snapshot: store.read("AAA") for store in (old, clean)}
    out = tmp_path / "there" / "store"
    asked = request(archive, out, materialize=mode)
    for at in outcomes(asked, crash=crash, before=tmp_path / "before"):
        store = FeatureStore.open(out)
        assert store.read("AAA").equals(rows[store.snapshot], null_equal=True), at
        assert store.saved_state("AAA"), at
        new = build_archive(asked).store
        assert new.snapshot == clean.snapshot, at
        assert new.verify() == [], at


def child(ready: Connection, folder: Path, out: Path, mode: str) -> None:
    """Build in a process of its own, which says when it begins."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        for (module, name), value in SMALL.items():
            monkeypatch.setattr(module, name, value)
        asked = request(folder, out, materialize=mode)  # loads what is compiled
        ready.send("begin")
        build_archive(asked)
        ready.send("done")


@of_every_kind
def test_kills_at_any_moment_leave_what_the_next_try_goes_on_from(tmp_path: Path, small: None, mode: str) -> None:
    """Ten of each kind of store: thirty in all."""
    frame = ticks(7_000, step_ns=40 * 10**9)
    for symbol in ("AAA", "BBB"):
        priced = frame.with_columns(volume=float(ord(symbol[0])))
        if mode == "none":
            parquet(tmp_path / "ticks" / f"{symbol}.parquet", priced)
        else:
            csv(tmp_path / "ticks" / f"{symbol}.csv", priced)
    if mode != "none":
        csv(tmp_path / "ticks" / "C.csv", frame.sample(2_000, seed=1))
    asked = request(tmp_path / "ticks", tmp_path / "clean", materialize=mode)
    build_archive(asked)
    started = time.perf_counter()
    build_archive(dataclasses.replace(asked, replace=True))
    seconds = time.perf_counter() - started
    clean, out = content(tmp_path / "clean"), tmp_path / "there" / "store"
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([__name__, "tests.pipelines.test_archive"])
    random, kills, unfinished = np.random.default_rng(5), 0, 0
    while kills < 10:
        mine, theirs = processes.Pipe()
        process = processes.Process(target=child, args=(theirs, tmp_path / "ticks", out, mode))
        process.start()
        assert mine.recv() == "begin"
        if not mine.poll(random.uniform(0, 2 * seconds)):
            os.kill(process.pid or 0, signal.SIGKILL)
            kills += 1
        process.join()
        if (out / "manifest.json").exists():
            assert content(out) == clean
            shutil.rmtree(out)
        else:
            unfinished += (out.parent / ".store.building" / "_journal").exists()
    assert unfinished > 1
    build_archive(dataclasses.replace(asked, out=out))
    assert content(out) == clean
    assert [path.name for path in out.parent.iterdir()] == ["store"]


def test_a_limit_on_the_size_of_files_is_told_and_the_next_try_goes_on(tmp_path: Path, archive: Path) -> None:
    out = tmp_path / "store"
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, limit[1]))
        with pytest.raises(DataError, match="cannot be written: File too large; free some space"):
            build_archive(request(archive, out))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, previous)
    assert not out.exists()
    build_archive(request(archive, out))
    build_archive(request(archive, tmp_path / "clean"))
    assert content(out) == content(tmp_path / "clean")


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs the right to mount a file system: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_told_and_more_room_is_all_it_takes(tmp_path: Path, archive: Path, tiny_disk: Path) -> None:
    out = tiny_disk / "store"
    with pytest.raises(DataError, match="cannot be written: No space left on device; free some space"):
        build_archive(request(archive, out))
    assert not out.exists()
    subprocess.run(["mount", "-o", "remount,size=4m", str(tiny_disk)], check=True)
    build_archive(request(archive, out))
    build_archive(request(archive, tmp_path / "clean"))
    assert content(out) == content(tmp_path / "clean")


HOLD = """
import sys
from pathlib import Path
from pipelines.files import sole_writer
with sole_writer(Path(sys.argv[1]), "building"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_writer_is_told_who_is_at_work(tmp_path: Path, archive: Path) -> None:
    out = tmp_path / "store"
    command = [sys.executable, "-c", HOLD, str(out)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        words = rf"another process is building it \(process {holder.pid} on \S+ since \d{{4}}-.* UTC\); try again when"
        with pytest.raises(DataError, match=words):
            build_archive(request(archive, out))
        holder.kill()
    build_archive(request(archive, out))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store", "ticks"]
