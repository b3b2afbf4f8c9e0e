"""The benchmark of builds: its archive, its programs, and that they compute what we do."""

import os
import runpy
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from benchmarks.build import delivered, processes, rounds, values
from benchmarks.build.check import Check
from benchmarks.build.job import Job
from benchmarks.build.processes import BenchError, Usage
from benchmarks.build.programs import BOUND, OURS, PEERS, Program, run_ours, store_of
from benchmarks.build.rounds import Bench, Contender
from benchmarks.build.shapes import KINDS, Shape, folder_of
from pipelines.store import FeatureStore

SMALL = Shape("zstd", 2, 2, 30_000)
MODES = [(peer, bars) for peer in PEERS for bars in (False, True) if peer.has_bars or not bars]


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Check:
    folder = tmp_path_factory.mktemp("builds")
    return Check(Bench(folder, 1).files(SMALL), folder / "check")


@pytest.mark.parametrize(("peer", "bars"), MODES, ids=lambda value: getattr(value, "module", str(value)))
def test_every_program_computes_what_we_do(checked: Check, peer: Program, bars: bool) -> None:
    if peer.absent:
        pytest.skip(f"{', '.join(peer.absent)} not installed: pip install -e '.[bench]'")
    assert 0.0 < checked.worst(peer, bars) <= BOUND


class Forgetful(Program):
    """Polars, without a feature that it should make."""

    def run(self, job: Job) -> Usage:
        usage = super().run(job)
        for file in Path(job.out).glob("*.parquet"):
            pl.read_parquet(file).drop("rsi14").write_parquet(file)
        return usage


def test_a_feature_that_a_program_does_not_make_must_be_named(checked: Check) -> None:
    with pytest.raises(BenchError, match=r"forgetful: .*not made: \['rsi14'\]"):
        checked.worst(Forgetful("forgetful", "polars_lazy", ()), False)
    checked.worst(Forgetful("forgetful", "polars_lazy", (), missing=("rsi14",)), False)


def _difference(store: Path, folder: Path, part: Path, changed: pl.DataFrame) -> float | None:
    """Of `ema12`, from the store to a copy of its files in which one is changed."""
    processes.emptied(folder)
    for file in store.glob("symbol=*/*/*.parquet"):
        target = folder / f"{file.parent.parent.name[7:]}_{file.parent.name[5:]}.parquet"
        (changed if file == part else pl.read_parquet(file, hive_partitioning=False)).write_parquet(target)
    return values.differences(store, folder)["ema12"]


def test_differences_are_seen(checked: Check, tmp_path: Path) -> None:
    job = Job(checked.files, str(tmp_path), "zstd", False, [])
    run_ours(job)
    part = next(store_of(job).glob("symbol=SYM000/*/*.parquet"))
    rows = pl.read_parquet(part, hive_partitioning=False)
    is_last = pl.int_range(pl.len()) == pl.len() - 1

    def found(rows: pl.DataFrame) -> float | None:
        return _difference(store_of(job), tmp_path / "theirs", part, rows)

    def last(value: pl.Expr) -> pl.DataFrame:
        return rows.with_columns(ema12=pl.when(is_last).then(value).otherwise("ema12"))

    assert found(rows) == 0.0
    assert (found(last(pl.col("ema12") * 1.001)) or 0.0) > BOUND
    assert found(last(pl.lit(float("nan")))) == float("inf")
    with pytest.raises(ValueError, match=r"timestamp of .*SYM000"):
        found(rows[:-1])
    for file in (tmp_path / "theirs").iterdir():
        pl.read_parquet(file).with_columns(more=1.0).write_parquet(file)
    with pytest.raises(ValueError, match="has more, which the store has not"):
        values.differences(store_of(job), tmp_path / "theirs")


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_is_the_same_each_time_and_made_once(kind: str, tmp_path: Path) -> None:
    shape = Shape(kind, 2, 1, 3_000)
    one, other = (Bench(tmp_path / name, 1).files(shape) for name in ("one", "other"))
    assert [file.read_bytes() for file in one] == [file.read_bytes() for file in other]
    assert one[0].read_bytes() != one[1].read_bytes()
    made = one[0].stat().st_mtime_ns
    one[1].unlink()
    assert Bench(tmp_path / "one", 1).files(shape)[0].stat().st_mtime_ns == made
    assert one[1].read_bytes() == other[1].read_bytes()
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == [folder_of(tmp_path, shape).name]


