"""ONNX Runtime on one thread: what training checks, evaluation scores and the live runner asks."""

from functools import cached_property

import numpy as np
import onnxruntime

from kernels.windows import gather_windows
from stockbot.errors import ArtifactError

# 256 windows of 60 x 19 float32 are 1.2 MB: larger batches leave the cache and were no faster.
BATCH_WINDOWS = 256


class OnnxModel:
    """A model file in memory; `session` starts on first use.

    Attributes:
        content: bytes of the ONNX file.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content

    @cached_property
    def session(self) -> onnxruntime.InferenceSession:
        """The ONNX Runtime session, one thread: more threads cost latency on single windows.

        Raises:
            ArtifactError: not an ONNX model that this version of ONNX Runtime reads.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        try:
            return onnxruntime.InferenceSession(self.content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises classes of its C++ core without a common public base
            reason = str(error).splitlines()[0]
            raise ArtifactError(f"model.onnx: ONNX Runtime cannot read it: {reason}; train again") from error

    @property
    def window_shape(self) -> tuple[int, int]:
        """(lookback, features) that the graph expects."""
        _, lookback, features = self.session.get_inputs()[0].shape
        return lookback, features

    def outputs(self, windows: np.ndarray) -> np.ndarray:
        """Model outputs, (batch,) float32, in the units the network was trained in.

        Args:
            windows: (batch, lookback, features) float32, scaled.
        """
        result = self.session.run(None, {self.session.get_inputs()[0].name: windows})[0]
        return np.asarray(result)[:, 0]

    def outputs_at(self, matrix: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """Model outputs of many windows of one matrix, (windows,) float64, batch by batch.

        Args:
            matrix: (rows, features) float32, scaled, C-contiguous.
            starts: (windows,) int64, first row of each window.
        """
        lookback = self.window_shape[0]
        found = np.empty(len(starts), dtype=np.float64)
        for begin in range(0, len(starts), BATCH_WINDOWS):
            chosen = starts[begin : begin + BATCH_WINDOWS]
            found[begin : begin + len(chosen)] = self.outputs(gather_windows(matrix, chosen, lookback))
        return found
