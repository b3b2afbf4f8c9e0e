"""What `training.determinism` promises of each level, of whole trainings: docs/training.md, "What repeats"."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pipelines.store import FeatureStore
from stockbot.config import Config
from stockbot.fit import compiling
from stockbot.fit.network import _Dropout
from stockbot.fit.step import Steps, snapshot
from tests.stockbot.markets import tiny_config
from tests.stockbot.test_resume import train_on

CHANGES = {"training__epochs": 2, "model__dropout": 0.3, "training__checkpoint_steps": 1}


class Seen:
    """What trainings did, as hashes: the order of their windows, the weights of their first step, their masks."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.first: list[str] = []
        self.masks: list[str] = []
        self.on_trial = False


def digest(arrays: Any) -> str:
    return hashlib.sha256(b"".join(np.asarray(array).tobytes() for array in arrays)).hexdigest()


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """Of what trains from here on, but for the steps by which XLA is tried."""
    now = Seen()
    step, dropout, trial = Steps.train, _Dropout.call, compiling._seconds_a_step

    def train(self: Steps, shares: list[Any], size: int, number: int) -> None:
        if not now.on_trial:
            now.order.append(digest(shares[0][:2]))
            if number == 0:
                now.first.append(digest(snapshot(self.exported)))
        step(self, shares, size, number)

    def call(self: _Dropout, inputs: Any, training: bool = False) -> Any:
        outputs = dropout(self, inputs, training)
        if training and tf.executing_eagerly():
            now.masks.append(digest([outputs != 0.0]))
        return outputs

    def tried(*arguments: Any, xla: bool) -> float:
        now.on_trial = True
        seconds = trial(*arguments, xla=xla)
        now.on_trial = False
        assert seconds > 0.0
        return 0.0 if xla else 1.0

    monkeypatch.setattr(Steps, "train", train)
    monkeypatch.setattr(_Dropout, "call", call)
    monkeypatch.setattr(compiling, "_seconds_a_step", tried)
    return now


@pytest.fixture
def eager() -> Iterator[None]:
    """Steps run as Python: a compiled one does not show its masks."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def watched(seen: Seen, config: Config, store: FeatureStore, folder: Path, dies_at: list[int]) -> dict[str, list[str]]:
    """What one training did, from its first life to its last; a step that was lost and done again counts once."""
    seen.order, seen.first, seen.masks = [], [], []
    train_on(config, store, folder, dies_at)
    return {"order": list(dict.fromkeys(seen.order)), "first": seen.first, "masks": list(dict.fromkeys(seen.masks))}


def test_windows_first_weights_and_masks_of_dropout_repeat_at_every_level(
    wave_store: FeatureStore, tmp_path: Path, seen: Seen, eager: None
) -> None:
    levels = {
        level: watched(seen, tiny_config(**CHANGES, training__determinism=level), wave_store, tmp_path / level, dies_at)
        for level, dies_at in {"bitwise": [], "seeded": [4, 5], "fast": []}.items()
    }
    bitwise = levels["bitwise"]
    steps = len(bitwise["order"])
    assert len(bitwise["masks"]) == steps == 2 * 10
    assert len(bitwise["first"]) == 1
    assert levels["seeded"] == levels["fast"] == bitwise
    other = watched(seen, tiny_config(**CHANGES, training__seed=7), wave_store, tmp_path / "other", [])
    assert not set(other["order"]) & set(bitwise["order"])
    assert not set(other["masks"]) & set(bitwise["masks"])
    assert other["first"] != bitwise["first"]


def test_fast_keeps_the_order_and_the_first_weights_where_xla_wins_its_trial(
    wave_store: FeatureStore, tmp_path: Path, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeded = watched(seen, tiny_config(**CHANGES, training__determinism="seeded"), wave_store, tmp_path / "s", [])
    monkeypatch.setattr(compiling, "FEWEST_STEPS", 1)
    monkeypatch.setattr(compiling, "PROBED_STEPS", 3)
    fast = tiny_config(**CHANGES, training__determinism="fast")
    assert watched(seen, fast, wave_store, tmp_path / "f", [4]) == seeded
    (manifest,) = (tmp_path / "f").glob("models/*/manifest.json")
    assert json.loads(manifest.read_text())["training"]["xla"] is True


@pytest.mark.parametrize(
    ("level", "deterministic", "short"), [("bitwise", True, False), ("seeded", False, False), ("fast", False, True)]
)
def test_each_level_asks_tensorflow_for_what_it_promises(
    wave_store: FeatureStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    level: str,
    deterministic: bool,
    short: bool,
) -> None:
    """Whether operations are deterministic, and whether a GPU may multiply with short mantissas; no GPU is here."""
    asked: list[None] = []
    monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", lambda: asked.append(None))
    train_on(tiny_config(model__factory="linear", training__determinism=level), wave_store, tmp_path, [])
    assert bool(asked) is deterministic
    assert tf.config.experimental.tensor_float_32_execution_enabled() is short
