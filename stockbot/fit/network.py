"""A Keras model as a function of its weights: what is random in it follows from the number of the step alone."""

from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

_STEP_BITS = 31  # of the first number of a generator's state, which is seed and step; the second is the place


class Place(NamedTuple):
    """Where in a training a call is: which step, and which window of its batch comes first; int64 both."""

    step: "tf.Tensor"
    window: "tf.Tensor"


class Network:
    """A model called with weights that are handed in, in the precision of the computation.

    Nothing is kept between calls: masks of dropout follow from seed, step and place in the batch, and moving averages
    of batch normalisation go in and come out. So a step that is done again is the same step, on one device or on
    several, and parts of a batch may be computed in a loop, where variables of a mirrored model must not be assigned.

    Attributes:
        weights: the trainable variables. moving: the others but for the states of generators.
    """

    def __init__(self, model: keras.Sequential, *, precision: str, seed: int, batch_size: int) -> None:
        """
        Args:
            model: holds the variables, in float32. precision: a dtype policy of Keras. seed: of dropout.
        """
        self.weights = list(model.trainable_variables)
        self._frozen = list(model.non_trainable_variables)
        self.moving = [variable for variable in self._frozen if not _is_generator(variable)]
        self._called = _computing_in(model, precision, batch_size)
        sources = np.random.SeedSequence(seed).spawn(len(self._frozen))
        self._seeds = [int(source.generate_state(1)[0] >> 1) for source in sources]

    def __call__(
        self, weights: Any, moving: Any, inputs: "tf.Tensor", place: Place | None = None
    ) -> "tuple[tf.Tensor, list[tf.Tensor]]":
        """Outputs as float32, and the moving averages after it.

        Args:
            place: None outside training.
        """
        rest = iter(moving)
        state = [
            self._generator(number, variable, place) if _is_generator(variable) else next(rest)
            for number, variable in enumerate(self._frozen)
        ]
        outputs, state = self._called.stateless_call(weights, state, inputs, training=place is not None)
        kept = [value for variable, value in zip(self._frozen, state, strict=True) if not _is_generator(variable)]
        return tf.cast(outputs, tf.float32), kept

    def _generator(self, number: int, variable: Any, place: Place | None) -> "tf.Tensor":
        seed = tf.constant(self._seeds[number] << _STEP_BITS, tf.int64)
        state = [seed, tf.zeros((), tf.int64)] if place is None else [seed + place.step, place.window]
        return tf.cast(tf.stack(state), variable.dtype)


class _Dropout(keras.layers.Dropout):  # type: ignore[misc]
    """Draws the mask of the whole batch, and takes the rows of the windows that it is called with.

    The generator is named because XLA's own choice takes 30 to 90 times as long on a CPU: 5 ms for 256 windows of 64
    units, a quarter of a step.
    """

    batch_size = 0

    def call(self, inputs: "tf.Tensor", training: bool = False) -> "tf.Tensor":
        if not training or self.rate == 0.0:
            return inputs
        state = tf.cast(tf.convert_to_tensor(self.seed_generator.state), tf.int64)
        key = tf.stack([state[0] // (1 << _STEP_BITS), state[0] % (1 << _STEP_BITS)])
        drawn = tf.random.stateless_uniform((self.batch_size, *inputs.shape[1:]), key, alg="philox")
        # No slice: XLA wants to know where one begins, and would compile each step anew.
        mine = tf.gather(drawn, state[1] + tf.range(tf.shape(inputs)[0], dtype=tf.int64))
        return inputs * (tf.cast(mine >= self.rate, inputs.dtype) / (1.0 - self.rate))


def _is_generator(variable: Any) -> bool:
    return bool(variable.name == "seed_generator_state")


def _computing_in(model: keras.Sequential, precision: str, batch_size: int) -> keras.Sequential:
    """The same layers in another precision, but for the last one, whose outputs are compared with targets."""

    def layer_of(layer: keras.layers.Layer) -> keras.layers.Layer:
        is_dropout = type(layer) is keras.layers.Dropout and layer.noise_shape is None
        changed = {} if layer is model.layers[-1] else {"dtype": precision}
        made = (_Dropout if is_dropout else type(layer)).from_config(layer.get_config() | changed)
        if is_dropout:
            made.batch_size = batch_size
        return made

    return keras.models.clone_model(model, clone_function=layer_of)
