"""The scale of losses for float16, whose smallest number is 6e-8: gradients below it would be 0."""

import tensorflow as tf

FIRST, LARGEST, SMALLEST = 2.0**15, 2.0**24, 1.0
GROWS_AFTER = 2000  # steps in turn whose gradients were finite


class LossScale:
    """Doubled when all gradients were finite for long, halved when one was not; that step changes no weight.

    Attributes:
        variables: scale and finite steps so far, which checkpoints keep.
    """

    def __init__(self) -> None:
        self.variables = [tf.Variable(FIRST, dtype=tf.float32), tf.Variable(0.0, dtype=tf.float32)]

    @property
    def value(self) -> "tf.Tensor":
        """What losses are multiplied with, and gradients divided by."""
        return self.variables[0].read_value()

    def update(self, finite: "tf.Tensor") -> None:
        """Take note of a step."""
        scale, good = self.variables
        steps = tf.where(finite, good + 1.0, 0.0)
        grown = tf.where(steps >= GROWS_AFTER, tf.minimum(scale * 2.0, LARGEST), scale)
        scale.assign(tf.where(finite, grown, tf.maximum(scale / 2.0, SMALLEST)))
        good.assign(tf.where(steps >= GROWS_AFTER, 0.0, steps))
