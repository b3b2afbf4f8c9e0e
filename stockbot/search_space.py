"""Which settings a search may change, and over what; every value that it can draw is a valid configuration."""

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from stockbot.config import Config, ModelConfig, TrainingConfig, parse_config
from stockbot.errors import ConfigError

if TYPE_CHECKING:
    import optuna

LOOKBACK = "windows.lookback"
# What changes the rows, the target or the meaning of the loss makes trials that cannot be compared; a seed that wins
# has won by chance; the rest changes nothing of the model.
SEARCHABLE = (
    LOOKBACK,
    "scaler",
    *(f"model.{name}" for name in ModelConfig.model_fields if name not in ("loss", "metrics")),
    *(
        f"training.{name}"
        for name in TrainingConfig.model_fields
        if name not in ("seed", "audit", "determinism", "checkpoint_steps", "xla")
    ),
)


class Axis(BaseModel):
    """The values of one setting: from `low` to `high`, both included, or one of `choices`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    low: float | None = None
    high: float | None = None
    step: float | None = Field(None, gt=0.0)
    log: bool = False
    choices: list[Any] | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def _is_one_or_the_other(self) -> Self:
        bounds = [self.low, self.high]
        if self.choices is not None:
            if bounds != [None, None] or self.step is not None or self.log:
                raise ValueError("expected {low, high} or {choices}, received both")
        elif self.low is None or self.high is None or not self.low < self.high:
            raise ValueError(f"expected low below high, or choices, received low {self.low} and high {self.high}")
        elif self.log and (self.low <= 0.0 or self.step is not None):
            raise ValueError("log: expected low above 0 and no step")
        elif self.step is not None and not _is_whole((self.high - self.low) / self.step):
            raise ValueError(f"step: expected one that leads from low to high, received {self.step}")
        return self

    @property
    def extremes(self) -> list[Any]:
        """All choices, or both ends."""
        return self.choices if self.choices is not None else [self.low, self.high]


@dataclass(frozen=True)
class Space:
    """The settings to search, around a configuration that gives all others."""

    base: Config
    axes: Mapping[str, Axis]

    @classmethod
    def parse(cls, stated: Mapping[str, Any], base: Config, origin: str) -> Self:
        """The space of dotted names and their ranges; `origin` names it in errors.

        Raises:
            ConfigError: a setting that is none (names the nearest), or not to be searched, or a value it cannot have.
        """
        if not stated:
            raise ConfigError(f"{origin}: expected a setting such as training.learning_rate, received none")
        space = cls(base, {name: _axis(name, values, origin) for name, values in stated.items()})
        for name, axis in space.axes.items():
            if axis.choices is None and type(_value(base, name)) not in (int, float):
                raise ConfigError(f"{origin}: `{name}`: expected choices, for it is no number; received low and high")
            if type(_value(base, name)) is int and not _is_whole(axis.step or 1.0):
                raise ConfigError(f"{origin}: `{name}.step`: expected a whole number, received {axis.step}")
            for value in axis.extremes:
                space.config({name: _as_of(base, name, value)}, origin)
        return space

    def config(self, chosen: Mapping[str, Any], origin: str = "trial") -> Config:
        """The base with these settings."""
        values = self.base.model_dump(mode="json")
        for name, value in chosen.items():
            *sections, last = name.split(".")
            inner = values
            for section in sections:
                inner = inner[section]
            inner[last] = value
        return parse_config(values, origin)

    def draw(self, trial: "optuna.Trial") -> dict[str, Any]:
        """What a trial is to try."""
        return {name: self._drawn(trial, name, axis) for name, axis in self.axes.items()}

    def _drawn(self, trial: "optuna.Trial", name: str, axis: Axis) -> Any:
        if axis.choices is not None:  # as text: a choice may be a list, which a study cannot keep
            return json.loads(trial.suggest_categorical(name, [json.dumps(choice) for choice in axis.choices]))
        low, high = axis.extremes
        if type(_value(self.base, name)) is int:
            return trial.suggest_int(name, int(low), int(high), step=int(axis.step or 1), log=axis.log)
        return trial.suggest_float(name, low, high, step=axis.step, log=axis.log)

    @property
    def longest(self) -> Config:
        """The base with the longest LOOKBACK that can be drawn."""
        if LOOKBACK not in self.axes:
            return self.base
        return self.config({LOOKBACK: int(max(self.axes[LOOKBACK].extremes))})


def _axis(name: str, values: Any, origin: str) -> Axis:
    if name not in SEARCHABLE:
        near = difflib.get_close_matches(name, SEARCHABLE, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"expected one of {', '.join(SEARCHABLE)}"
        raise ConfigError(f"{origin}: `{name}` is not a setting that can be searched; {hint}")
    try:
        return Axis.model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join([name, *map(str, problem["loc"])])
        message = problem["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{origin}: `{where}`: {message}; received {problem['input']!r}") from None


def _value(config: Config, name: str) -> Any:
    value: Any = config
    for part in name.split("."):
        value = getattr(value, part)
    return value


def _is_whole(number: float) -> bool:
    return abs(number - round(number)) < 1e-9  # 0.3 / 0.1 is not quite 3


def _as_of(config: Config, name: str, value: Any) -> Any:
    """A whole number where the setting is one; what is none stays, and is refused."""
    is_whole = type(_value(config, name)) is int and isinstance(value, float) and value.is_integer()
    return int(value) if is_whole else value
