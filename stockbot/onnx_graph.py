"""Keras weights written as an ONNX graph, so that inference needs neither TensorFlow nor code from a file.

Keras's own export needs tf2onnx and a traced graph; the handful of layers used here map one to one.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from stockbot.errors import StockbotError

OPSET = 17
IR_VERSION = 9  # read by every onnxruntime since 1.16
INPUT, OUTPUT = "windows", "prediction"
ACTIVATIONS = {"sigmoid": "Sigmoid", "tanh": "Tanh", "relu": "Relu", "softplus": "Softplus"}


class Graph:
    """Nodes and weights so far, and the name and layout of the value that the next layer reads."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.value = INPUT
        self.time_major = False

    def add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Append a node whose last output becomes the current value."""
        outputs = [output] if operator not in ("LSTM", "GRU") else attributes.pop("outputs")
        self.nodes.append(helper.make_node(operator, inputs, outputs, name=output, **attributes))
        self.value = output
        return output

    def weight(self, name: str, array: np.ndarray) -> str:
        """Store an array in the model file."""
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def set_time_major(self, wanted: bool) -> None:
        """Swap batch and time; recurrent operators want (time, batch, features), Flatten the opposite."""
        if self.time_major != wanted:
            self.add("Transpose", [self.value], f"{self.value}_swapped", perm=[1, 0, 2])
            self.time_major = wanted


def onnx_bytes(model: Any) -> bytes:
    """The ONNX file of a Keras Sequential model: input `windows` (batch, lookback, features) float32,
    output `prediction` (batch, 1) float32.

    Raises:
        StockbotError: a layer, or an option of one, that has no translation here.
    """
    if type(model).__name__ != "Sequential":
        raise StockbotError(f"onnx: expected a keras.Sequential model, received {type(model).__name__}")
    graph = Graph()
    for layer in model.layers:
        kind = type(layer).__name__
        if kind not in TRANSLATIONS:
            raise StockbotError(
                f"onnx: layer {layer.name!r} is a {kind}, which has no translation; "
                f"expected one of {', '.join(TRANSLATIONS)}"
            )
        TRANSLATIONS[kind](graph, layer)
    return _serialise(graph, model.input_shape[1:], model.output_shape[1:])


def _serialise(graph: Graph, window: tuple[int, int], output: tuple[int, ...]) -> bytes:
    graph.add("Identity", [graph.value], OUTPUT)
    content = helper.make_graph(
        graph.nodes,
        "stockbot",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", *window])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", *output])],
        graph.weights,
    )
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(content, opset_imports=opset, ir_version=IR_VERSION, producer_name="stockbot")
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def _lstm(graph: Graph, layer: Any) -> None:
    _check_recurrent(layer)
    kernel, recurrent, bias = (np.asarray(weight) for weight in layer.get_weights())
    order = (0, 3, 1, 2)  # Keras: input forget cell output; ONNX: input output forget cell
    bias = np.concatenate([_gates(bias, order), np.zeros_like(bias)])
    _recurrent(graph, layer, "LSTM", [_gates(kernel, order), _gates(recurrent, order), bias])


def _gru(graph: Graph, layer: Any) -> None:
    _check_recurrent(layer)
    kernel, recurrent, bias = (np.asarray(weight) for weight in layer.get_weights())
    both = bias if layer.reset_after else np.stack([bias, np.zeros_like(bias)])
    # Gates are update, reset, candidate in both; linear_before_reset is what Keras calls reset_after.
    _recurrent(graph, layer, "GRU", [kernel, recurrent, both.ravel()], linear_before_reset=int(layer.reset_after))


def _recurrent(graph: Graph, layer: Any, operator: str, weights: list[np.ndarray], **attributes: int) -> None:
    kernel, recurrent, bias = weights
    graph.set_time_major(True)
    inputs = [
        graph.value,
        graph.weight(f"{layer.name}_W", kernel.T[None]),
        graph.weight(f"{layer.name}_R", recurrent.T[None]),
        graph.weight(f"{layer.name}_B", bias[None]),
    ]
    raw = f"{layer.name}_raw"
    outputs, axis = ([raw], 1) if layer.return_sequences else (["", raw], 0)
    graph.add(operator, inputs, raw, outputs=outputs, hidden_size=layer.units, **attributes)
    axes = graph.weight(f"{layer.name}_direction", np.array([axis], dtype=np.int64))
    graph.add("Squeeze", [raw, axes], f"{layer.name}_out")
    graph.time_major = layer.return_sequences


def _gates(array: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    blocks = np.split(array, 4, axis=-1)
    return np.concatenate([blocks[gate] for gate in order], axis=-1)


def _check_recurrent(layer: Any) -> None:
    expected = {
        "activation": "tanh",
        "recurrent_activation": "sigmoid",
        "use_bias": True,
        "go_backwards": False,
        "stateful": False,
        "return_state": False,
    }
    for option, value in expected.items():
        found = getattr(layer, option)
        found = getattr(found, "__name__", found)
        if found != value:
            raise StockbotError(f"onnx: layer {layer.name!r} has {option}={found!r}, only {value!r} has a translation")


def _dense(graph: Graph, layer: Any) -> None:
    weights = layer.get_weights()
    kernel = graph.weight(f"{layer.name}_kernel", weights[0])
    graph.add("MatMul", [graph.value, kernel], f"{layer.name}_product")
    if layer.use_bias:
        graph.add("Add", [graph.value, graph.weight(f"{layer.name}_bias", weights[1])], f"{layer.name}_sum")
    activation = layer.activation.__name__
    if activation == "linear":
        return
    if activation not in ACTIVATIONS:
        raise StockbotError(
            f"onnx: layer {layer.name!r} has activation {activation!r}, expected linear or one of "
            f"{', '.join(ACTIVATIONS)}"
        )
    graph.add(ACTIVATIONS[activation], [graph.value], f"{layer.name}_{activation}")


def _batch_norm(graph: Graph, layer: Any) -> None:
    if layer.axis not in (-1, len(layer.input.shape) - 1):
        raise StockbotError(f"onnx: layer {layer.name!r} normalises axis {layer.axis}, expected the last one")
    mean = np.asarray(layer.moving_mean, dtype=np.float64)
    scale = 1.0 / np.sqrt(np.asarray(layer.moving_variance, dtype=np.float64) + layer.epsilon)
    if layer.scale:
        scale = scale * np.asarray(layer.gamma, dtype=np.float64)
    shift = -mean * scale
    if layer.center:
        shift = shift + np.asarray(layer.beta, dtype=np.float64)
    factor = graph.weight(f"{layer.name}_scale", scale.astype(np.float32))
    graph.add("Mul", [graph.value, factor], f"{layer.name}_scaled")
    graph.add("Add", [graph.value, graph.weight(f"{layer.name}_shift", shift.astype(np.float32))], layer.name)


def _flatten(graph: Graph, layer: Any) -> None:
    graph.set_time_major(False)
    graph.add("Flatten", [graph.value], layer.name, axis=1)


def _identity(graph: Graph, layer: Any) -> None:
    """Dropout and the input do nothing at inference."""


TRANSLATIONS: dict[str, Callable[[Graph, Any], None]] = {
    "LSTM": _lstm,
    "GRU": _gru,
    "Dense": _dense,
    "BatchNormalization": _batch_norm,
    "Flatten": _flatten,
    "Dropout": _identity,
    "InputLayer": _identity,
}
