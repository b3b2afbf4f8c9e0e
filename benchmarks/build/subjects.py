"""What is measured: each subject prints its table and returns its figures and goals."""

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

from benchmarks import goals
from benchmarks.build import processes, programs
from benchmarks.build.check import Check
from benchmarks.build.job import Job
from benchmarks.build.processes import Usage
from benchmarks.build.programs import CSV_SOURCE, FLOOR, OURS, PEERS, POLARS_CSV, Program
from benchmarks.build.rounds import Bench, Contender, Figure
from benchmarks.build.shapes import Shape

Result = tuple[Any, list[goals.Goal]]
Size = Shape  # of the archive that was asked for
_CODEC_GOALS = {"none": 3.2, "zstd": 2.2, "default": 4.0}


def installed() -> list[Program]:
    return [peer for peer in PEERS if not peer.absent]


def _ours(codec: str, *more: str, bars: bool = False, name: str = OURS) -> Contender:
    return Contender(name, lambda job: programs.run_ours(job, more), codec, bars)


def _peers(codec: str, *, bars: bool = False) -> list[Contender]:
    return [
        Contender(peer.name, peer.run, codec, bars, is_peer=True, grows=peer.grows)
        for peer in installed()
        if peer.has_bars or not bars
    ]


def check(bench: Bench, size: Size) -> Result:
    """The largest difference of each program's values from ours."""
    compared = Check(bench.files(Shape("zstd", 2, 2, 40_000)), bench.outputs / "checked")
    modes = [(peer, bars) for peer in installed() for bars in (False, True) if peer.has_bars or not bars]
    worst = {f"{peer.name}{', bars' if bars else ''}": compared.worst(peer, bars) for peer, bars in modes}
    print("largest difference from our values, relative to the column's largest")
    for name, gap in worst.items():
        print(f"{name:<34}{gap:>10.1e}")
    for peer in PEERS:
        if peer.absent:
            print(f"{peer.name:<34}not installed: pip install -e '.[bench]'")
    return worst, []


def codecs(bench: Bench, size: Size) -> Result:
    """Ticks to features, every codec, against the peers and the floor."""
    figures, made = {}, []
    for codec in [*_codecs(bench), "default"]:
        least = _floor(bench, size, codec)
        found = bench.measure([_ours(codec), *_peers(codec)], size)
        _show(f"{codec}, {size.total:,} ticks", found, least)
        figures[codec] = {"floor": least, **_plain(found)}
        made += _codec_goals(codec, found, least)
    return figures, made


def _codecs(bench: Bench) -> list[str]:
    """Those of none, lz4 and zstd that the command writes when it is told to."""
    files = bench.files(Shape("zstd", 1, 1, 2_000))
    written = {}
    for codec in ("none", "lz4", "zstd"):
        job = bench.job(files, _ours(codec))
        programs.run_ours(job)
        written[codec] = processes.run("-m", "benchmarks.build.codec", str(programs.store_of(job))).said["codec"]
    for codec, found in written.items():
        if codec != found:
            print(f"{codec}: not possible with this build-features, which writes {found}")
    return [codec for codec, found in written.items() if codec == found]


def _codec_goals(codec: str, found: dict[str, Figure], least: dict[str, float]) -> list[goals.Goal]:
    ours = found[OURS].ns
    made = [goals.at_most(f"{codec}: ours / floor", ours / (least["decode"] + least["encode"]), 1.12)]
    if codec in _CODEC_GOALS:
        best = min(found[peer.name].ns for peer in installed() if not peer.by_hand)
        made.append(goals.at_least(f"{codec}: best peer / ours", best / ours, _CODEC_GOALS[codec]))
    by_hand = {peer.name: found[peer.name].ns / ours for peer in installed() if peer.by_hand}
    return made + [goals.at_least(f"{codec}: {name} / ours", ratio, 1.0) for name, ratio in by_hand.items()]


def _floor(bench: Bench, size: Size, codec: str, *, bars: bool = False) -> dict[str, float]:
    """ns a tick of decode and encode alone, on the first day of each symbol."""
    files = bench.files(size)[:: size.days]
    contender = Contender(FLOOR.name, FLOOR.run, codec, bars)
    said = [bench.once(contender, files).said for _ in range(bench.rounds + 2)]  # short and so noisier
    return {stage: median(each[stage] for each in said) / (size.symbols * size.ticks) * 1e9 for stage in said[0]}


def bars(bench: Bench, size: Size) -> Result:
    """Ticks to bars of a second to features of these."""
    decode = _floor(bench, size, "zstd", bars=True)
    found = bench.measure([_ours("zstd", bars=True), *_peers("zstd", bars=True)], size)
    _show(f"bars of a second, zstd, {size.total:,} ticks", found, decode)
    best = min(figure.ns for name, figure in found.items() if name != OURS)
    return {"floor": decode, **_plain(found)}, [
        goals.at_least("bars: best peer / ours", best / found[OURS].ns, 1.8),
        goals.at_most("bars: ours / decode alone", found[OURS].ns / decode["decode"], 1.2),
    ]


