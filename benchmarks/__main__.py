"""The whole table: speed of kernels, features, bars and files, exactness, first use, with the goals beside them.

python -m benchmarks                                       # everything, 10 million rows, about 20 minutes
python -m benchmarks --rows 1000000 --only kernels accuracy --json bench.json --plot bench.png
"""

import argparse
import json
import platform
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import accuracy, bars_speed, encoding, engine_speed, first_use, goals, kernel_speed, plot
from benchmarks.cases import CASES
from benchmarks.peers import peers_of

Result = tuple[Any, list[goals.Goal]]
_LIBRARIES = ("numpy", "numba", "bottleneck", "numbagg", "ta-lib", "polars", "pandas", "pyarrow")


def _accuracy(rows: int) -> Result:
    found = accuracy.measured(rows, CASES, peers_of)
    print(accuracy.show(found))
    over = sum(not entry["within"] for entry in found)
    return found, [goals.at_most("cases over their error budget", over, 0)]


SUBJECTS: dict[str, Callable[[int], Result]] = {
    "kernels": kernel_speed.bench,
    "accuracy": _accuracy,
    "engine": lambda rows: engine_speed.bench(min(rows, engine_speed.ROWS)),
    "bars": lambda rows: bars_speed.bench(min(rows, bars_speed.ROWS)),
    "encoding": lambda rows: encoding.bench(min(rows, encoding.ROWS)),
    "first-use": lambda rows: first_use.bench(),
}


def _parsed() -> Any:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=kernel_speed.ROWS)
    parser.add_argument("--only", nargs="+", choices=SUBJECTS, default=list(SUBJECTS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures and goals there")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the kernels' ratios there, PNG")
    return parser, parser.parse_args()


def main() -> None:
    parser, options = _parsed()
    if options.plot and "kernels" not in options.only:
        parser.error("--plot draws the kernels: add kernels to --only")
    results = {}
    for subject in options.only:
        results[subject] = SUBJECTS[subject](options.rows)
        print(f"{goals.show(results[subject][1])}\n", flush=True)
    if options.json:
        figures = {subject: figures for subject, (figures, _) in results.items()}
        reached = [goal.as_json() for _, made in results.values() for goal in made]
        made_with = {name: version(name) for name in _LIBRARIES} | {"python": platform.python_version()}
        report = {"rows": options.rows, "versions": made_with, "figures": figures, "goals": reached}
        options.json.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if options.plot:
        plot.draw(results["kernels"][0], options.rows, options.plot)


if __name__ == "__main__":
    main()
