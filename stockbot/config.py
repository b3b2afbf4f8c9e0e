"""`config.yaml`: every knob, its type, its default and its limits. Unknown keys are refused."""

import copy
import difflib
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from pipelines.errors import DataError
from pipelines.reasons import DEFAULT_POLICY, Action, whole_policy
from stockbot.errors import ConfigError

_UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9}


def duration_ns(text: str) -> int:
    """Nanoseconds in a duration such as `500ms`, `1s`, `5m`, `1h` or `1d`.

    Raises:
        ValueError: not a whole number followed by ns, us, ms, s, m, h or d.
    """
    match = re.fullmatch(r"(\d+)(ns|us|ms|s|m|h|d)", text)
    if not match or int(match[1]) == 0:
        raise ValueError(f"expected a duration such as 500ms, 1s, 5m, 1h or 1d, received {text!r}")
    return int(match[1]) * _UNITS[match[2]]


def byte_count(text: str) -> int:
    """Bytes in a size such as `512MB` or `4GB`, of 1000 * 1000 * ... bytes.

    Raises:
        ValueError: not a whole number followed by MB or GB.
    """
    match = re.fullmatch(r"(\d+)(MB|GB)", text)
    if not match:
        raise ValueError(f"expected a size such as 512MB or 4GB, received {text!r}")
    return int(match[1]) * {"MB": 10**6, "GB": 10**9}[match[2]]


def _check_bytes(text: str) -> str:
    byte_count(text)
    return text


def _check_duration(text: str) -> str:
    duration_ns(text)
    return text


def _check_gap(value: Any) -> str:
    if value == "auto":
        return "auto"
    try:
        duration_ns(str(value))
    except ValueError:
        raise ValueError(f"expected auto or a duration such as 30s, 10m or 3d, received {value!r}") from None
    return str(value)


