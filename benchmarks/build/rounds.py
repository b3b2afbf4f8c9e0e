"""Programs measured in turn: medians of processor time a tick, less what each takes to begin."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from benchmarks.build import processes
from benchmarks.build.job import Job
from benchmarks.build.processes import BenchError, Usage
from benchmarks.build.programs import BASE_COLUMNS
from benchmarks.build.shapes import Shape, files_of

_HOPELESS = 1.5  # a peer so many times slower than the fastest on the first day decides nothing: that figure stays
_FIRST_TICKS = 2_000


@dataclass(frozen=True)
class Contender:
    """A program at a codec, on ticks or on bars of a second.

    Attributes:
        is_peer: left out of further rounds where others are much faster. grows: its memory grows with the archive, so
            it gets the first day only.
    """

    name: str
    build: Callable[[Job], Usage]
    codec: str
    bars: bool = False
    is_peer: bool = False
    grows: bool = False


@dataclass(frozen=True)
class Figure:
    """What a contender takes: nanoseconds and written bytes a tick, and `begin` seconds before the first tick.

    Attributes:
        ticks: of the archive that was built from: all, or those of the first day.
    """

    ns: float
    wall_ns: float
    begin: float
    peak_mb: float
    written: float
    ticks: int
    runs: int


@dataclass(frozen=True)
class Bench:
    """Where archives and outputs lie, how many rounds there are, and how many times larger an archive `scale` tries."""

    cache: Path
    rounds: int
    largest: int = 0

    @property
    def outputs(self) -> Path:
        """Where programs write; nothing there is kept."""
        return self.cache / "outputs"

    def files(self, shape: Shape) -> list[Path]:
        """The files of an archive, which is made when it is not there."""
        numbers = [str(number) for number in (shape.symbols, shape.days, shape.ticks)]
        processes.run("-m", "benchmarks.build.archive", str(self.cache), shape.kind, *numbers)
        return files_of(self.cache, shape)

    def job(self, files: Sequence[Path], contender: Contender) -> Job:
        """With an empty folder to write into."""
        out = processes.emptied(self.outputs / "measured")
        return Job(
            [str(file) for file in files], str(out), contender.codec, contender.bars, BASE_COLUMNS[contender.bars]
        )

    def once(self, contender: Contender, files: Sequence[Path]) -> Usage:
        return contender.build(self.job(files, contender))

    def first(self, contender: Contender, kind: str) -> Usage:
        """What it takes for next to nothing: imports, compiled code, the folder made."""
        files = self.files(Shape(kind, 1, 1, _FIRST_TICKS))
        self.once(contender, files)  # compiles, when nothing is compiled yet
        runs = [self.once(contender, files) for _ in range(3)]
        return replace(runs[0], seconds=median(run.seconds for run in runs), wall=median(run.wall for run in runs))

    def measure(self, contenders: Sequence[Contender], shape: Shape) -> dict[str, Figure]:
        """A figure for each: all on the first day once, then those that may be the fastest on all days, in turn."""
        files = self.files(shape)
        begins = {each.name: self.first(each, shape.kind) for each in contenders}
        day = files[:: shape.days]
        trials = {each.name: self.once(each, day) for each in contenders}
        taken = {each.name: trials[each.name].seconds - begins[each.name].seconds for each in contenders}
        fastest = min((taken[each.name] for each in contenders if each.is_peer), default=0.0)
        hopeful = [
            each for each in contenders if not (each.is_peer and (each.grows or taken[each.name] > _HOPELESS * fastest))
        ]
        runs: dict[str, list[Usage]] = {each.name: [] for each in hopeful}
        for _ in range(self.rounds):
            for each in hopeful:
                runs[each.name].append(self.once(each, files))
        first_day = shape.symbols * shape.ticks
        return {
            name: _figure(runs[name], begins[name], shape.total)
            if name in runs
            else _figure([trials[name]], begins[name], first_day)
            for name in begins
        }


def _figure(runs: list[Usage], begin: Usage, ticks: int) -> Figure:
    seconds = median(run.seconds for run in runs) - begin.seconds
    if seconds <= 0.0:
        raise BenchError(f"{ticks:,} ticks take no longer than the beginning, {begin.seconds:.2f} s: give more --ticks")
    return Figure(
        ns=seconds / ticks * 1e9,
        wall_ns=(median(run.wall for run in runs) - begin.wall) / ticks * 1e9,
        begin=begin.seconds,
        peak_mb=max(run.peak_mb for run in runs),
        written=runs[0].written / ticks,
        ticks=ticks,
        runs=len(runs),
    )
