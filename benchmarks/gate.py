"""Is this tree slower, heavier or less exact than its base? Exit 0 no, 1 yes, 2 wrong usage.

    python -m benchmarks.gate                        # the work tree against where it left main
    python -m benchmarks.gate --base HEAD~3 --json gate.json
    python -m benchmarks.gate --cases "mean 64" "EMA 26"

Runs of both sides alternate. A case fails when the whole 95 % interval of head / base lies above 1.25, and again when
it is measured anew in new processes. Nothing is compared with stored times. Needs a POSIX system.
"""

import argparse
import dataclasses
import json
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from benchmarks.cases import NAMED
from benchmarks.driven import WorkerClient, command
from benchmarks.intervals import Comparison, Pair, compare, compared, take_pairs
from benchmarks.sides import GateError, Side, commit_of, default_base, make_sides

ROOT = Path(__file__).resolve().parent.parent
HELP = "seconds of stockbot-hp --help"
BUILD = "peak memory of a small build"
SAMPLE = ("--symbols", "2", "--days", "2", "--ticks-per-day", "20000")
BUILD_SETTINGS = "features: [logret_1, zscore_20]\nbars: {kind: time, size: 1s}\n"  # the same work on both sides
_RUN_SECONDS = 0.02


@dataclass(frozen=True)
class Effort:
    """How much is measured."""

    cases: tuple[str, ...]
    commands: tuple[str, ...] = (HELP, BUILD)
    launches: int = 3
    pairs: int = 4  # of a kernel, a launch
    command_pairs: int = 4
    accuracy_rows: int = 200_000


SHORT = Effort(cases=("mean 64", "EMA 26"), launches=2, pairs=3, command_pairs=1, accuracy_rows=20_000)
FULL = Effort(cases=tuple(NAMED))


@dataclass(frozen=True)
class Finding:
    """One line of the result."""

    name: str
    passed: bool
    note: str
    comparison: Comparison | None = None

    def line(self) -> str:
        figures = ""
        if found := self.comparison:
            figures = f"{found.ratio:6.3f} [{found.low:.3f}, {found.high:.3f}]"
        return f"{'ok  ' if self.passed else 'FAIL'} {self.name:<44}{figures:<24} {self.note}".rstrip()


def kernel_findings(sides: tuple[Side, Side], effort: Effort) -> Iterable[Finding]:
    with WorkerClient(sides[0]) as head, WorkerClient(sides[1]) as base:
        problems = [_problem(name, head, base) for name in effort.cases]
        yield from filter(None, problems)
        yield from _accuracy_findings(head, effort)
    sound = [name for name, problem in zip(effort.cases, problems, strict=True) if not problem]
    first = _compare_kernels(sides, sound, effort)
    second = _compare_kernels(sides, [name for name in sound if first[name].is_worse], effort)
    yield from (_judged(name, first[name], second.get(name)) for name in sound)


def _problem(name: str, head: WorkerClient, base: WorkerClient) -> Finding | None:
    """Compiles the kernel on both sides."""
    for worker, passed, said in ((head, False, "does not run"), (base, True, "not in the base")):
        answer = worker.ask(case=name, repeats=1)
        if "problem" in answer:
            return Finding(name, passed, f"{said}: {answer['problem']}")
    return None


def _compare_kernels(sides: tuple[Side, Side], names: list[str], effort: Effort) -> dict[str, Comparison]:
    """Pairs from several launches of both workers.

    Where its arrays happen to lie makes a process up to a tenth faster or slower than another of the same code.
    """
    pairs: dict[str, list[Pair]] = {name: [] for name in names}
    left = names
    for launch in range(1, 4 * effort.launches + 1):
        if not left:
            break
        with WorkerClient(sides[0]) as head, WorkerClient(sides[1]) as base:
            for name in left:
                pairs[name] += _take_kernel_pairs(name, head, base, effort.pairs)
        if launch >= effort.launches:
            left = [name for name in left if compared(pairs[name]).is_open]
    return {name: compared(taken) for name, taken in pairs.items()}


def _take_kernel_pairs(name: str, head: WorkerClient, base: WorkerClient, count: int) -> list[Pair]:
    for worker in (head, base):
        worker.ask(case=name, repeats=1)
    repeats = max(1, round(_RUN_SECONDS / base.ask(case=name, repeats=3)["seconds"] * 3))
    runs = (lambda worker=worker: worker.ask(case=name, repeats=repeats)["seconds"] for worker in (head, base))
    return take_pairs(*runs, count)


