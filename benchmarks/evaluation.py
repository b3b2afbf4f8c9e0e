"""What the audit and a scorecard cost beside making the training set: `python -m benchmarks.evaluation [ROWS]`.

Ticks as rows of two symbols, `core17`, the default windows; processor time of one thread, medians of rounds in turn.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import benchmarks  # noqa: F401  first: one thread

# isort: split
import numpy as np

from pipelines.store import FeatureStore
from stockbot.audit import audit
from stockbot.baselines import baselines
from stockbot.build import build_features
from stockbot.config import Config
from stockbot.sample_data import generate
from stockbot.scorecard import MODEL, scorecard
from stockbot.training_set import TrainingSet, make_training_set

SYMBOLS, DAYS, ROUNDS = 2, 5, 3


def make_store(folder: Path, config: Config, rows: int) -> FeatureStore:
    """A store of synthetic ticks."""
    ticks = generate(folder / "ticks", symbols=SYMBOLS, days=DAYS, ticks_per_day=rows // SYMBOLS // DAYS, seed=1)
    return build_features(ticks.files, config, folder / "store")[0].store


def score_everything(data: TrainingSet) -> None:
    """A scorecard of all windows, of noise and the three baselines."""
    said = {name: np.concatenate(list(guess(data.every))) for name, guess in baselines(data).items()}
    said[MODEL] = np.random.default_rng(0).normal(0.0, data.target_scale, len(data.every))
    scorecard(data, data.every, said, config=data.config, trials=1)


def seconds(work: Callable[[], object]) -> float:
    """Processor time of one call."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def main(rows: int) -> None:
    """Print the medians."""
    config = Config.model_validate({"bars": {"kind": "none"}, "windows": {"max_gap": "1h"}})
    with tempfile.TemporaryDirectory() as folder:
        store = make_store(Path(folder), config, rows)
        data = make_training_set(config, store)
        works: dict[str, Callable[[], object]] = {
            "make the training set": lambda: make_training_set(config, store),
            "audit": lambda: audit(data, store),
            "scorecard": lambda: score_everything(data),
        }
        spent: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(ROUNDS):
            for name, work in works.items():
                spent[name].append(seconds(work))
    print(f"{len(data.panel):,} rows, {len(data.every):,} windows")
    for name, found in spent.items():
        print(f"{name:<22} {statistics.median(found):6.2f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
