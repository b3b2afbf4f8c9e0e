"""The compiled step: the same model however a batch is cut, on one device and on several."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipelines.batches import WindowLoader
from pipelines.panel import WindowSet
from pipelines.window_runs import WindowRuns
from stockbot.config import Config
from stockbot.errors import UsageError
from stockbot.fit.compiling import FEWEST_STEPS, choose_xla, may_compile
from stockbot.fit.devices import Devices, choose_devices, open_devices
from stockbot.fit.feed import Feed
from stockbot.fit.network import Network, Place
from stockbot.fit.rates import learning_rate
from stockbot.fit.scaling import FIRST, LossScale
from stockbot.fit.speeds import Speed, advice
from stockbot.fit.step import Steps, restore, snapshot
from stockbot.model import build_model, objective
from tests.pipelines import window_sets
from tests.stockbot.markets import tiny_config
from tests.stockbot.test_train import ROOT

LOOKBACK, FEATURES, BATCH = 6, 3, 24


def made(config: Config, devices: Devices | None = None, total: int = 100) -> Steps:
    keras.utils.set_random_seed(1)
    devices = devices or open_devices("cpu:0")
    with devices.strategy.scope():
        model = build_model(config, FEATURES)
    return Steps(model, config.training, devices, metrics=objective(config)[1], steps=total)


def batch(size: int = BATCH, seed: int = 0, *, weighted: bool = False) -> list[tuple[tf.Tensor, ...]]:
    draw = np.random.default_rng(seed)
    inputs = draw.normal(size=(size, LOOKBACK, FEATURES)).astype(np.float32)
    targets = (inputs[:, -1, :1] > 0.0).astype(np.float32)
    weights = draw.uniform(0.5, 1.5, size) if weighted else np.ones(size)
    return [(tf.constant(inputs), tf.constant(targets), tf.constant(weights.astype(np.float32)))]


def window_set(windows: int) -> WindowSet:
    """So many windows of noise, with weights."""
    draw = np.random.default_rng(3)
    rows = windows + LOOKBACK - 1
    matrix, targets = (draw.normal(size=(rows, width)).astype(np.float32) for width in (FEATURES, 1))
    weights = draw.uniform(0.5, 1.5, rows).astype(np.float32)
    return WindowSet(matrix, WindowRuns.of_starts(np.arange(windows)), targets, LOOKBACK, weights)


def trained(config: Config, *, steps: int = 4, weighted: bool = False) -> tuple[list[np.ndarray], dict[str, float]]:
    step = made(config)
    for number in range(steps):
        step.train(batch(seed=number, weighted=weighted), BATCH, number)
    return [array for array in step.model.get_weights() if array.dtype == np.float32], step.figures.results()


def settings(**changes: object) -> Config:
    return tiny_config(training__batch_size=BATCH, training__learning_rate=0.01, **changes)


def assert_close(ones: list[np.ndarray], others: list[np.ndarray], atol: float = 1e-6) -> None:
    for one, other in zip(ones, others, strict=True):
        np.testing.assert_allclose(one, other, atol=atol, rtol=0)


@pytest.mark.parametrize("objective", ["regression", "direction"])
@pytest.mark.parametrize("factory", ["lstm", "gru", "linear"])
def test_a_step_is_that_of_keras(factory: str, objective: str) -> None:
    config = settings(model__factory=factory, labels__objective=objective)
    ours, figures = trained(config, weighted=True)
    keras.utils.set_random_seed(1)
    model = build_model(config, FEATURES)
    seen = []
    for number in range(4):
        inputs, targets, weights = batch(seed=number, weighted=True)[0]
        outputs = model.train_on_batch(inputs, targets, sample_weight=weights, return_dict=True)
        model.reset_metrics()
        seen.append(outputs["loss"])
    assert_close(ours, [array for array in model.get_weights() if array.dtype == np.float32])
    assert figures["loss"] == pytest.approx(np.mean(seen), abs=1e-6)


def test_figures_are_those_of_keras() -> None:
    names = ["auc", "precision", "accuracy", "binary_crossentropy"]
    config = settings(labels__objective="direction", model__metrics=names)
    step = made(config)
    for number in range(3):
        step.evaluate(batch(20 + number, seed=number), 20 + number)
    parts = [batch(20 + number, seed=number)[0] for number in range(3)]
    whole = [np.concatenate([np.asarray(part[place]) for part in parts]) for place in range(2)]
    expected = step.model.evaluate(*whole, verbose=0, batch_size=10, return_dict=True)
    found = step.figures.results()
    assert set(found) == set(expected)
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("parts", [2, 3, 5])
def test_a_batch_in_parts_is_the_whole_batch(parts: int) -> None:
    changes = {"training__clip_norm": 0.1, "model__dropout": 0.4, "model__lstm_units": [5, 4]}
    whole, figures = trained(settings(**changes))
    in_parts, others = trained(settings(**changes, training__accumulate=parts))
    assert_close(in_parts, whole)
    assert others == pytest.approx(figures, abs=1e-6)


def test_gradients_are_clipped_to_their_norm() -> None:
    """Of plain Adam the first step does not depend on the size of gradients, but on how large they are beside 1e-7."""
    config = settings(model__factory="linear", training__clip_norm=1e-7)
    clipped, free = trained(config, steps=1)[0], trained(settings(model__factory="linear"), steps=1)[0]
    keras.utils.set_random_seed(1)
    begin = build_model(config, FEATURES).get_weights()
    moved = [np.abs(after - before).max() for after, before in zip(clipped, begin, strict=True)]
    assert max(moved) < 0.9 * max(np.abs(after - before).max() for after, before in zip(free, begin, strict=True))


def test_weight_decay_draws_matrices_alone_towards_0() -> None:
    plain = trained(settings(model__factory="linear"), steps=1)[0]
    decayed = trained(settings(model__factory="linear", training__weight_decay=0.5), steps=1)[0]
    keras.utils.set_random_seed(1)
    kernel, _ = build_model(settings(model__factory="linear"), FEATURES).get_weights()
    np.testing.assert_allclose(decayed[0], plain[0] - 0.5 * 0.01 * kernel, atol=1e-7)
    np.testing.assert_array_equal(decayed[1], plain[1])


def test_masks_of_dropout_follow_from_seed_and_step() -> None:
    config = settings(model__dropout=0.5)
    step = made(config)
    before = snapshot(step.variables)
    results = []
    for number in (7, 7, 8):
        restore(step.variables, before)
        step.train(batch(), BATCH, number)
        results.append(step.model.get_weights())
    assert all(np.array_equal(one, other) for one, other in zip(results[0], results[1], strict=True))
    assert not all(np.array_equal(one, other) for one, other in zip(results[0], results[2], strict=True))


def test_masks_of_dropout_leave_out_their_share_and_nothing_repeats() -> None:
    model = keras.Sequential([keras.Input((30,)), keras.layers.Dropout(0.3), keras.layers.Dropout(0.3)])
    network = Network(model, precision="float32", seed=1, batch_size=200)
    ones = tf.ones((200, 30))
    masks = []
    for step in range(3):
        place = Place(tf.constant(step, tf.int64), tf.constant(0, tf.int64))
        outputs = np.asarray(network([], [], ones, place)[0])
        np.testing.assert_allclose(np.unique(outputs), [0.0, 1.0 / 0.49], rtol=1e-6)
        assert np.mean(outputs > 0.0) == pytest.approx(0.49, abs=0.02)  # two layers have masks of their own
        masks.append(outputs > 0.0)
    assert np.corrcoef([mask.ravel() for mask in masks])[np.triu_indices(3, 1)] == pytest.approx(0.0, abs=0.06)
    np.testing.assert_array_equal(network([], [], ones)[0], ones)


def test_learning_rates_rise_and_fall() -> None:
    config = settings(training__schedule="cosine", training__warmup_steps=10).training
    rates = [float(learning_rate(config, tf.constant(step, tf.int64), 110)) for step in (0, 4, 9, 60, 110, 500)]
    np.testing.assert_allclose(rates, [0.001 * 1.0, 0.005, 0.01, 0.005, 0.0, 0.0], atol=1e-8)
    assert float(learning_rate(settings().training, tf.constant(5, tf.int64), 110)) == pytest.approx(0.01)


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_a_lower_precision_trains_nearly_the_same_model_in_float32(
    precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stockbot.fit.scaling.FIRST", 1024.0)  # no step is left out to find the scale
    full, figures = trained(settings(model__batch_norm=True), steps=20)
    lower, others = trained(settings(model__batch_norm=True, training__precision=precision), steps=20)
    assert all(array.dtype == np.float32 for array in lower)
    assert others["loss"] == pytest.approx(figures["loss"], rel=0.05)
    assert not all(np.array_equal(one, other) for one, other in zip(full, lower, strict=True))


def test_a_step_whose_gradients_overflow_changes_no_weight_and_halves_the_scale() -> None:
    step = made(settings(training__precision="mixed_float16"))
    before = snapshot(step.exported)
    inputs, targets, weights = batch()[0]
    step.train([(inputs, targets * 1e30, weights)], BATCH, 0)
    for one, other in zip(before, snapshot(step.exported), strict=True):
        np.testing.assert_array_equal(one, other)
    assert float(step.variables[-2]) == FIRST / 2
    step.train([(inputs, targets, weights)], BATCH, 1)
    assert not np.array_equal(before[0], snapshot(step.exported)[0])


def test_the_scale_grows_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stockbot.fit.scaling.GROWS_AFTER", 3)
    scale = LossScale()
    for finite in (True, True, False, True, True, True):
        scale.update(tf.constant(finite))
    assert [float(variable) for variable in scale.variables] == [FIRST, 0.0]


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_xla_computes_the_same_model_and_the_same_bits_again(dropout: float) -> None:
    results = []
    for xla in (False, True, True):
        step = made(settings(model__lstm_units=[8, 4], model__dropout=dropout))
        step.xla = xla
        for number in range(6):
            size = BATCH if number % 3 else 7
            step.train(batch(size, seed=number), size, number)
        results.append(step.model.get_weights())
    if not dropout:  # XLA draws other masks
        assert_close(results[1], results[0], atol=1e-5)
    assert all(np.array_equal(one, other) for one, other in zip(results[1], results[2], strict=True))


def test_xla_is_of_one_device() -> None:
    devices = Devices(("/device:CPU:0", "/device:CPU:1"), tf.distribute.get_strategy())
    gpu = Devices(("/device:GPU:0",), tf.distribute.get_strategy())
    with pytest.raises(UsageError, match=r"training.xla: expected auto or false .*GPU:0, received true"):
        may_compile(settings(training__xla=True), gpu, 1)
    assert not may_compile(settings(), gpu, FEWEST_STEPS)
    assert str(devices) == "devices /device:CPU:0 /device:CPU:1"


def test_xla_is_chosen_where_it_pays() -> None:
    devices = open_devices("cpu:0")
    assert not may_compile(settings(), devices, FEWEST_STEPS - 1)
    assert may_compile(settings(), devices, FEWEST_STEPS)
    assert may_compile(settings(training__xla=True), devices, 1)
    assert not may_compile(settings(training__xla=False), devices, FEWEST_STEPS)
    assert not may_compile(settings(training__accumulate=2), devices, FEWEST_STEPS)
    assert choose_xla(made(settings()), settings(), batch(), BATCH)
    wide = settings(model__lstm_units=[128])
    assert not choose_xla(made(wide), wide, batch(), BATCH)


def test_a_trial_leaves_no_trace() -> None:
    config = settings(training__determinism="fast", model__dropout=0.5)
    step = made(config)
    before = snapshot(step.variables)
    assert choose_xla(step, config, batch(), BATCH) in (False, True)
    for one, other in zip(before, snapshot(step.variables), strict=True):
        np.testing.assert_array_equal(one, other)


def test_numbers_and_lists_of_devices() -> None:
    assert choose_devices("1") == choose_devices("cpu:0") == ["/device:CPU:0"]
    for wrong in ("2", "0", "cpu:0,cpu:1", "cpu:0,cpu:0", ""):
        with pytest.raises(UsageError, match=f"--devices: '{wrong}' is not visible; choose auto, cpu:0, or a number"):
            choose_devices(wrong)


@pytest.mark.parametrize("weighted", [False, True])
def test_shares_are_the_same_where_the_rows_lie_on_the_device(weighted: bool) -> None:
    loader = WindowLoader(window_sets.window_set(10, weighted=weighted), batch_size=4, seed=1)
    host, there = (Feed(loader, open_devices("cpu:0"), resident=resident) for resident in (False, True))
    begin = {"epochs": 2, "step": 1}
    pairs = list(zip(host.shares(**begin), there.shares(**begin), strict=True))
    assert [len(one[0][0]) for one, _ in pairs] == [4, 2, 4, 4, 2]
    for (one,), (other,) in pairs:
        for part, same in zip(one, other, strict=True):
            np.testing.assert_array_equal(part, same)
    assert host.bytes_per_window == 4 * (3 * 2 + 1 + weighted)
    assert there.bytes_per_window == (8 * 16 + 4 * 12 * (2 + 1 + weighted)) / 16


SEVERAL = """
import json
import numpy as np
import stockbot.fit
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 3
)
from pipelines.batches import WindowLoader
from pipelines.panel import WindowSet
from pipelines.window_runs import WindowRuns
from stockbot.fit.devices import open_devices
from stockbot.fit.feed import Feed
from tests.stockbot.test_step import made, settings, window_set
for changes in (
    {}, {"training__accumulate": 2, "training__clip_norm": 0.05}, {"training__precision": "mixed_float16"},
    {"model__dropout": 0.4, "model__lstm_units": [5, 4], "training__accumulate": 2},
    {"model__batch_norm": True, "training__accumulate": 2},
):
    told = []
    for wanted in ("cpu:0", "3"):
        devices = open_devices(wanted)
        step = made(settings(**changes), devices)
        windows = window_set(2 * 24 + 2)
        feed = Feed(WindowLoader(windows, batch_size=24, seed=1), devices)
        number = 0
        for epoch in range(3):
            for at, shares in enumerate(feed.shares(epochs=epoch + 1, epoch=epoch)):
                step.train(shares, 24 if at < 2 else 2, number)
                number += 1
        figures = step.figures.results()
        told.append([figures["loss"], [w.tolist() for w in step.model.get_weights() if w.dtype == np.float32]])
    print(json.dumps(told))
