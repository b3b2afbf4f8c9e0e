"""Every program computes what we do, on a small archive; told before anything is timed."""

import shutil
from pathlib import Path

from benchmarks.build import processes
from benchmarks.build.job import Job
from benchmarks.build.processes import BenchError
from benchmarks.build.programs import BASE_COLUMNS, BOUND, Program, run_ours, store_of


class Check:
    """Our stores of a small archive, of ticks and of bars, to which programs are held."""

    def __init__(self, files: list[Path], folder: Path) -> None:
        self.files = [str(file) for file in files]
        self.folder = folder
        self._stores = {bars: self._store(bars) for bars in (False, True)}

    def _job(self, name: str, bars: bool) -> Job:
        out = processes.emptied(self.folder / f"{name}-{'bars' if bars else 'ticks'}")
        return Job(self.files, str(out), "zstd", bars, BASE_COLUMNS[bars])

    def _store(self, bars: bool) -> Path:
        job = self._job("ours", bars)
        run_ours(job)
        return store_of(job)

    def worst(self, peer: Program, bars: bool) -> float:
        """The largest difference of any value, relative to its column.

        Raises:
            BenchError: one over the bound, or a feature missing that the program should make.
        """
        job = self._job(peer.module, bars)
        peer.run(job)
        found = processes.run("-m", "benchmarks.build.values", str(self._stores[bars]), job.out).said
        shutil.rmtree(job.out)
        expected = {name: float(gap) for name, gap in found.items() if name not in peer.missing and gap is not None}
        absent = [name for name in found if name not in expected and name not in peer.missing]
        over = {name: gap for name, gap in expected.items() if gap > BOUND}
        if absent or over:
            raise BenchError(f"{peer.name}: expected our values within {BOUND}, received {over}, not made: {absent}")
        return max(expected.values())
