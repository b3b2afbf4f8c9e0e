"""Our reading of CSV files alone: looked into, parsed, checked, in time order, batch by batch, as a build takes them.

What a build does beside it is left out: SHA-256 of the sources, bars, features, files.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.build.job import Job
from kernels.plain_numbers import INTEGER, NUMBER, read_numbers
from pipelines.quality import NONE_PLACED
from pipelines.runs import Screen, merged
from pipelines.schema import SourceHints
from pipelines.survey import Source, Stamp, look_into, runs_of
from stockbot.native_memory import keep_freed_memory


def build(job: Job) -> None:
    keep_freed_memory()
    read_numbers(b"1,1\n", ",", (INTEGER, NUMBER))  # so that loading compiled code is part of the beginning
    with TemporaryDirectory() as spill:
        for number, file in enumerate(job.files):
            _read(Source(number, Path(file), "0" * 64, Stamp.of(Path(file)), {}), SourceHints(), Path(spill))


def _read(source: Source, hints: SourceHints, root: Path) -> None:
    found = look_into(source, hints, root)
    for symbol in found.symbols:
        screen = Screen(symbol, found.entry["flavour"], {}, NONE_PLACED, hints.quality.policy)
        for _ in screen.batches(merged(runs_of(found, symbol, hints, root, None))):
            pass
