"""The ONNX graph gives what Keras gives, for every factory and option; what it cannot translate it refuses."""

import keras
import numpy as np
import pytest

from stockbot.config import Config
from stockbot.errors import StockbotError
from stockbot.inference import OnnxModel
from stockbot.model import build_model
from stockbot.onnx_graph import onnx_bytes
from tests.stockbot.markets import tiny_config

LOOKBACK, FEATURES = 6, 3


def windows(count: int = 9) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((count, LOOKBACK, FEATURES), dtype=np.float32)


def scrambled(model: keras.Sequential) -> keras.Sequential:
    """Every weight away from its neutral start: zeros would hide a wrong order of gates or moments."""
    keras.utils.set_random_seed(3)
    for weight in model.weights:
        weight.assign(np.abs(np.random.normal(0.0, 0.4, weight.shape)) + 0.05)  # noqa: NPY002 - seeded above
    return model


def assert_same(model: keras.Sequential) -> None:
    ours = OnnxModel(onnx_bytes(model)).outputs(windows())
    theirs = np.asarray(model(windows(), training=False))[:, 0]
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert np.ptp(ours) > 1e-4


@pytest.mark.parametrize("factory", ["lstm", "gru", "linear"])
@pytest.mark.parametrize("objective", ["regression", "direction"])
@pytest.mark.parametrize("units", [[5], [5, 3, 4]])
@pytest.mark.parametrize(("batch_norm", "dropout"), [(False, 0.0), (True, 0.3)])
def test_equals_keras(factory: str, objective: str, units: list[int], batch_norm: bool, dropout: float) -> None:
    config: Config = tiny_config(
        model__factory=factory,
        labels__objective=objective,
        model__lstm_units=units,
        model__batch_norm=batch_norm,
        model__dropout=dropout,
    )
    assert_same(scrambled(build_model(config, FEATURES)))


@pytest.mark.parametrize(
    "layers",
    [
        [keras.layers.GRU(4, reset_after=False)],
        [keras.layers.LSTM(4, return_sequences=True), keras.layers.Flatten()],
        [keras.layers.LSTM(4, return_sequences=True), keras.layers.Dense(3, activation="relu"), keras.layers.GRU(2)],
        [keras.layers.BatchNormalization(center=False, scale=False), keras.layers.LSTM(4)],
        [keras.layers.Flatten(), keras.layers.Dense(4, activation="tanh", use_bias=False)],
    ],
    ids=["gru-reset-before", "sequence-flatten", "dense-on-sequence", "norm-first", "dense-tanh"],
)
def test_equals_keras_for_stacks_of_the_user(layers: list[keras.layers.Layer]) -> None:
    stack = [keras.Input((LOOKBACK, FEATURES)), *layers, keras.layers.Dense(1)]
    assert_same(scrambled(keras.Sequential(stack)))


def test_batches_do_not_change_the_outputs() -> None:
    model = OnnxModel(onnx_bytes(build_model(tiny_config(), FEATURES)))
    rows = np.random.default_rng(1).standard_normal((700, FEATURES), dtype=np.float32)
    starts = np.arange(700 - LOOKBACK + 1)
    at_once = model.outputs_at(rows, starts)
    one = np.array([model.outputs(rows[None, start : start + LOOKBACK])[0] for start in (0, 255, 256, 694)])
    np.testing.assert_allclose(at_once[[0, 255, 256, 694]], one, atol=1e-6)
    assert model.window_shape == (LOOKBACK, FEATURES)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([keras.layers.SimpleRNN(3, name="old")], "layer 'old' is a SimpleRNN, which has no translation"),
        ([keras.layers.LSTM(3, activation="relu", name="x")], "layer 'x' has activation='relu', only 'tanh'"),
        ([keras.layers.GRU(3, go_backwards=True, name="x")], "go_backwards=True, only False"),
        (
            [keras.layers.Flatten(), keras.layers.Dense(3, activation="elu", name="x")],
            "activation 'elu', expected linear",
        ),
        (
            [keras.layers.BatchNormalization(axis=1, name="x"), keras.layers.LSTM(2)],
            "normalises axis 1, expected the last",
        ),
    ],
)
def test_what_has_no_translation_is_named(layers: list[keras.layers.Layer], message: str) -> None:
    model = keras.Sequential([keras.Input((LOOKBACK, FEATURES)), *layers])
    with pytest.raises(StockbotError, match=message):
        onnx_bytes(model)


def test_only_a_chain_of_layers_is_taken() -> None:
    window = keras.Input((LOOKBACK, FEATURES))
    with pytest.raises(StockbotError, match=r"expected a keras\.Sequential model, received Functional"):
        onnx_bytes(keras.Model(window, keras.layers.LSTM(2)(window)))


def test_a_damaged_model_file_is_one_line() -> None:
    with pytest.raises(StockbotError, match="ONNX Runtime cannot read it") as caught:
        _ = OnnxModel(b"not a model").session
    assert "\n" not in str(caught.value)