"""


def test_several_devices_train_like_one_down_to_a_last_batch_that_not_all_get_a_window_of() -> None:
    done = subprocess.run([sys.executable, "-c", SEVERAL], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    plain, in_parts, half, masked, normed = (json.loads(line) for line in done.stdout.splitlines())
    for one, *several in (plain, in_parts, masked):
        for other in several:
            assert other[0] == pytest.approx(one[0], abs=1e-6)
            assert_close([np.asarray(w) for w in other[1]], [np.asarray(w) for w in one[1]])
    for other in half[1:]:  # float16 rounds otherwise in each cut
        assert other[0] == pytest.approx(half[0][0], rel=1e-2)
    assert all(np.isfinite(loss) for loss, _ in normed)


def test_scaling_names_the_number_of_devices_to_take() -> None:
    rates = [Speed(1, 100.0), Speed(2, 150.0), Speed(3, 140.0), Speed(4, 90.0)]
    assert advice(rates[:1], 256) == "one device is visible: nothing to compare"
    assert advice(rates[:2], 256) == "all 2 devices are 1.50 times as fast as one: --devices 2"
    assert advice(rates, 256).startswith("WARNING: 3 and 4 devices are slower than 2")
    assert "take --devices 2, or raise training.batch_size (256)" in advice(rates, 256)
