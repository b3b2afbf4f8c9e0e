"""`stockbot-hp train`."""

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from stockbot.cli.options import (
    artifacts_option,
    config_option,
    emit,
    json_option,
    progress,
    require_known_features,
    resolve_config,
)
from stockbot.config import Config
from stockbot.errors import StockbotError, UsageError
from stockbot.workers import cluster_text, own_cluster

if TYPE_CHECKING:
    from stockbot.train import TrainResult

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
    """The flags that override `config.yaml` for one training run, and `--devices`."""
    for flag in reversed(_FLAGS.values()):
        command = flag(command)
    return click.option(
        "--devices", "--device", "device", default="auto", show_default=True,
        help="auto, cpu, gpu, a number of them, or names: gpu:0,gpu:1.",
    )(command)  # fmt: skip


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
@click.option("--resume", "resumed", metavar="RUN", help="Go on with a killed run: its name, its beginning, or latest.")
@click.option("--workers", help="Several machines: addresses of all, HOST:PORT,HOST:PORT; the first one seals.")
@click.option("--worker", type=int, help="Number of this process among --workers, from 0.")
@click.option("--scaling", is_flag=True, help="Train nothing; measure how fast one device is, two, and so on.")
@json_option
def command(
    store: Path | None,
    config_path: Path | None,
    artifacts: Path | None,
    as_json: bool,
    resumed: str | None,
    workers: str | None,
    worker: int | None,
    scaling: bool,
    **options: Any,
) -> None:
    """Train a model on the feature store STORE (default: `paths.store`) and seal it as a bundle.

    \b
    Examples:
      stockbot-hp train data/features --lookback 60 --horizon 5 --epochs 20 --model lstm --seed 42
      stockbot-hp train --resume latest
    """
    require_training()
    device = options.pop("device")
    run = None
    if resumed is not None:
        run, config, left = _left(resumed, config_path, artifacts, options)
        store = store or Path(left["store"])
        is_given = click.get_current_context().get_parameter_source("device") != ParameterSource.DEFAULT
        device = device if is_given else left["device"]
    else:
        config = resolve_config(config_path, **options)
        require_known_features(config, config_path)
    if scaling:
        if workers is not None or worker is not None:
            raise UsageError("--scaling: expected without --workers and --worker, it measures the devices of a machine")
        _report_speeds(config, store, device, as_json)
        return
    if _joins_others(workers, worker):
        _assist(config, store, device, run, as_json)
        return
    from pipelines.store import FeatureStore
    from stockbot.train import resume, train

    opened = FeatureStore.open(store or Path(config.paths.store))
    with progress("training", "windows") as advance:
        told = {"device": device, "progress": advance, "report": _say}
        if run is not None:
            result = resume(run, config, opened, **told)
        else:
            result = train(config, opened, artifacts or Path(config.paths.artifacts), **told)
    emit(_summary(result), as_json)


def _left(
    name: str, config_path: Path | None, artifacts: Path | None, options: dict[str, Any]
) -> tuple[Path, Config, dict[str, Any]]:
    """Folder, settings and record of the run to go on with."""
    from stockbot.run_folder import CONFIG, find_run, resumable

    changed = [flag for flag, value in options.items() if value is not None]
    if changed:
        raise UsageError(f"--resume: the run goes on with its own settings, received {changed[0].replace('__', '.')}")
    run = find_run(artifacts or Path(resolve_config(config_path).paths.artifacts), name)
    record = resumable(run)
    config = resolve_config(run / CONFIG)
    require_known_features(config, run / CONFIG)
    return run, config, record


def _joins_others(workers: str | None, worker: int | None) -> bool:
    """Whether this process is one of several and not the first; TensorFlow is told of all by its variable."""
    if workers is None and worker is None:
        cluster = own_cluster()
        return cluster is not None and cluster.worker > 0
    if workers is None or worker is None:
        raise UsageError("--workers and --worker: expected both, the addresses of all and the number of this process")
    os.environ["TF_CONFIG"] = cluster_text(workers.split(","), worker)
    return worker > 0


def _report_speeds(config: Config, store: Path | None, device: str, as_json: bool) -> None:
    from pipelines.store import FeatureStore
    from stockbot.fit.speeds import advice, fastest, losing, measure_speeds
    from stockbot.training_set import make_training_set

    data = make_training_set(config, FeatureStore.open(store or Path(config.paths.store)))
    speeds = measure_speeds(data, device)
    told = advice(speeds, config.training.batch_size)
    if losing(speeds):
        _say(told)
    rates = {f"{speed.devices}": round(speed.windows_per_second, 1) for speed in speeds}
    best = {"fastest": fastest(speeds).devices, "slower": losing(speeds)}
    emit({"windows_per_second": rates, **best, "advice": told}, as_json)


def _assist(config: Config, store: Path | None, device: str, run: Path | None, as_json: bool) -> None:
    from pipelines.store import FeatureStore
    from stockbot.train import assist

    opened = FeatureStore.open(store or Path(config.paths.store))
    assist(config, opened, device=device, run=run, report=_say)
    emit({"sealed_by": "worker 0"}, as_json)


def _summary(result: "TrainResult") -> dict[str, Any]:
    from stockbot.baselines import judge

    test = {name: value for name, value in result.metrics["test"].items() if name not in ("baselines", "statistics")}
    baselines = {name: scores["loss"] for name, scores in result.metrics["test"]["baselines"].items()}
    verdict = {"baseline_losses": baselines, "verdict": judge(result.metrics["test"])}
    summary = {"model": result.model_id, "path": str(result.path), "run": str(result.run)}
    return {**summary, "best_epoch": result.metrics["best_epoch"], "test": test, **verdict}


def _say(line: str) -> None:
    """A line of the log; in red what speaks against it."""
    is_bad = "does NOT beat" in line or line.startswith(("FAIL", "audit skipped", "WARNING"))
    click.secho(line, err=True, fg="red" if is_bad else None)
