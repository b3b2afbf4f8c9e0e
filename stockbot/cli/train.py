"""`stockbot-hp train`."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from stockbot.cli.options import (
    artifacts_option,
    config_option,
    emit,
    json_option,
    progress,
    require_known_features,
    resolve_config,
)
from stockbot.errors import StockbotError

_FLAGS = {
    "windows__lookback": click.option("--lookback", "windows__lookback", type=int, help="Rows of a window."),
    "labels__horizon": click.option("--horizon", "labels__horizon", type=int, help="Rows ahead to foresee."),
    "labels__objective": click.option(
        "--objective", "labels__objective", type=click.Choice(["regression", "direction"]), help="What to predict."
    ),
    "model__factory": click.option("--model", "model__factory", help="Network: lstm, gru or linear."),
    "training__epochs": click.option("--epochs", "training__epochs", type=int, help="Passes over the data at most."),
    "training__batch_size": click.option("--batch-size", "training__batch_size", type=int, help="Windows a step."),
    "training__learning_rate": click.option(
        "--learning-rate", "training__learning_rate", type=float, help="Step size of Adam."
    ),
    "training__audit": click.option(
        "--no-audit", "training__audit", flag_value=False, default=None, help="Train without proof against leaks."
    ),
    "training__seed": click.option("--seed", "training__seed", type=int, help="Same seed, same weights."),
}


def training_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The flags that override `config.yaml` for one training run, and `--device`."""
    for flag in reversed(_FLAGS.values()):
        command = flag(command)
    return click.option("--device", default="auto", show_default=True, help="auto, cpu, gpu, or one such as gpu:1.")(
        command
    )


def require_training() -> None:
    """Raises StockbotError when the packages of the extra `train` are not installed."""
    missing = [name for name in ("tensorflow", "keras", "onnx") if importlib.util.find_spec(name) is None]
    if missing:
        raise StockbotError(
            f"training needs {', '.join(missing)}, which is not installed; run pip install 'stockbot-hp[train]'"
        )


@click.command()
@click.argument("store", required=False, type=click.Path(path_type=Path))
@config_option
@artifacts_option
@training_options
@json_option
def command(
    store: Path | None,
    config_path: Path | None,
    artifacts: Path | None,
    device: str,
    as_json: bool,
    **overrides: Any,
) -> None:
    """Train a model on the feature store STORE (default: `paths.store`) and seal it as a bundle.

    \b
    Example:
      stockbot-hp train data/features --lookback 60 --horizon 5 --epochs 20 --model lstm --seed 42
    """
    require_training()
    from pipelines.store import FeatureStore
    from stockbot.baselines import judge
    from stockbot.train import train

    config = resolve_config(config_path, **overrides)
    require_known_features(config, config_path)
    opened = FeatureStore.open(store or Path(config.paths.store))
    with progress("training", "windows") as advance:
        result = train(
            config,
            opened,
            artifacts or Path(config.paths.artifacts),
            device=device,
            progress=advance,
            report=_say,
        )
    test = {name: value for name, value in result.metrics["test"].items() if name not in ("baselines", "statistics")}
    baselines = {name: scores["loss"] for name, scores in result.metrics["test"]["baselines"].items()}
    verdict = {"baseline_losses": baselines, "verdict": judge(result.metrics["test"])}
    summary = {"model": result.model_id, "path": str(result.path), "run": str(result.run)}
    emit({**summary, "best_epoch": result.metrics["best_epoch"], "test": test, **verdict}, as_json)


def _say(line: str) -> None:
    """A line of the log; in red what speaks against the model."""
    is_bad = "does NOT beat" in line or line.startswith(("FAIL", "audit skipped"))
    click.secho(line, err=True, fg="red" if is_bad else None)
