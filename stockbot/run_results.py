"""What a run that trained leaves in its folder: its figures, the hashes of what it made, and pictures."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.files import canonical_json, pretty_json, sha256_bytes, write_atomic
from stockbot.run_folder import record_run
from stockbot.run_plots import Compared, plot_loss, plot_predictions

if TYPE_CHECKING:
    from stockbot.fit import Fitted

HISTORY, LOSS_PLOT, PREDICTIONS_PLOT = "history.json", "loss.png", "predictions.png"


def keep_history(run: Path, fitted: "Fitted", metrics: Mapping[str, Any]) -> None:
    """The losses of each epoch as numbers and as a picture, the figures and what was measured beside them.

    Args:
        metrics: as the manifest has them; intervals stay there.
    """
    write_atomic(run / HISTORY, pretty_json(fitted.history))
    plot_loss(fitted.history, fitted.best_epoch, run / LOSS_PLOT)
    share = fitted.about.get("input_wait_share")
    record_run(run, {"metrics": without_intervals(metrics), "input_wait_share": share})


def keep_model(run: Path, fitted: "Fitted", onnx: bytes, predicted: Mapping[str, Compared], objective: str) -> None:
    """The hashes by which `reproduce` knows the same model again, and a picture of what it says of each part.

    Args:
        predicted: of each part, as `plot_predictions` takes them.
    """
    plot_predictions(predicted, objective, run / PREDICTIONS_PLOT)
    record_run(run, {"hashes": hashes(fitted, onnx)})


def hashes(fitted: "Fitted", onnx: bytes) -> dict[str, str]:
    """SHA-256 of the best weights, of `model.onnx` and of the figures of all epochs, each of bits alone.

    Files of Keras are no measure: they hold the time at which they were written.
    """
    return {
        "weights": _of_arrays(fitted.model.get_weights()),
        "model.onnx": sha256_bytes(onnx),
        "history": sha256_bytes(canonical_json(fitted.history)),
    }


def without_intervals(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The same figures without `statistics`, which depend on how many runs there were before."""
    parts = {"validation", "test"} & metrics.keys()
    kept = {name: value for name, value in metrics.items() if name not in parts}
    return kept | {
        part: {name: value for name, value in metrics[part].items() if name != "statistics"} for part in sorted(parts)
    }


def _of_arrays(arrays: "list[np.ndarray]") -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
