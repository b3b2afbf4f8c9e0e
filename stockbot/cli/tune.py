"""`stockbot-hp tune`."""

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stockbot.cli.options import artifacts_option, config_option, json_option, require_known_features, resolve_config
from stockbot.cli.train import require_training, training_options
from stockbot.errors import StockbotError

if TYPE_CHECKING:
    from stockbot.tune import Tuned


@click.command()
@click.argument("store", required=False, type=click.Path(path_type=Path))
@click.option("--trials", "tune__trials", type=int, help="Trials in all, those of an earlier call included.")
@click.option("--space", type=click.Path(path_type=Path), help="YAML file of settings; default: `tune.space`.")
@config_option
@artifacts_option
@training_options
@json_option
def command(
    store: Path | None,
    space: Path | None,
    config_path: Path | None,
    artifacts: Path | None,
    device: str,
    as_json: bool,
    **overrides: Any,
) -> None:
    """Search settings for the feature store STORE (default: `paths.store`) by validation loss.

    Each trial is a run; hopeless ones end early. The test part is never looked at. A search that was killed goes on
    where it was when the same command is given again.

    \b
    Example:
      stockbot-hp tune data/features --trials 30
    """
    require_training()
    if importlib.util.find_spec("optuna") is None:
        raise StockbotError("tune needs optuna, which is not installed; run pip install 'stockbot-hp[tune]'")
    from pipelines.store import FeatureStore
    from stockbot.config import read_yaml
    from stockbot.search_space import Space
    from stockbot.tune import tune

    config = resolve_config(config_path, **overrides)
    require_known_features(config, config_path)
    stated = config.tune.space if space is None else read_yaml(space)
    searched = Space.parse(stated, config, "tune.space" if space is None else str(space))
    opened = FeatureStore.open(store or Path(config.paths.store))
    tuned = tune(
        searched,
        opened,
        artifacts or Path(config.paths.artifacts),
        trials=config.tune.trials,
        device=device,
        report=lambda line: click.echo(line, err=True),
    )
    if as_json:
        told = {"study": str(tuned.folder), "best": tuned.best, "trials": list(tuned.trials)}
        click.echo(json.dumps({**told, "config": str(tuned.folder / "best.yaml")}, sort_keys=True))
    else:
        _print(tuned, str(opened.path))


def _print(tuned: "Tuned", store: str) -> None:
    states = [trial["state"] for trial in tuned.trials]
    counts = ", ".join(f"{states.count(state)} {state}" for state in ("done", "pruned", "failed"))
    click.echo(f"{len(states)} trials: {counts}")
    click.echo(
        f"best: trial {tuned.best['trial']}, run {tuned.best['run']}, validation loss {tuned.best['val_loss']:.6g}"
    )
    for name, value in tuned.best["settings"].items():
        click.echo(f"  {name}: {value}")
    click.echo(f"train it: stockbot-hp train {store} --config {tuned.folder / 'best.yaml'}")
