"""Loss and metrics of many steps: each step adds what its windows contribute."""

import keras
import numpy as np
import tensorflow as tf

Sums = "list[tf.Tensor]"


class Figures:
    """The loss and the metrics of a pass, as sums that go on from step to step and over devices.

    Every metric of Keras that a configuration may name is a function of sums over windows, so that a step computes
    its own from zero, devices add theirs up, and the pass adds up the steps: in float64, because it has many.

    Attributes:
        variables: the sums, which a checkpoint within an epoch keeps.
    """

    def __init__(self, loss: str, metrics: list[str]) -> None:
        self._loss = keras.losses.get(loss)
        self._metrics = [_metric(name) for name in metrics]
        shapes = [(), (), *(tuple(variable.shape) for metric in self._metrics for variable in metric.variables)]
        self.variables = [tf.Variable(np.zeros(shape), dtype=tf.float64) for shape in shapes]

    def losses(self, targets: "tf.Tensor", outputs: "tf.Tensor") -> "tf.Tensor":
        """(windows,) the loss of each window."""
        return self._loss(targets, outputs)

    def zeros(self) -> "list[tf.Tensor]":
        """The sums of no window."""
        return [tf.zeros(variable.shape, tf.float32) for variable in self.variables]

    def of(self, targets: "tf.Tensor", outputs: "tf.Tensor", losses: "tf.Tensor") -> "list[tf.Tensor]":
        """The sums of these windows, float32.

        Args:
            losses: (windows,) weighted.
        """
        sums = [tf.reduce_sum(losses), tf.cast(tf.size(losses), tf.float32)]
        for metric in self._metrics:
            begin = [tf.zeros(variable.shape, variable.dtype) for variable in metric.variables]
            sums += [tf.cast(value, tf.float32) for value in metric.stateless_update_state(begin, targets, outputs)]
        return sums

    def add(self, sums: "list[tf.Tensor]") -> None:
        """Add what a step gave."""
        for variable, value in zip(self.variables, sums, strict=True):
            variable.assign_add(tf.cast(value, tf.float64))

    def reset(self) -> None:
        """Begin a pass."""
        for variable in self.variables:
            variable.assign(tf.zeros_like(variable))

    def results(self, prefix: str = "") -> dict[str, float]:
        """Loss and metrics of all steps since the beginning, by name."""
        loss, windows, *rest = [variable.numpy() for variable in self.variables]
        found = {"loss": float(loss / windows)}
        for metric in self._metrics:
            mine, rest = rest[: len(metric.variables)], rest[len(metric.variables) :]
            values = [tf.cast(value, variable.dtype) for value, variable in zip(mine, metric.variables, strict=True)]
            found[metric.name] = float(metric.stateless_result(values))
        return {f"{prefix}{name}": value for name, value in found.items()}


def _metric(name: str) -> keras.metrics.Metric:
    if name == "accuracy":  # of one probability a window
        return keras.metrics.BinaryAccuracy(name=name)
    found = keras.metrics.get(name)
    metric = found if isinstance(found, keras.metrics.Metric) else keras.metrics.MeanMetricWrapper(found, name=name)
    metric.update_state(np.ones((1, 1), np.float32), np.ones((1, 1), np.float32))  # some have no variables before
    return metric
