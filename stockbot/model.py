"""Networks by name: `build_model(config, n_features)` gives a compiled Keras model (extra `train`)."""

import os
from collections.abc import Callable

from stockbot.config import Config
from stockbot.errors import ConfigError
from stockbot.native_output import native_stderr_held

# TensorFlow's C++ reports a missing GPU as an error at every start. The training log names the devices instead;
# set the variable to 0 to see everything.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

with native_stderr_held():  # some lines come before TensorFlow reads the variable
    import keras


Factory = Callable[[Config, int], keras.Sequential]
FACTORIES: dict[str, Factory] = {}


def register_model(name: str) -> Callable[[Factory], Factory]:
    """Make a factory selectable as `model.factory: NAME`; it returns an uncompiled Sequential model.

    Input shape: (batch, lookback, features) float32, scaled.
    Output shape: (batch, 1), built with `head`.
    """

    def register(factory: Factory) -> Factory:
        FACTORIES[name] = factory
        return factory

    return register


def build_model(config: Config, n_features: int) -> keras.Sequential:
    """The compiled model that a configuration describes.

    Input shape: (batch, lookback, n_features) float32, scaled.
    Output shape: (batch, 1): the label in units of `target_scale` (regression) or P(up) (direction).

    Raises:
        ConfigError: unknown factory.
    """
    require_factory(config)
    model = FACTORIES[config.model.factory](config, n_features)
    loss, metrics = objective(config)
    # jit_compile stays off for whoever loads the model: XLA has no cuDNN and breaks MirroredStrategy. Our own training
    # compiles its steps itself where that pays: fit/compiling.py.
    rate, decay = config.training.learning_rate, config.training.weight_decay
    model.compile(
        optimizer=keras.optimizers.AdamW(rate, weight_decay=decay) if decay else keras.optimizers.Adam(rate),
        loss=loss,
        metrics=metrics,
        jit_compile=False,
    )
    return model


def require_factory(config: Config) -> None:
    """Raises ConfigError when nobody registered `model.factory`."""
    if config.model.factory not in FACTORIES:
        raise ConfigError(f"model.factory: {config.model.factory!r} is not known; choose one of {', '.join(FACTORIES)}")


@register_model("lstm")
def stacked_lstm(config: Config, n_features: int) -> keras.Sequential:
    """LSTM layers of `lstm_units`, each followed by batch normalisation (if set) and dropout."""
    return _recurrent(config, n_features, keras.layers.LSTM)


@register_model("gru")
def stacked_gru(config: Config, n_features: int) -> keras.Sequential:
    """The same stack with GRU layers: three gates instead of four, a quarter fewer weights."""
    return _recurrent(config, n_features, keras.layers.GRU)


@register_model("linear")
def linear(config: Config, n_features: int) -> keras.Sequential:
    """One weight for each feature of each row: what a network has to beat."""
    window = keras.Input((config.windows.lookback, n_features), name="windows")
    return keras.Sequential([window, keras.layers.Flatten(name="flatten"), head(config)])


def head(config: Config) -> keras.layers.Layer:
    """The last layer: one number, squashed to a probability for the direction objective."""
    activation = "sigmoid" if config.labels.objective == "direction" else None
    return keras.layers.Dense(1, activation=activation, name="prediction")


def _recurrent(config: Config, n_features: int, cell: type[keras.layers.RNN]) -> keras.Sequential:
    # Activations, recurrent_dropout=0 and unroll=False are left as Keras has them: cuDNN takes no others.
    units = config.model.lstm_units
    layers: list[object] = [keras.Input((config.windows.lookback, n_features), name="windows")]
    for number, width in enumerate(units, start=1):
        layers.append(cell(width, return_sequences=number < len(units), name=f"recurrent_{number}"))
        if config.model.batch_norm:
            layers.append(keras.layers.BatchNormalization(name=f"batch_norm_{number}"))
        if config.model.dropout > 0:
            layers.append(keras.layers.Dropout(config.model.dropout, name=f"dropout_{number}"))
    return keras.Sequential([*layers, head(config)])


def objective(config: Config) -> tuple[str, list[str]]:
    """Names of the loss and the metrics; `auto` means those of the objective."""
    direction = config.labels.objective == "direction"
    loss = config.model.loss
    if loss == "auto":
        loss = "binary_crossentropy" if direction else "mean_squared_error"
    metrics = config.model.metrics
    if metrics == "auto":
        metrics = ["binary_accuracy"] if direction else ["mean_absolute_error"]
    return loss, metrics
