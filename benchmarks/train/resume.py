"""Trainings that are killed at random steps and go on; `-m benchmarks.train.resume FOLDER NAME AFTER` is a life of one.

It kills itself after so many steps; 0 lets it end, and prints the SHA-256 of the final weights.
"""

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path

from stockbot.build import build_features
from stockbot.config import Config, load_config
from stockbot.sample_data import generate

KILLS, LIFE = 10, 40  # of one run, and the steps that a life may take

SETTINGS = {
    "bars.size": "1m",
    "windows.lookback": 20,
    "model.lstm_units": [16],
    "training.epochs": 6,
    "training.batch_size": 64,
    "training.schedule": "cosine",
    "training.checkpoint_steps": 7,
}


def killed_and_resumed(cache: Path, *, xla: bool) -> tuple[str, str]:
    """Hashes of the final weights: undisturbed, and of a run that was killed ten times."""
    folder = cache / f"resume-{'xla' if xla else 'graph'}"
    shutil.rmtree(folder, ignore_errors=True)
    config = load_config(None, {**SETTINGS, "training.xla": xla})
    sample = generate(folder / "archive", symbols=2, days=2, ticks_per_day=20_000, seed=3)
    build_features(sample.files, config, folder / "store")
    (folder / "config.yaml").write_text(config.to_yaml(), encoding="utf-8")
    undisturbed = _life(folder, "undisturbed", 0)
    chance = random.Random(11)
    for _ in range(KILLS):
        _life(folder, "killed", chance.randint(1, LIFE))
    return undisturbed, _life(folder, "killed", 0)


def _life(folder: Path, name: str, after: int) -> str:
    command = [sys.executable, "-m", "benchmarks.train.resume", str(folder), name, str(after)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != (-signal.SIGKILL if after else 0):
        raise RuntimeError(f"a life of {name} ended with {done.returncode}: {done.stderr[-500:]}")
    return done.stdout.strip()


def live(folder: Path, name: str, after: int) -> None:
    """One life of a run: the first trains, each other one goes on."""
    from pipelines.store import FeatureStore
    from stockbot.run_folder import find_run
    from stockbot.train import resume, train

    config: Config = load_config(folder / "config.yaml")
    store = FeatureStore.open(folder / "store")
    steps = count(1)

    def progress(done: int, total: int) -> None:
        if next(steps) == after:
            os.kill(os.getpid(), signal.SIGKILL)

    artifacts = folder / name
    if (artifacts / "runs").exists():
        result = resume(find_run(artifacts, "latest"), config, store, progress=progress)
    else:
        result = train(config, store, artifacts, progress=progress)
    print(hashlib.sha256(_weights(result.path / "final_model.keras")).hexdigest())


def _weights(path: Path) -> bytes:
    import keras

    model = keras.saving.load_model(path, compile=False)
    return b"".join(array.tobytes() for array in model.get_weights())


if __name__ == "__main__":
    live(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
