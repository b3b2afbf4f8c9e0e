"""Learning rates as functions of the number of the step."""

import math

import tensorflow as tf

from stockbot.config import TrainingConfig


def learning_rate(config: TrainingConfig, step: "tf.Tensor", steps: int) -> "tf.Tensor":
    """What a step learns with, float32: a linear rise over `warmup_steps`, then constant, or half a cosine down to 0.

    Args:
        step: int64, counted from 0 over all epochs. steps: of all epochs.
    """
    done = tf.cast(step, tf.float32)
    rate = tf.constant(config.learning_rate, tf.float32)
    if config.schedule == "cosine":
        share = (done - config.warmup_steps) / max(1, steps - config.warmup_steps)
        rate *= 0.5 * (1.0 + tf.cos(math.pi * tf.clip_by_value(share, 0.0, 1.0)))
    if config.warmup_steps:
        rate *= tf.minimum(1.0, (done + 1.0) / config.warmup_steps)
    return rate
