"""What is measured: each subject prints its table and returns its figures and goals."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

from benchmarks import goals

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

Result = tuple[Any, list[goals.Goal]]
BATCHES = (256, 1024)
_TURN, _LEAST = 0.25, 20  # processor seconds of a turn, and batches at least


@dataclass(frozen=True)
class Bench:
    """Where rows are kept, how many there are, and how often each contender has its turn."""

    cache: Path
    rows: int
    rounds: int


def loader(bench: Bench) -> Result:
    """Shuffled windows of 60 rows of 16 features, one core: thousand windows a second."""
    from benchmarks.train import contenders
    from benchmarks.train.rows import Rows

    _one_thread()
    rows = Rows.made(bench.rows)
    known = contenders.installed()
    figures: dict[str, dict[str, float]] = {}
    for batch in BATCHES:
        begins = {each.name: each.make(rows, batch) for each in known}
        figures[f"batch {batch}"] = rates(begins, batch, bench.rounds)
    _show("in memory, thousand windows a second", figures, contenders.BARE)
    return figures, _loader_goals(figures["batch 1024"])


def stream(bench: Bench) -> Result:
    """The same windows, of four times as many rows, streamed from a store, in whole passes; and their memory."""
    from benchmarks.train import contenders, store

    rows = 4 * bench.rows
    loaders = {codec: store.loader(bench.cache, rows, codec) for codec in store.CODECS}
    passes = {f"streamed, {codec}": contenders.epochs_of(loader) for codec, loader in loaders.items()}
    passes["hot memory-mapped gather"] = contenders.mapped(store.folder(bench.cache, rows, "none"), rows)
    spent: dict[str, list[float]] = {name: [] for name in passes}
    for _ in range(bench.rounds):
        for name, once in passes.items():
            start = process_time()
            windows = once()
            spent[name].append(windows / (process_time() - start))
    found = {name: median(each) for name, each in spent.items()}
    _show("larger than memory, thousand windows a second", {"batch 1024": found}, "hot memory-mapped gather")
    memory = {codec: _memory(bench.cache, rows, codec) for codec in store.CODECS}
    memory["a hundred million windows"] = _memory(bench.cache, rows, "lz4", times=-(-100_000_000 // rows), steps=400)
    for name, grown in memory.items():
        print(f"{name:<32}" + "  ".join(f"{part} {value:,.0f}" for part, value in grown.items()))
    return {"rates": found, "memory": memory}, _stream_goals(found, memory)


def _memory(cache: Path, rows: int, codec: str, *, times: int = 1, steps: int = 0) -> dict[str, float]:
    """MiB, as `benchmarks.train.memory` says."""
    return _said("benchmarks.train.memory", str(cache), str(rows), codec, str(times), str(steps))


def _said(module: str, *arguments: str) -> dict[str, float]:
    """What a module prints on its last line, in a process of its own."""
    done = subprocess.run([sys.executable, "-m", module, *arguments], check=True, capture_output=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def memory(bench: Bench) -> Result:
    """A whole training on a store of ticks, streamed on a budget of 64 MB and in memory: MiB of resident memory."""
    from benchmarks.train import whole

    whole.made(bench.cache, 4 * bench.rows)  # beforehand, or the build counts as well
    where = ("auto", "memory")
    found = {each: _said("benchmarks.train.whole", str(bench.cache), str(4 * bench.rows), each) for each in where}
    for placement, figures in found.items():
        print(f"{placement:<32}" + "  ".join(f"{part} {value:,.0f}" for part, value in figures.items()))
    grown = {placement: figures["peak"] - figures["begin"] for placement, figures in found.items()}
    return found, [
        goals.at_least("features in memory / budget", found["auto"]["matrix"] / 61, 4),
        goals.at_most("streamed training, MiB in all", found["auto"]["peak"], 2000),
        goals.at_most("growth of memory, streamed / in memory", grown["auto"] / grown["memory"], 0.5),
    ]


def _stream_goals(found: Mapping[str, float], memory: Mapping[str, Mapping[str, float]]) -> list[goals.Goal]:
    mapped = found["hot memory-mapped gather"]
    streamed = {name: rate for name, rate in found.items() if name.startswith("streamed")}
    passes = {name: grown for name, grown in memory.items() if not name.startswith("a hundred")}
    unseen = {name: abs(2 * grown["windows"] - grown["seen"]) for name, grown in passes.items()}
    return [
        goals.each_at_least(
            "streamed / hot mapped gather", {name: rate / mapped for name, rate in streamed.items()}, 0.8
        ),
        goals.each_at_least("streamed, windows a second", streamed, 1e6),
        goals.each_at_most("growth of memory, MiB", {name: grown["most"] for name, grown in passes.items()}, 160),
        goals.each_at_most("growth over two passes, MiB", _growth(passes), 4),
        goals.each_at_most("windows missed or seen twice", unseen, 0),
        goals.at_most("a hundred million windows, MiB in all", memory["a hundred million windows"]["peak"], 2000),
    ]


def _growth(passes: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    return {name: grown["end"] - grown["tenth"] for name, grown in passes.items()}


def _loader_goals(found: Mapping[str, float]) -> list[goals.Goal]:
    from benchmarks.train.contenders import BARE, DATASET, KERAS, TENSORS, TORCH

    made = [
        goals.at_least("our tensors / timeseries_dataset_from_array", found[TENSORS] / found[KERAS], 150),
        goals.at_least("our tf.data / timeseries_dataset_from_array", found[DATASET] / found[KERAS], 80),
        goals.at_least("our tensors / bare gather", found[TENSORS] / found[BARE], 0.9),
    ]
    if TORCH in found:
        made.append(goals.at_least("our tensors / torch index_select", found[TENSORS] / found[TORCH], 1.0))
    return made


def step(bench: Bench) -> Result:
    """Training of the default model, and of one of two layers, on one core: windows a second."""
    from benchmarks.train import steps
    from benchmarks.train.rows import Rows

    _one_thread()
    rows = Rows.made(min(bench.rows, 500_000))  # Keras's loader shuffles all starts at each call of fit
    figures: dict[str, dict[str, float]] = {}
    for units in ([64], [128, 64]):
        runs = steps.made(rows, units, 256)
        count = max(8, round(4 * _TURN / runs[steps.FIXED](8)))
        spent: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(bench.rounds):
            for name, run in runs.items():
                spent[name].append(run(count))
        figures[f"units {units}"] = {name: 256 / median(each) for name, each in spent.items()}
    _show("training with batches of 256, thousand windows a second", figures, steps.FIXED)
    return figures, _step_goals(figures)


def _step_goals(figures: Mapping[str, Mapping[str, float]]) -> list[goals.Goal]:
    from benchmarks.train.steps import FIT, FIXED, LOADED, MODULE

    one, two = figures.values()
    made = [
        goals.at_least("our step with the loader / on one batch", one[LOADED] / one[FIXED], 0.97),
        goals.at_least("ours / Keras fit, 64 units", one[LOADED] / one[FIT], 2.5),
    ]
    if MODULE in one:
        made.append(goals.at_least("ours / torch, 64 units", one[LOADED] / one[MODULE], 2.0))
        made.append(goals.at_least("ours / torch, 128 and 64 units", two[LOADED] / two[MODULE], 1.2))
    return made


def resume(bench: Bench) -> Result:
    """Trainings killed (-9) at ten random steps: whether the final weights are those of an undisturbed one."""
    from benchmarks.train.resume import KILLS, killed_and_resumed

    found = {way: killed_and_resumed(bench.cache, xla=way == "XLA") for way in ("graph", "XLA")}
    for way, (undisturbed, killed) in found.items():
        print(f"{way:<8} undisturbed {undisturbed[:16]}  killed {KILLS} times {killed[:16]}")
    differing = {way: float(undisturbed != killed) for way, (undisturbed, killed) in found.items()}
    return found, [goals.each_at_most("final weights that differ after kills", differing, 0)]


def _one_thread() -> None:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def rates(contenders: Mapping[str, Callable[[], Any]], batch: int, rounds: int) -> dict[str, float]:
    """Median windows a processor second of endless iterators, each begun anew for its turn: what prefetches would
    otherwise go on with its work while it is the turn of others."""
    steps = {name: max(_LEAST, round(_TURN / _seconds_of_step(begin(), 8))) for name, begin in contenders.items()}
    spent: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, begin in contenders.items():
            spent[name].append(_seconds_of_step(begin(), steps[name]))
    return {name: batch / median(each) for name, each in spent.items()}


def _seconds_of_step(stream: Any, steps: int) -> float:
    for _ in range(4):  # compiles, and makes what is prefetched, as much as there will be at the end
        next(stream)
    start = process_time()
    for _ in range(steps):
        next(stream)
    return (process_time() - start) / steps


def _show(title: str, figures: Mapping[str, Mapping[str, float]], bound: str) -> None:
    print(f"{title}\n{'':<32}" + "".join(f"{name:>22}" for name in figures))
    for name in dict.fromkeys(name for found in figures.values() for name in found):
        cells = (f"{found[name] / 1e3:>14,.1f}{found[name] / found[bound]:>7.3f}x" for found in figures.values())
        print(f"{name:<32}" + "".join(cells))


SUBJECTS: dict[str, Callable[[Bench], Result]] = {
    "loader": loader,
    "stream": stream,
    "memory": memory,
    "step": step,
    "resume": resume,
}