Duration = Annotated[str, AfterValidator(_check_duration)]
Gap = Annotated[str, BeforeValidator(_check_gap)]
Bytes = Annotated[str, AfterValidator(_check_bytes)]
Fraction = Annotated[float, Field(gt=0.0, lt=1.0)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SourceConfig(_Section):
    """Hints for reading the archive; whatever is left out is detected."""

    kind: Literal["trades", "quotes", "candles"] | None = None
    columns: dict[str, str | int] = {}
    timezone: str | None = None
    date_order: Literal["ymd", "dmy", "mdy"] | None = None
    time_unit: Literal["s", "ms", "us", "ns", "ms_of_day"] | None = None
    symbol: str | None = None
    table: str | None = None
    timeframe: str | None = None
    delimiter: str | None = None
    header: bool | None = None
    calendar: str | None = None


class QualityConfig(_Section):
    """What is done with rows that may be no market data, by the reason; and what a gap is."""

    policy: dict[str, Action] = Field(default_factory=lambda: dict(DEFAULT_POLICY))
    max_gap: Gap = "auto"

    @field_validator("policy", mode="before")
    @classmethod
    def _whole(cls, stated: Any) -> Any:
        if not isinstance(stated, dict):
            return stated
        try:
            return whole_policy(stated)
        except DataError as error:
            raise ValueError(str(error).removeprefix("quality.policy.")) from None


class BarsConfig(_Section):
    """How ticks become bars; candles are bars already and pass through."""

    kind: Literal["none", "time", "tick", "volume", "dollar"] = "time"
    size: str | float = "1m"

    @model_validator(mode="after")
    def _size_fits_kind(self) -> Self:
        if self.kind == "time":
            duration_ns(str(self.size))
        elif self.kind != "none" and (isinstance(self.size, str) or self.size <= 0):
            raise ValueError(f"`size` of {self.kind} bars: expected a number above 0, received {self.size!r}")
        elif self.kind == "tick" and self.size != int(float(self.size)):
            raise ValueError(f"`size` of tick bars: expected a whole number of ticks, received {self.size!r}")
        return self


class StoreConfig(_Section):
    """What a feature store holds, and how its files are encoded; `docs/encoding.md` has the measurements."""

    materialize: Literal["all", "input", "none"] = "all"
    codec: Literal["none", "snappy", "lz4", "zstd"] = "lz4"
    level: int | None = Field(None, ge=1, le=22)
    row_group_rows: int = Field(125_000, ge=1024, le=1 << 24)

    @model_validator(mode="after")
    def _level_fits_codec(self) -> Self:
        if self.level is not None and self.codec != "zstd":
            raise ValueError(f"`level` of {self.codec}: expected null, levels are of zstd; received {self.level}")
        return self


class LabelsConfig(_Section):
    """What the model learns to say about the HORIZON rows ahead."""

    objective: Literal["regression", "direction"] = "regression"
    horizon: int = Field(5, ge=1)
    dead_zone: float = Field(0.0, ge=0.0)


class WindowsConfig(_Section):
    """What the model sees: LOOKBACK rows, never across a gap."""

    lookback: int = Field(60, ge=1)
    max_gap: Gap = "auto"


class SplitConfig(_Section):
    """Where time is cut: shares of the decision times, or the date at which a part begins."""

    validation: Fraction | date = 0.15
    test: Fraction | date = 0.15
    embargo: int = Field(0, ge=0)


class ModelConfig(_Section):
    """Which network, and its size."""

    factory: str = "lstm"
    lstm_units: list[Annotated[int, Field(ge=1)]] = Field([64], min_length=1)
    dropout: float = Field(0.1, ge=0.0, lt=1.0)
    batch_norm: bool = False
    loss: str = "auto"
    metrics: Literal["auto"] | list[str] = "auto"


class LoaderConfig(_Section):
    """Where rows are while a model trains on their windows."""

    placement: Literal["auto", "memory", "streamed"] = "auto"
    budget: Bytes = "4GB"


class TrainingConfig(_Section):
    """How long, how fast and how exactly it learns."""

    batch_size: int = Field(256, ge=1)
    epochs: int = Field(20, ge=1)
    learning_rate: float = Field(1e-3, gt=0.0)
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_steps: int = Field(0, ge=0)
    weight_decay: float = Field(0.0, ge=0.0)
    clip_norm: Annotated[float, Field(gt=0.0)] | None = None
    weights: list[Literal["class", "uniqueness"]] = []
    patience: int = Field(4, ge=1)
    seed: int = Field(42, ge=0, lt=2**31)
    determinism: Literal["bitwise", "seeded", "fast"] = "bitwise"
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    accumulate: int = Field(1, ge=1)
    xla: Literal["auto"] | bool = "auto"
    checkpoint_steps: int = Field(500, ge=1)
    worker_wait: Duration = "5m"
    audit: bool = True

    @model_validator(mode="after")
    def _parts_of_a_batch_hold_windows(self) -> Self:
        if self.accumulate > self.batch_size:
            raise ValueError(
                f"`training.accumulate`: expected at most training.batch_size ({self.batch_size}), "
                f"received {self.accumulate}"
            )
        return self

    @model_validator(mode="after")
    def _xla_compiles_batches_in_one_part(self) -> Self:
        if self.xla is True and self.accumulate > 1:
            raise ValueError(
                f"`training.xla`: expected auto or false where training.accumulate is over 1, "
                f"received true and {self.accumulate}"
            )
        return self


class CostsConfig(_Section):
    """What one side of a trade costs, in basis points of its notional."""

    fee_bps: float = Field(1.0, ge=0.0)
    slippage_bps: float = Field(0.5, ge=0.0)


class LiveConfig(_Section):
    """When the runner speaks. It is a dry run unless `enabled` is true and `--live` is given."""

    enabled: bool = False
    threshold_bps: Literal["costs"] | Annotated[float, Field(ge=0.0)] = "costs"
    min_probability: float = Field(0.55, ge=0.5, lt=1.0)
    max_signal_age: Duration = "5m"


class PromotionConfig(_Section):
    """What a candidate must show to replace the current model."""

    min_windows: int = Field(200, ge=1)
    min_improvement: float = Field(0.0, ge=0.0, lt=1.0)


class TuneConfig(_Section):
    """What `tune` searches: settings by dotted name, each {low, high, step or log} or {choices}."""

    trials: int = Field(20, ge=1)
    space: dict[str, dict[str, Any]] = Field(default_factory=lambda: copy.deepcopy(DEFAULT_SPACE))


class PathsConfig(_Section):
    """Where things live, relative to the working folder."""

    store: str = "data/features"
    artifacts: str = "artifacts"


# Keras names that mean something for the one number a window that a model of each objective gives.
LOSSES = {
    "regression": ["mean_squared_error", "mse", "mean_absolute_error", "mae", "huber", "log_cosh"],
    "direction": ["binary_crossentropy", "bce", "binary_focal_crossentropy", "mean_squared_error", "mse"],
}
METRICS = {
    "regression": ["mean_absolute_error", "mae", "mean_squared_error", "mse", "root_mean_squared_error", "r2_score"],
    "direction": ["binary_accuracy", "accuracy", "auc", "precision", "recall", "binary_crossentropy",
                  "mean_squared_error", "mse"],
}  # fmt: skip

DEFAULT_SPACE: dict[str, dict[str, Any]] = {
    "training.learning_rate": {"low": 0.0001, "high": 0.01, "log": True},
    "model.lstm_units": {"choices": [[32], [64], [128, 64]]},
    "model.dropout": {"low": 0.0, "high": 0.4, "step": 0.1},
    "windows.lookback": {"low": 30, "high": 120, "step": 30},
}
DEFAULT_FEATURES = ["core17"]


class Config(_Section):
    """The whole of `config.yaml`."""

    source: SourceConfig = SourceConfig()
    quality: QualityConfig = QualityConfig()
    bars: BarsConfig = BarsConfig()
    features: list[str] = Field(DEFAULT_FEATURES, min_length=1)
    feature_modules: list[str] = []
    store: StoreConfig = StoreConfig()
    labels: LabelsConfig = LabelsConfig()
    windows: WindowsConfig = WindowsConfig()
    split: SplitConfig = SplitConfig()
    scaler: Literal["standard", "robust"] = "standard"
    model: ModelConfig = ModelConfig()
    loader: LoaderConfig = LoaderConfig()
    training: TrainingConfig = TrainingConfig()
    costs: CostsConfig = CostsConfig()
    live: LiveConfig = LiveConfig()
    promotion: PromotionConfig = PromotionConfig()
    tune: TuneConfig = TuneConfig()
    paths: PathsConfig = PathsConfig()

    @model_validator(mode="before")
    @classmethod
    def _empty_sections_are_defaults(cls, values: Any) -> Any:
        """A section all of whose lines are comments is null in YAML."""
        if not isinstance(values, dict):
            return values
        sections = {name for name, field in cls.model_fields.items() if isinstance(field.default, _Section)}
        return {name: value for name, value in values.items() if value is not None or name not in sections}

    @model_validator(mode="after")
    def _loss_and_metrics_fit_objective(self) -> Self:
        objective, metrics = self.labels.objective, self.model.metrics
        _require_fitting("loss", [self.model.loss], [*LOSSES[objective], "auto"], objective)
        if "class" in self.training.weights and objective != "direction":
            raise ValueError("`training.weights`: class weights need labels.objective direction, received regression")
        _require_fitting("metrics", [] if metrics == "auto" else metrics, METRICS[objective], objective)
        return self

    def to_yaml(self) -> str:
        """The resolved configuration, every knob written out; reading it back gives an equal Config."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=False)


def _require_fitting(knob: str, names: list[str], allowed: list[str], objective: str) -> None:
    for name in names:
        if name not in allowed:
            raise ValueError(
                f"`model.{knob}`: expected one of {', '.join(allowed)} for labels.objective {objective}, "
                f"received {name!r}"
            )


def load_config(path: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Config:
    """The configuration in `path` (all defaults when None) with dotted `overrides` on top; None values are skipped.

    Raises:
        ConfigError: unreadable file, bad YAML (names the line), unknown key (names the nearest), bad value.
    """
    values = read_yaml(path) if path else {}
    for dotted, value in (overrides or {}).items():
        if value is not None:
            _set(values, dotted.split("."), value)
    return parse_config(values, str(path) if path else "config")


def parse_config(values: Mapping[str, Any], origin: str) -> Config:
    """A Config from plain values; `origin` names them in errors."""
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{origin}: {_first_problem(error)}") from None


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        ConfigError: unreadable, not YAML (names the line), or no mapping.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}" if mark else "somewhere"
        raise ConfigError(f"{path}: not valid YAML at {where}: {getattr(error, 'problem', error)}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected sections such as `windows:`, received a {type(values).__name__}")
    return values


def _set(values: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        section = values[key] = {} if values.get(key) is None else values[key]
        if not isinstance(section, dict):
            return  # the file holds a scalar where a section belongs: validation reports it
        values = section
    values[keys[-1]] = value


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    location = [str(part) for part in problem["loc"]]
    if problem["type"] != "extra_forbidden":
        name = ".".join(part for part in location if re.fullmatch(r"[a-z_0-9]+", part))  # drops pydantic's union tags
        message = problem["msg"].removeprefix("Value error, ")
        where = f"`{name}`: " if name else ""  # checks across sections name their setting themselves
        return f"{where}{message}" + ("" if "received" in message else f"; received {problem['input']!r}")
    name = ".".join(location)
    section: Any = Config
    for part in location[:-1]:
        section = section.model_fields[part].annotation
    known = list(section.model_fields)
    near = difflib.get_close_matches(location[-1], known, n=1)
    hint = f"did you mean `{near[0]}`?" if near else f"known here: {', '.join(known)}"
    return f"`{name}` is not a setting; {hint}"
