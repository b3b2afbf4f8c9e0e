"""A Keras model as a function of its weights: what is random in it follows from the number of the step alone."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

Tensors = "list[tf.Tensor]"


class Network:
    """A model called with weights that are handed in, in the precision of the computation.

    Nothing is kept between calls: masks of dropout follow from the seed and a counter, and moving averages of batch
    normalisation go in and come out. So a step that is done again, on this machine or after a kill, is the same step,
    and parts of a batch may be computed in a loop, where variables of a mirrored model must not be assigned.

    Attributes:
        weights: the trainable variables. moving: the others but for the states of generators.
    """

    def __init__(self, model: keras.Sequential, *, precision: str, seed: int) -> None:
        """
        Args:
            model: holds the variables, in float32. precision: a dtype policy of Keras. seed: of dropout.
        """
        self.weights = list(model.trainable_variables)
        self._frozen = list(model.non_trainable_variables)
        self.moving = [variable for variable in self._frozen if not _is_generator(variable)]
        self._called = model if precision == "float32" else _computing_in(model, precision)
        sources = np.random.SeedSequence(seed).spawn(len(self._frozen))
        self._seeds = [int(source.generate_state(1)[0] >> 1) for source in sources]

    def __call__(
        self, weights: Any, moving: Any, inputs: "tf.Tensor", draw: "tf.Tensor | None" = None
    ) -> "tuple[tf.Tensor, list[tf.Tensor]]":
        """Outputs as float32, and the moving averages after it.

        Args:
            draw: int64 number that no other part of a batch has; None outside training.
        """
        rest = iter(moving)
        state = [
            self._generator(number, variable, draw) if _is_generator(variable) else next(rest)
            for number, variable in enumerate(self._frozen)
        ]
        outputs, state = self._called.stateless_call(weights, state, inputs, training=draw is not None)
        kept = [value for variable, value in zip(self._frozen, state, strict=True) if not _is_generator(variable)]
        return tf.cast(outputs, tf.float32), kept

    def _generator(self, number: int, variable: Any, draw: "tf.Tensor | None") -> "tf.Tensor":
        at = tf.zeros((), tf.int64) if draw is None else draw
        return tf.cast(tf.stack([tf.constant(self._seeds[number], tf.int64), at]), variable.dtype)


def _is_generator(variable: Any) -> bool:
    return bool(variable.name == "seed_generator_state")


def _computing_in(model: keras.Sequential, precision: str) -> keras.Sequential:
    """The same layers in another precision but for the last one, whose outputs are compared with targets."""

    def layer_of(layer: keras.layers.Layer) -> keras.layers.Layer:
        changed = {} if layer is model.layers[-1] else {"dtype": precision}
        return type(layer).from_config(layer.get_config() | changed)

    return keras.models.clone_model(model, clone_function=layer_of)