def archives(bench: Bench, size: Size) -> Result:
    """How fast the forms of an archive are decoded, and built from."""
    figures = {}
    for kind in ("zstd", "lz4", "none"):
        day = dataclasses.replace(size, kind=kind, days=1)
        figures[kind] = {"floor": _floor(bench, day, "zstd", bars=True)}
        found = bench.measure([_ours("default")], day)
        figures[kind] |= _plain(found)
        _show(f"archive in {kind}", found, figures[kind]["floor"])
    return figures, []


def scale(bench: Bench, size: Size) -> Result:
    """The same time a tick and the same memory whatever the size: a tenth, all, and `bench.largest` times all."""
    days = [max(size.days // 10, 1), size.days, *([size.days * bench.largest] if bench.largest else [])]
    found = {}
    for count in days:
        shape = dataclasses.replace(size, days=count)
        found[f"{shape.total:,} ticks"] = bench.measure([_ours("default")], shape)[OURS]
    _show("ours by size of the archive, default codec", found, {})
    times, peaks = ([getattr(figure, name) for figure in found.values()] for name in ("ns", "peak_mb"))
    return _plain(found), [
        goals.at_most("peak memory, MB", max(peaks), 1500.0),
        goals.at_most("peak memory, largest / smallest archive", peaks[-1] / peaks[0], 1.15),
        goals.at_most("time a tick, most / least of the sizes", max(times) / min(times), 1.15),
    ]


def workers(bench: Bench, size: Size) -> Result:
    """Two workers on two processors against one on one, by the clock: meaningful on idle processors only.

    A worker reads ahead and writes in threads, so that one alone keeps more than one processor busy: how it does with
    all processors is told beside.
    """
    found = bench.measure([_pinned(1), _pinned(2), _ours("default", "--workers", "1", name=_ALONE)], size)
    _show("workers, default codec", found, {})
    one, two, alone = (figure.wall_ns for figure in found.values())
    print(f"by the clock: {one:.1f}, {two:.1f}, {alone:.1f} ns a tick; two workers / {_ALONE}: {alone / two:.2f}")
    return {**_plain(found), "two / one with all processors": alone / two}, [
        goals.at_least("two workers on two processors / one on one, by the clock", one / two, 1.8)
    ]


_ALONE = "1 worker, all processors"


def _pinned(workers: int) -> Contender:
    """As many workers as processors."""
    ours = _ours("default", "--workers", str(workers), name=f"workers and processors: {workers}")

    def build(job: Job) -> Usage:
        with processes.on_processors(workers):
            return ours.build(job)

    return dataclasses.replace(ours, build=build)


def append(bench: Bench, size: Size) -> Result:
    """A day more on a store of a hundred, as many ticks in all."""
    symbols = min(size.symbols, 2)
    shape = Shape(size.kind, symbols, 101, size.total // (symbols * 101))
    files = bench.files(shape)
    before = [file for number, file in enumerate(files) if number % shape.days < shape.days - 1]
    ours = _ours("default")
    begin = bench.first(ours, shape.kind).seconds
    spent: dict[str, list[float]] = {"hundred days": [], "one more": []}
    for _ in range(bench.rounds):
        job = bench.job(before, ours)
        spent["hundred days"].append(programs.run_ours(job).seconds - begin)
        job = dataclasses.replace(job, files=[str(file) for file in files])
        spent["one more"].append(programs.run_ours(job).seconds - begin)
    medians = {name: median(seconds) for name, seconds in spent.items()}
    print(f"{shape.total:,} ticks; " + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in medians.items()))
    return medians, [goals.at_most("a day more / a hundred days", medians["one more"] / medians["hundred days"], 0.02)]


def csv(bench: Bench, size: Size) -> Result:
    """Our reading of a CSV archive against Polars' own, and a whole build of bars of a minute beside it.

    Polars is told the types and checks nothing; ours finds the layout and checks every row.
    """
    shape = dataclasses.replace(size, kind="csv", days=1)
    ours = Contender(OURS, lambda job: programs.run_ours(job, bar_size="1m"), "default", bars=True)
    readers = [Contender(program.name, program.run, "default") for program in (CSV_SOURCE, POLARS_CSV)]
    found = bench.measure([ours, *readers], shape)
    _show("CSV, and to bars of a minute", found, {})
    ratio = found[POLARS_CSV.name].ns / found[CSV_SOURCE.name].ns
    return _plain(found), [goals.at_least("CSV: rate of our reading / of Polars'", ratio, 0.8)]


def small(bench: Bench, size: Size) -> Result:
    """Archives of many small files, two symbols of a thousand days: what a file costs, beside hashing it."""
    figures = {}
    for kind in ("csv", "zstd"):
        shape, ours = Shape(kind, 2, 1_000, 200), _ours("default")
        files, begin = bench.files(shape), bench.first(ours, kind).seconds
        runs, bare = [], []
        for _ in range(bench.rounds):
            runs.append(bench.once(ours, files))
            bare.append(_hashing(files))
        stored = sum(path.is_file() for path in (bench.outputs / "measured").rglob("*"))
        ns = (median(run.seconds for run in runs) - begin) / len(files) * 1e9
        peak_mb = max(run.peak_mb for run in runs)
        figures[kind] = {"ns": ns, "bare_ns": median(bare), "peak_mb": peak_mb, "files": stored}
        print(
            f"{len(files):,} files of {shape.ticks} ticks, {kind}: {ns / 1e3:,.0f} us a file, {ns / median(bare):,.0f} "
            f"times opening and hashing it; {peak_mb:,.0f} MB; {stored:,} files in the store"
        )
    return figures, []


def _hashing(files: Sequence[Path]) -> float:
    """ns a file of opening and hashing alone."""
    begun = process_time()
    for file in files:
        with file.open("rb") as stream:
            hashlib.file_digest(stream, "sha256")
    return (process_time() - begun) / len(files) * 1e9


_STORES = (("all", "none"), ("all", "lz4"), ("all", "zstd"), ("input", "lz4"), ("none", "lz4"))  # what, codec


def lazy(bench: Bench, size: Size) -> Result:
    """Stores whose rows are computed when they are read against those whose rows are written: built, and read."""
    stores = {
        f"{what}, {codec}": _ours(codec, "--materialize", what, name=f"{what}, {codec}") for what, codec in _STORES
    }
    found = bench.measure(list(stores.values()), size)
    _show(f"by what the store holds, {size.total:,} ticks", found, {})
    delivered = _delivered(bench, size, stores)
    for name, ns in delivered.items():
        print(f"{name:<30}{ns:>9.1f} ns a row delivered, {1e3 / ns:.1f} M rows/s")
    written = min(ns for name, ns in delivered.items() if name.startswith("all"))
    figures = {name: values | {"delivered_ns": delivered[name]} for name, values in _plain(found).items()}
    return figures, [
        goals.at_least("none: built, M ticks/s", 1e3 / found["none, lz4"].ns, 20.0),
        goals.at_least("none: delivered, rate / best written", written / delivered["none, lz4"], 0.8),
        goals.at_least("input: delivered, rate / best written", written / delivered["input, lz4"], 0.8),
    ]


def _delivered(bench: Bench, size: Size, stores: dict[str, Contender]) -> dict[str, float]:
    """ns a row of each store, to a consumer of row-major matrices, in turn."""
    files = [str(file) for file in bench.files(size)]
    places = {}
    for name, contender in stores.items():
        job = bench.job([], contender)
        places[name] = dataclasses.replace(job, files=files, out=str(processes.emptied(bench.outputs / name)))
        contender.build(places[name])
    ns: dict[str, list[float]] = {name: [] for name in stores}
    for _ in range(bench.rounds):
        for name, job in places.items():
            said = processes.run("-m", "benchmarks.build.delivered", str(programs.store_of(job))).said
            ns[name].append(said["seconds"] / said["rows"] * 1e9)
    return {name: median(each) for name, each in ns.items()}


def _plain(found: dict[str, Figure]) -> dict[str, Any]:
    return {name: dataclasses.asdict(figure) for name, figure in found.items()}


def _show(title: str, found: dict[str, Figure], least: dict[str, float]) -> None:
    ours = next(iter(found.values())).ns
    columns = f"{'ns/tick':>9}{'/ first':>9}{'peak MB':>9}{'B/tick':>8}{'begin s':>9}{'ticks':>13}{'runs':>6}"
    print(f"{title}\n{'':<30}{columns}")
    for name, figure in found.items():
        print(
            f"{name:<30}{figure.ns:>9.1f}{figure.ns / ours:>8.2f}x{figure.peak_mb:>9.0f}{figure.written:>8.1f}"
            f"{figure.begin:>9.2f}{figure.ticks:>13,}{figure.runs:>6}"
        )
    for stage, ns in least.items():
        print(f"  {stage:<28}{ns:>9.1f}{ns / ours:>8.2f}x")


Subject = Callable[[Bench, Size], Result]
SUBJECTS: dict[str, Subject] = {
    "check": check, "codecs": codecs, "bars": bars, "archives": archives, "scale": scale, "workers": workers,
    "append": append, "csv": csv, "lazy": lazy, "small": small,
}  # fmt: skip
_NEEDS = {"workers": "--workers", "append": "--plan", "scale": "--plan", "lazy": "--materialize"}


def possible(names: Sequence[str]) -> list[str]:
    """Those that the command can do yet."""
    return [name for name in names if name not in _NEEDS or programs.has_option(_NEEDS[name])]