def _judged(name: str, first: Comparison, second: Comparison | None) -> Finding:
    if second is None:
        return Finding(name, True, "", first)
    note = (
        f"above the limit twice, first {first.ratio:.3f}" if second.is_worse else f"only once, first {first.ratio:.3f}"
    )
    return Finding(name, not second.is_worse, note, second)


def _accuracy_findings(head: WorkerClient, effort: Effort) -> Iterable[Finding]:
    answer = head.ask(accuracy=effort.cases, rows=effort.accuracy_rows)
    if "problem" in answer:
        yield Finding("accuracy", False, f"does not run: {answer['problem']}")
    for entry in answer.get("errors", ()):
        error = entry["errors"]["ours"]
        said = "NaN" if error is None else f"{error:.1e}"
        name = f"error of {entry['case']}, {entry['series']}"
        yield Finding(name, entry["within"], f"{said}, budget {entry['budget']:.0e}")


def command_findings(sides: tuple[Side, Side], effort: Effort) -> Iterable[Finding]:
    archive, settings = (sides[0].folder.parent / name for name in ("archive", "build.yaml"))
    settings.write_text(BUILD_SETTINGS)
    if effort.commands:
        command(sides[0], "-m", "stockbot", "sample-data", "--out", str(archive), *SAMPLE)
    build = ("-m", "stockbot", "build-features", str(archive), "--config", str(settings), "--overwrite", "--out")
    measures: dict[str, Callable[[Side], float]] = {
        HELP: lambda side: command(side, "-m", "stockbot", "--help").seconds,
        BUILD: lambda side: command(side, *build, str(side.folder / "store")).peak,
    }
    for name in effort.commands:
        yield _command_finding(name, sides, measures[name], effort)


def _command_finding(name: str, sides: tuple[Side, Side], measure: Callable[[Side], float], effort: Effort) -> Finding:
    for side in sides:
        try:
            measure(side)  # compiles what the others find in the cache
        except GateError as error:
            return Finding(name, side.name == "base", f"does not run: {error}")
    head, base = (lambda side=side: measure(side) for side in sides)

    def measured() -> Comparison:
        return compare(lambda: take_pairs(head, base, 1), least=effort.command_pairs)

    first = measured()
    return _judged(name, first, measured() if first.is_worse else None)


def run_gate(root: Path, base: str, effort: Effort) -> list[Finding]:
    """Compare `root` as it lies there with the commit `base`, printing each finding as it comes."""
    found = []
    with tempfile.TemporaryDirectory(prefix="stockbot-gate-") as folder:
        sides = make_sides(root, base, Path(folder).resolve())
        for finding in chain(kernel_findings(sides, effort), command_findings(sides, effort)):
            print(finding.line(), flush=True)
            found.append(finding)
    return found


def _parsed() -> tuple[argparse.ArgumentParser, Any]:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate", description=__doc__.splitlines()[0])
    parser.add_argument("--base", help="commit to compare with; default: where this tree left main")
    parser.add_argument("--short", action="store_true", help="two kernels and few runs: shows that the gate works")
    parser.add_argument("--cases", nargs="+", choices=FULL.cases, metavar="CASE", help="these kernels and no commands")
    parser.add_argument("--json", type=Path, help="write the findings there")
    return parser, parser.parse_args()


def main() -> int:
    parser, options = _parsed()
    effort = SHORT if options.short else FULL
    if options.cases:
        effort = dataclasses.replace(effort, cases=tuple(options.cases), commands=())
    try:
        base = commit_of(ROOT, options.base) if options.base else default_base(ROOT)
    except GateError as error:
        parser.error(str(error))
    print(f"head / base {base[:12]}, one thread; fails above 1.25 twice")
    try:
        found = run_gate(ROOT, base, effort)
    except GateError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    failed = [finding.name for finding in found if not finding.passed]
    print(f"{len(found)} checks, {len(failed)} failed{': ' if failed else ''}{', '.join(failed)}")
    if options.json:
        findings = [dataclasses.asdict(finding) for finding in found]
        options.json.write_text(json.dumps({"base": base, "passed": not failed, "findings": findings}, indent=2) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
