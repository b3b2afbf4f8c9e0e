"""What training takes, ours and the peers', with the goals beside them.

python -m benchmarks.train CACHE                        # all subjects
python -m benchmarks.train CACHE --only loader --json loader.json
"""

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks import goals
from benchmarks.train.subjects import SUBJECTS, Bench


def _parsed() -> Any:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.train", description=__doc__.splitlines()[0])
    parser.add_argument("cache", type=Path, help="folder for stores and files of rows, which are kept")
    parser.add_argument("--rows", type=int, default=2_000_000, help="of 16 features in memory; a store has four times")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="+", choices=SUBJECTS, default=list(SUBJECTS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures and goals there")
    return parser.parse_args()


def main() -> None:
    options = _parsed()
    bench = Bench(options.cache.resolve(), options.rows, options.rounds)
    results = {}
    for subject in options.only:
        results[subject] = SUBJECTS[subject](bench)
        print(f"{goals.show(results[subject][1])}\n", flush=True)
    if options.json:
        report = {
            "figures": {subject: figures for subject, (figures, _) in results.items()},
            "goals": [goal.as_json() for _, made in results.values() for goal in made],
        }
        options.json.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
