"""What TensorBoard shows of a run; TensorBoard itself is not needed to write it."""

from collections.abc import Mapping
from pathlib import Path

import tensorflow as tf

FOLDER = "events"


class Events:
    """Scalars in event files, a file for each life of the run: `tensorboard --logdir artifacts/runs` reads them."""

    def __init__(self, folder: Path | None) -> None:
        """
        Args:
            folder: None writes nothing.
        """
        self._folder = folder
        self._writer: tf.summary.SummaryWriter | None = None
        self._scalar = tf.compat.v1.SummaryMetadata()  # tf.summary.scalar is TensorBoard's, which need not be installed
        self._scalar.plugin_data.plugin_name = "scalars"

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """Add figures at a step."""
        if self._folder is None:
            return
        self._writer = self._writer or tf.summary.create_file_writer(str(self._folder))
        with self._writer.as_default():
            for name, value in figures.items():
                tf.summary.write(name, tf.constant(value, tf.float32), step=step, metadata=self._scalar)
        self._writer.flush()
