"""One step on any number of devices: gradients of a batch, summed, clipped and applied, compiled as a whole."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from stockbot.config import TrainingConfig
from stockbot.fit.devices import Devices
from stockbot.fit.figures import Figures
from stockbot.fit.network import Network, Place
from stockbot.fit.rates import learning_rate
from stockbot.fit.scaling import LossScale

SUM, MEAN = tf.distribute.ReduceOp.SUM, tf.distribute.ReduceOp.MEAN


class Steps:
    """Steps of training and of evaluation for a model, and all that they change.

    The loss of a batch is the sum over its windows by their number, whoever computes them: a device sums over its
    share, the sums of all devices are added, and what follows (clipping, Adam) sees the gradient of the whole batch.
    Keras's own optimizers clip before they add up, which is another model on two devices than on one.

    Attributes:
        model: holds the weights and the optimizer. figures: of the pass under way.
        xla: whether steps are compiled by XLA.
    """

    def __init__(
        self, model: keras.Sequential, config: TrainingConfig, devices: Devices, *, metrics: list[str], steps: int
    ) -> None:
        """
        Args:
            metrics: names. steps: of all epochs, for the schedule.
        """
        self.model, self._config, self._devices, self._steps = model, config, devices, steps
        self._network = Network(model, precision=config.precision, seed=config.seed, batch_size=config.batch_size)
        self.figures = Figures(model.loss, metrics)
        self._scale = LossScale() if config.precision == "mixed_float16" else None
        self.xla = False
        self._compiled: dict[tuple[bool, bool], Any] = {}
        with devices.strategy.scope():
            model.optimizer.build(self._network.weights)

    @property
    def variables(self) -> list[Any]:
        """All that a step of training reads and changes."""
        scale = self._scale.variables if self._scale is not None else []
        return [*self.exported, *self.figures.variables, *scale]

    @property
    def exported(self) -> list[Any]:
        """Those of the model and of its optimizer, which the files of Keras hold."""
        return [*self.model.variables, *self.model.optimizer.variables]

    def train(self, shares: "list[Any]", size: int, number: int) -> None:
        """Learn from a batch.

        Args:
            shares: of the devices of this process. size: windows of the batch. number: of the step, from 0.
        """
        self._call(shares, size, number, training=True)

    def evaluate(self, shares: "list[Any]", size: int) -> None:
        """Add a batch to the figures."""
        self._call(shares, size, 0, training=False)

    def _call(self, shares: "list[Any]", size: int, number: int, *, training: bool) -> None:
        share = self._together(shares)
        key = (training, self.xla)
        if key not in self._compiled:
            signature = [*_of_any_length(share), tf.TensorSpec((), tf.float32), tf.TensorSpec((), tf.int64)]
            function = self._train if training else self._evaluate
            self._compiled[key] = tf.function(
                function, input_signature=signature, jit_compile=self.xla and training, autograph=False
            )
        self._compiled[key](*share, tf.constant(size, tf.float32), tf.constant(number, tf.int64))

    def _together(self, shares: "list[Any]") -> Any:
        if self._devices.replicas == 1:
            return shares[0]
        first = self._devices.worker * len(shares)
        place = self._devices.strategy.experimental_distribute_values_from_function
        mine = [lambda at, part=part: shares[int(at.replica_id_in_sync_group) - first][part] for part in range(3)]
        return [place(part) for part in mine]

    def _train(self, inputs: Any, targets: Any, weights: Any, size: Any, number: Any) -> None:
        strategy = self._devices.strategy
        arguments = (inputs, targets, weights, size, number, True)
        gradients, moving, sums, finite = strategy.run(self._of_batch, args=arguments)
        self.figures.add([strategy.experimental_local_results(value)[0] for value in sums])
        if self._scale is None:
            self._apply(gradients, moving, number)
            return
        is_finite = strategy.experimental_local_results(finite)[0]
        tf.cond(is_finite, lambda: self._apply(gradients, moving, number), lambda: None)
        self._scale.update(is_finite)

    def _evaluate(self, inputs: Any, targets: Any, weights: Any, size: Any, number: Any) -> None:
        strategy = self._devices.strategy
        sums = strategy.run(self._of_batch, args=(inputs, targets, weights, size, number, False))[2]
        self.figures.add([strategy.experimental_local_results(value)[0] for value in sums])

    def _apply(self, gradients: Any, moving: Any, number: "tf.Tensor") -> None:
        """Change the variables, on every device in the same way."""
        update = self._devices.strategy.extended.update
        rate = learning_rate(self._config, number, self._steps)
        for variable, gradient in zip(self._network.weights, gradients, strict=True):
            update(variable.value, self._learn, args=(gradient, rate), group=False)
        for variable, value in zip(self._network.moving, moving, strict=True):
            update(variable.value, lambda target, new: target.assign(new), args=(value,), group=False)
        self.model.optimizer.iterations.assign_add(1)

    def _learn(self, variable: Any, gradient: "tf.Tensor", rate: "tf.Tensor") -> None:
        if self._config.weight_decay and len(variable.shape) > 1:
            variable.assign_sub(variable * (rate * self._config.weight_decay))
        self.model.optimizer.update_step(gradient, variable, rate)

    def _of_batch(self, inputs: Any, targets: Any, weights: Any, size: Any, number: Any, training: bool) -> Any:
        """Of the whole batch, called on each device with its share: gradients, moving averages, sums, and whether all
        gradients are finite."""
        context = tf.distribute.get_replica_context()
        device = tf.cast(context.replica_id_in_sync_group, tf.int64)
        place = Place(number, tf.cast(size, tf.int64) * device // self._devices.replicas)
        gradients, moving, sums = self._in_parts((inputs, targets, weights), size, place, training)
        if self._devices.replicas > 1:
            gradients, sums = context.all_reduce(SUM, [gradients, sums])
            moving = context.all_reduce(MEAN, moving) if moving else []
        return *self._clipped(gradients, moving), sums, _all_finite(gradients)

    def _clipped(self, gradients: Any, moving: Any) -> Any:
        if self._scale is not None:
            gradients = [gradient / self._scale.value for gradient in gradients]
        if self._config.clip_norm is not None and gradients:
            gradients, _ = tf.clip_by_global_norm(gradients, self._config.clip_norm)
        return gradients, moving

    def _in_parts(self, share: Any, size: "tf.Tensor", place: Place, training: bool) -> Any:
        """Gradients, moving averages and sums of a share, computed in parts of equal length, the last one shorter."""
        weights = [tf.convert_to_tensor(variable.value) for variable in self._network.weights]
        moving = [tf.convert_to_tensor(variable.value) for variable in self._network.moving]
        devices, parts = self._devices.replicas, self._config.accumulate
        if devices * parts == 1:
            return self._of_part(share, (weights, moving), size, place, training)
        rows = -(-self._config.batch_size // (devices * parts))
        count = tf.shape(share[0])[0]

        def add(part: Any, gradients: Any, moving: Any, sums: Any) -> Any:
            mine = [whole[part * rows : (part + 1) * rows] for whole in share]
            at = Place(place.step, place.window + tf.cast(part, tf.int64) * rows)
            found, moving, more = self._of_part(mine, (weights, moving), size, at, training)
            return part + 1, _added(gradients, found), moving, _added(sums, more)

        none = [tf.zeros_like(weight) for weight in weights] if training else []
        begin = (tf.constant(0), none, moving, self.figures.zeros())
        # One part after another, or the memory of all is needed at once; no part at all where a short batch has left
        # nothing for this device.
        return tf.while_loop(lambda part, *_: part * rows < count, add, begin, parallel_iterations=1)[1:]

    def _of_part(self, part: Any, state: Any, size: "tf.Tensor", place: Place, training: bool) -> Any:
        (inputs, targets, counts), (weights, moving) = part, state
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(weights)
            outputs, after = self._network(weights, moving, inputs, place if training else None)
            losses = self.figures.losses(targets, outputs) * counts
            loss = tf.reduce_sum(losses) / size
            if self._scale is not None:
                loss *= self._scale.value
        gradients = tape.gradient(loss, weights, unconnected_gradients="zero") if training else []
        return gradients, after, self.figures.of(targets, outputs, losses)


def _added(ones: Any, others: Any) -> "list[tf.Tensor]":
    return [one + other for one, other in zip(ones, others, strict=True)]


def _all_finite(gradients: Any) -> "tf.Tensor":
    return tf.reduce_all([tf.reduce_all(tf.math.is_finite(gradient)) for gradient in gradients] or [True])


def _of_any_length(share: Any) -> list[Any]:
    """Specifications of the parts of a share for batches of any size: a short one must not change the program."""
    return [_lengthless(tf.type_spec_from_value(part)) for part in share]


def _lengthless(spec: Any) -> Any:
    if isinstance(spec, tf.TensorSpec):
        return tf.TensorSpec((None, *spec.shape[1:]), spec.dtype)
    parts = tf.nest.flatten(spec, expand_composites=True)  # of tensors on several devices
    return type(spec)(*(_lengthless(part) for part in parts))


def snapshot(variables: list[Any]) -> list[np.ndarray]:
    """Copies of their values."""
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def restore(variables: list[Any], values: list[np.ndarray]) -> None:
    """Give variables these values, on all devices."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
