"""Graphs are traced, and XLA compiles them, once for each shape that there is, however many steps and epochs there are.

A program that is made anew with each step trains the same model, ten times as slowly, and no other test would notice.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines import dataset
from pipelines.batches import WindowLoader
from pipelines.store import FeatureStore
from stockbot.fit.devices import open_devices
from stockbot.fit.feed import Feed
from tests.pipelines import window_sets
from tests.stockbot.test_train import ROOT

# A training of full batches and a short last one, each epoch with validation, interrupted in its second epoch and
# resumed; it counts what is handed to TensorFlow to be compiled.
TRAINED = """
import json, sys
from pathlib import Path
import stockbot.fit
import tensorflow as tf
store, artifacts, (devices, xla) = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * devices
)
made = []
create = tf.function
def counted(*arguments, **named):
    made.append(create(*arguments, **named))
    return made[-1]
tf.function = counted
from pipelines.store import FeatureStore
from stockbot.fit.step import Steps
from stockbot.train import resume, train
from tests.stockbot.markets import tiny_config
from tests.stockbot.test_resume import last_run
config = tiny_config(
    training__epochs=6, training__patience=6, training__batch_size=30, training__xla=xla, model__dropout=0.1
)
sizes = set()
step = Steps.train
def noted(self, shares, size, number):
    sizes.add(size)
    step(self, shares, size, number)
Steps.train = noted
opened, calls = FeatureStore.open(Path(store)), iter(range(1_000_000))
def progress(done, total):
    if next(calls) == 11:
        raise KeyboardInterrupt
try:
    train(config, opened, artifacts, device=str(devices), progress=progress)
except KeyboardInterrupt:
    result = resume(last_run(artifacts), config, opened, device=str(devices))
assert result.metrics["epochs"] == 6 and len(sizes) == 2, sizes
print(json.dumps([each.experimental_get_tracing_count() for each in made]))
"""


@pytest.mark.parametrize(("devices", "xla", "programs"), [(1, False, 0), (1, True, 2 * 2), (2, False, 0)])
def test_each_life_of_a_training_compiles_a_step_of_training_and_one_of_evaluation_once(
    wave_store: FeatureStore, tmp_path: Path, devices: int, xla: bool, programs: int
) -> None:
    """XLA makes a program of each life and size of a batch, and none for each step or epoch."""
    command = [sys.executable, "-c", TRAINED, str(wave_store.path), str(tmp_path), json.dumps([devices, xla])]
    dumped = {"XLA_FLAGS": f"--xla_dump_to={tmp_path / 'xla'} --xla_dump_hlo_as_text"}
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, **dumped}, timeout=400
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == [1, 1, 1, 1]
    assert len(list((tmp_path / "xla").glob("*before_optimizations.txt"))) == programs


def test_windows_on_a_device_are_gathered_by_few_programs() -> None:
    loader = WindowLoader(window_sets.window_set(23), batch_size=5, seed=1)
    feed = Feed(loader, open_devices("cpu:0"), resident=True)
    counts = []
    for epoch in range(3):
        sizes = {int(shares[0][0].shape[0]) for shares in feed.shares(epochs=epoch + 1, epoch=epoch)}
        assert sizes == {5, 3}
        counts.append(dataset._gather.experimental_get_tracing_count())
    assert counts[0] == counts[1] == counts[2]
