"""GPUs as TensorFlow sees them: versions built for and found, and whether an LSTM gives on each what the CPU gives."""

import ctypes
from pathlib import Path
from typing import Any

from stockbot.model import build_model  # first: it sets what TensorFlow reads at import

# isort: split
import numpy as np
import tensorflow as tf

from stockbot.config import Config

# Library, its folder among NVIDIA's packages, the function that tells its version, and the units of a major and a minor
# number in the answer: 12090 is CUDA 12.9, 92800 cuDNN 9.28.0, 23203 NCCL 2.32.3.
LIBRARIES = {
    "cuda": ("libcudart.so.12", "cuda_runtime", "cudaRuntimeGetVersion", (1000, 10)),
    "cudnn": ("libcudnn.so.9", "cudnn", "cudnnGetVersion", (10_000, 100)),
    "nccl": ("libnccl.so.2", "nccl", "ncclGetVersion", (10_000, 100)),
}

# The largest difference to the CPU that is still arithmetic, as a share of the largest value. TensorFlow lets GPUs from
# Ampere on multiply with ten bits of mantissa (TF32), which errs by 1e-3; gates in another order err by 1.
TOLERANCE = 1e-2

LOOKBACK, FEATURES, WINDOWS = 12, 4, 16


def examine_gpus() -> dict[str, Any]:
    """What TensorFlow was built for, what of it is here, and each GPU that it sees, with the outcome of a trial."""
    devices = tf.config.list_physical_devices("GPU")
    built = tf.sysconfig.get_build_info()
    return {
        "version": tf.__version__,
        "built_for": {
            "cuda": built.get("cuda_version"),
            "cudnn": built.get("cudnn_version"),
            "compute_capabilities": list(built.get("cuda_compute_capabilities", [])),
        },
        "found": {name: _library_version(*where) for name, where in LIBRARIES.items()},
        "visible": [_describe(device) for device in devices],
    }


def try_lstm(device: str) -> dict[str, Any]:
    """Run the model of the project, made small, forward and backward on a device and on the CPU, and compare.

    Args:
        device: `GPU:0`, `CPU:1` ...

    Returns:
        cudnn: whether its LSTM is cuDNN's on that device.
        difference: the largest between outputs and gradients here and on the CPU, as a share of the largest value.
        busy: the device has no memory left, so that nothing was tried.
        problem: what is wrong and how to mend it; None when nothing is.
    """
    try:
        expected, _ = _step("CPU:0", use_cudnn=False)
        received, cudnn = _step(device, use_cudnn="auto")
    except (tf.errors.OpError, RuntimeError) as error:
        return _failed(device, str(error))
    difference = max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(received, expected, strict=True))
    outcome = {"cudnn": cudnn, "difference": difference, "busy": False}
    return outcome | {"problem": _problem(device, cudnn=cudnn, difference=difference)}


def _describe(device: "tf.config.PhysicalDevice") -> dict[str, Any]:
    name = device.name.removeprefix("/physical_device:")
    _take_memory_as_needed(device)
    details = tf.config.experimental.get_device_details(device)
    capability = details.get("compute_capability")
    return {
        "device": name,
        "model": details.get("device_name"),
        "compute_capability": capability and ".".join(map(str, capability)),
        **try_lstm(name),
    }


def _take_memory_as_needed(device: "tf.config.PhysicalDevice") -> None:
    """A look must not take all memory of a GPU that another process trains on, as TensorFlow does by default."""
    tf.config.experimental.set_memory_growth(device, True)


def _step(device: str, *, use_cudnn: bool | str) -> tuple[list[Any], bool]:
    """Outputs and gradients of one step, and whether cuDNN's LSTM is in its graph.

    Where a GPU is visible Keras takes cuDNN on the CPU too, and TensorFlow then moves it to the GPU: `use_cudnn=False`
    keeps the step where it belongs.
    """
    source = np.random.default_rng(0)
    windows = source.normal(size=(WINDOWS, LOOKBACK, FEATURES)).astype(np.float32)
    with tf.device(device):
        config = Config.model_validate({"windows": {"lookback": LOOKBACK}, "model": {"lstm_units": [8]}})
        model = build_model(config, FEATURES)
        model.get_layer("recurrent_1").use_cudnn = use_cudnn
        model.set_weights([source.normal(size=weight.shape, scale=0.5) for weight in model.get_weights()])

        def step() -> list[Any]:
            with tf.GradientTape() as tape:
                outputs = model(windows, training=False)  # dropout draws other numbers on each device
                loss = tf.reduce_mean(tf.square(outputs))
            return [outputs, *tape.gradient(loss, [weight.value for weight in model.trainable_weights])]

        compiled = tf.function(step).get_concrete_function()
        operations = {operation.type for operation in compiled.graph.get_operations()}
        return [tensor.numpy() for tensor in compiled()], any(name.startswith("CudnnRNN") for name in operations)


def _failed(device: str, message: str) -> dict[str, Any]:
    outcome = {"cudnn": None, "difference": None, "busy": "out of memory" in message.lower().replace("_", " ")}
    if outcome["busy"]:
        return outcome | {"problem": None}
    first = message.strip().splitlines()[0] if message.strip() else "no message"
    return outcome | {"problem": f"{device}: an LSTM cannot run on it: {first}; see docs/gpu.md, `doctor --gpu`"}


def _problem(device: str, *, cudnn: bool, difference: float) -> str | None:
    if not difference <= TOLERANCE:  # not a number is wrong, too
        return (
            f"{device}: an LSTM differs from the CPU by {difference:.2g} of the largest value, expected at most "
            f"{TOLERANCE:.2g}; update the driver, and do not train on this device until it agrees"
        )
    if device.startswith("GPU") and not cudnn:
        return f"{device}: LSTMs run without cuDNN, which is many times slower; pip install 'stockbot-hp[gpu]'"
    return None


def _library_version(file: str, folder: str, function: str, units: tuple[int, int]) -> str | None:
    """The version that a library tells of itself: NVIDIA's package of it, which TensorFlow prefers, or the system's."""
    packaged = Path(tf.__file__).parents[1] / "nvidia" / folder / "lib" / file
    try:
        tell = getattr(ctypes.CDLL(str(packaged) if packaged.exists() else file), function)
    except (OSError, AttributeError):
        return None
    number = ctypes.c_int()
    answer = tell(ctypes.byref(number))  # cuDNN returns its version, the others write it and return 0 for success
    value, parts = number.value or answer, []
    for unit in units:
        parts.append(value // unit)
        value %= unit
    return ".".join(map(str, [*parts, value]))