def test_what_a_process_takes_and_writes_is_counted(tmp_path: Path) -> None:
    work = f"open({str(tmp_path / 'x')!r}, 'wb').write(bytes(50_000_000)); print('{{\"rows\": 7}}')"
    usage = processes.run("-c", work, out=tmp_path)
    assert usage.said == {"rows": 7}
    assert usage.written == 50_000_000
    assert usage.peak_mb > 50
    assert usage.seconds > 0.0


def test_a_program_that_fails_is_named_with_what_it_said() -> None:
    with pytest.raises(BenchError, match=r"-c .*: ended with 3: broken"):
        processes.run("-c", "import sys; print('broken', file=sys.stderr); sys.exit(3)")


def test_figures_are_a_tick_less_the_beginning_and_slow_peers_get_one_day(tmp_path: Path) -> None:
    shape = Shape("none", 2, 3, 100)
    paces = {"ours": 5e-6, "near": 1e-6, "far": 2e-6, "growing": 1e-6}
    seen: dict[str, list[int]] = {name: [] for name in paces}

    def build(name: str, job: Job) -> Usage:
        ticks = sum(pl.scan_parquet(file).select(pl.len()).collect().item() for file in job.files)
        seen[name].append(ticks)
        seconds = 2.0 + paces[name] * (0 if ticks == rounds._FIRST_TICKS else ticks)
        return Usage(seconds, 2 * seconds, 10.0, 3 * ticks, {})

    contenders = [
        Contender(name, lambda job, name=name: build(name, job), "zstd", is_peer=name != "ours") for name in paces
    ]
    contenders[3] = replace(contenders[3], grows=True)
    found = Bench(tmp_path, 2).measure(contenders, shape)
    beginnings = [rounds._FIRST_TICKS] * 4
    assert seen["ours"] == seen["near"] == [*beginnings, 200, 600, 600]
    assert seen["far"] == seen["growing"] == [*beginnings, 200]
    for name, figure in found.items():
        assert figure.ns == pytest.approx(paces[name] * 1e9)
        assert figure.wall_ns == pytest.approx(2 * paces[name] * 1e9)
        assert (figure.begin, figure.peak_mb, figure.written) == (2.0, 10.0, 3.0)
    assert (found["near"].ticks, found["near"].runs) == (600, 2)
    assert (found["far"].ticks, found["far"].runs) == (200, 1)


def test_memory_is_measured_by_processes_that_begin_small() -> None:
    """A child begins as a copy of its parent, so the parent must import nothing large."""
    heavy = "import sys, benchmarks.build.__main__; print(sorted({'numpy', 'polars', 'pyarrow'} & set(sys.modules)))"
    done = processes.subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, cwd=processes.ROOT)
    assert done.stdout.strip() == "[]"


def test_an_archive_too_small_to_measure_is_refused(tmp_path: Path) -> None:
    idle = Contender("idle", lambda job: Usage(1.0, 1.0, 10.0, 0, {}), "zstd")
    with pytest.raises(BenchError, match=r"100 ticks take no longer than the beginning, 1.00 s: give more --ticks"):
        Bench(tmp_path, 1).measure([idle], Shape("none", 1, 1, 100))


@pytest.mark.usefixtures("catalogue")
@pytest.mark.parametrize("what", ["all", "input", "none"])
def test_what_is_delivered_are_the_rows_of_the_store(tmp_path: Path, what: str) -> None:
    runpy.run_module("benchmarks.build.feature_set")
    files = Bench(tmp_path, 1).files(Shape("zstd", 2, 1, 5_000))
    ours = Contender(OURS, lambda job: run_ours(job, ["--materialize", what]), "default")
    job = Bench(tmp_path, 1).job(files, ours)
    ours.build(job)
    store = FeatureStore.open(store_of(job))
    rows = np.concatenate(list(delivered.matrices(store)))
    assert rows.flags.c_contiguous
    expected = [store.read(symbol, store.features).to_numpy() for symbol in store.symbols]
    np.testing.assert_array_equal(rows, np.concatenate(expected))


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux alone keeps a process to processors")
def test_a_program_can_be_kept_to_one_processor() -> None:
    allowed = os.sched_getaffinity(0)
    with processes.on_processors(1):
        told = processes.run("-c", "import os; print('{\"processors\":', len(os.sched_getaffinity(0)), '}')")
    assert told.said == {"processors": 1}
    assert os.sched_getaffinity(0) == allowed
    more = r"^expected 10000 processors or more, received \d+: leave `workers` out$"
    with pytest.raises(BenchError, match=more), processes.on_processors(10_000):
        pass
