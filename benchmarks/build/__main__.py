"""Builds of feature files from an archive of ticks, ours and the peers', with the goals beside them.

python -m benchmarks.build CACHE                        # 50 million ticks, an hour on an idle machine
python -m benchmarks.build CACHE --ticks 5000000 --days 1 --only codecs bars --json build.json
"""

import argparse
import json
import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks import goals
from benchmarks.build.processes import BenchError
from benchmarks.build.rounds import Bench
from benchmarks.build.shapes import Shape
from benchmarks.build.subjects import SUBJECTS, possible

_LIBRARIES = ("numpy", "numba", "pyarrow", "polars", "polars-talib", "ta-lib", "pandas", "duckdb")


def _parsed() -> Any:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.build", description=__doc__.splitlines()[0])
    parser.add_argument("cache", type=Path, help="folder for archives, which are kept, and for outputs, which are not")
    parser.add_argument("--ticks", type=int, default=50_000_000, help="of all symbols and days")
    parser.add_argument("--symbols", type=int, default=10)
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--largest", type=int, default=0, metavar="N", help="`scale` goes up to N times the ticks")
    parser.add_argument("--only", nargs="+", choices=SUBJECTS, default=list(SUBJECTS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures and goals there")
    return parser.parse_args()


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def main() -> None:
    options = _parsed()
    size = Shape("zstd", options.symbols, options.days, options.ticks // (options.symbols * options.days))
    bench = Bench(options.cache.resolve(), options.rounds, options.largest)
    results = {}
    try:
        for subject in possible(options.only):
            results[subject] = SUBJECTS[subject](bench, size)
            print(f"{goals.show(results[subject][1])}\n", flush=True)
    finally:
        shutil.rmtree(bench.outputs, ignore_errors=True)
    for subject in set(options.only) - set(results):
        print(f"{subject}: not possible with this build-features")
    if options.json:
        report = {
            "archive": vars(size), "versions": _versions(),
            "figures": {subject: figures for subject, (figures, _) in results.items()},
            "goals": [goal.as_json() for _, made in results.values() for goal in made],
        }  # fmt: skip
        options.json.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except BenchError as error:
        sys.exit(f"error: {error}")
