"""Factories by name, compiled for their objective, on the path that cuDNN takes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from stockbot.config import LOSSES, METRICS
from stockbot.errors import ConfigError
from stockbot.model import FACTORIES, build_model, register_model
from tests.stockbot.markets import tiny_config


@pytest.mark.parametrize("factory", ["lstm", "gru", "linear"])
@pytest.mark.parametrize(
    ("objective", "loss"), [("regression", "mean_squared_error"), ("direction", "binary_crossentropy")]
)
def test_every_factory_gives_one_number_a_window(factory: str, objective: str, loss: str) -> None:
    model = build_model(tiny_config(model__factory=factory, labels__objective=objective), 3)
    outputs = np.asarray(model(np.random.default_rng(0).normal(size=(5, 6, 3)).astype(np.float32)))
    assert outputs.shape == (5, 1)
    assert model.loss == loss
    if objective == "direction":
        assert np.all((outputs > 0.0) & (outputs < 1.0))


def test_a_stack_has_a_layer_for_each_width_with_norm_and_dropout() -> None:
    config = tiny_config(model__lstm_units=[8, 4], model__batch_norm=True, model__dropout=0.2)
    model = build_model(config, 3)
    assert [layer.name for layer in model.layers] == [
        "recurrent_1", "batch_norm_1", "dropout_1", "recurrent_2", "batch_norm_2", "dropout_2", "prediction",
    ]  # fmt: skip
    assert model.get_layer("dropout_1").rate == 0.2


STACKED = {"model__lstm_units": [8, 4], "model__dropout": 0.2, "model__batch_norm": True}


@pytest.mark.parametrize("factory", ["lstm", "gru"])
def test_recurrent_layers_keep_what_cudnn_asks_for(factory: str) -> None:
    model = build_model(tiny_config(model__factory=factory, **STACKED), 3)
    for layer in (model.get_layer("recurrent_1"), model.get_layer("recurrent_2")):
        assert layer.activation is keras.activations.tanh
        assert layer.recurrent_activation is keras.activations.sigmoid
        assert (layer.recurrent_dropout, layer.unroll, layer.use_bias, layer.use_cudnn) == (0, False, True, "auto")
        assert factory == "lstm" or layer.reset_after
    assert not model.jit_compile  # cuDNN's operations are none of XLA's


@pytest.mark.parametrize("factory", ["lstm", "gru"])
def test_where_a_gpu_is_visible_every_recurrent_layer_is_one_of_cudnn(
    factory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # There is no GPU here. Keras is told of one, and the graph that it would run there is looked at, not run.
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [kind])
    model = build_model(tiny_config(model__factory=factory, **STACKED), 3)
    graph = tf.function(model).get_concrete_function(tf.TensorSpec((5, 6, 3)), training=True).graph
    used = [operation.type for operation in graph.get_operations()]
    assert used.count("CudnnRNNV3") == 2
    assert "While" not in used
    assert "StatelessWhile" not in used


def test_loss_and_metrics_may_be_keras_names() -> None:
    model = build_model(tiny_config(model__loss="huber", model__metrics=["mean_absolute_error"]), 3)
    assert model.loss == "huber"


@pytest.mark.parametrize("objective", ["regression", "direction"])
def test_every_allowed_loss_and_metric_trains(objective: str) -> None:
    windows, targets = np.ones((4, 6, 3), np.float32), np.array([[0.0], [1.0], [1.0], [0.0]], np.float32)
    for loss in LOSSES[objective]:
        config = tiny_config(
            model__factory="linear",
            labels__objective=objective,
            model__loss=loss,
            model__metrics=METRICS[objective],
        )
        figures = build_model(config, 3).evaluate(windows, targets, verbose=0, return_dict=True)
        assert len(figures) >= len(METRICS[objective]) - 1  # two names of the mean squared error are one figure
        assert np.all(np.isfinite(list(figures.values())))


def test_an_unknown_factory_is_refused_in_one_line() -> None:
    with pytest.raises(ConfigError, match=r"^model.factory: 'oracle' is not known; choose one of lstm, gru, linear$"):
        build_model(tiny_config(model__factory="oracle"), 3)


def test_a_factory_of_the_user_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stockbot.model.FACTORIES", dict(FACTORIES))
    register_model("twin")(FACTORIES["linear"])
    from stockbot import model

    assert model.build_model(tiny_config(model__factory="twin"), 3).count_params() == 6 * 3 + 1
