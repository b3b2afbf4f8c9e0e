"""A trained network as the files of Keras that a bundle holds."""

import logging
from pathlib import Path

import keras

BEST, FINAL, LEGACY = "best_model.keras", "final_model.keras", "best_model.h5"


def save_legacy(model: keras.Sequential, path: Path) -> None:
    """Write the .h5 beside the final model, which must be there: it is the larger file, and shows that there is room.

    Without the optimizer: Keras 3 cannot read back the losses that it writes into an .h5 file by name. When a disk
    fills up under HDF5 the process crashes, so the room is taken first.
    """
    path.write_bytes(bytes(path.with_name(FINAL).stat().st_size))
    absl = logging.getLogger("absl")
    level = absl.level
    absl.setLevel(logging.ERROR)  # it warns that .h5 is legacy, which is why this file is an export only
    try:
        model.save(path, include_optimizer=False)
    finally:
        absl.setLevel(level)
