"""`stockbot-hp evaluate`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stockbot.cli.options import (
    artifacts_option,
    config_option,
    json_option,
    require_known_features,
    resolve_config,
)
from stockbot.cli.train import require_training, training_options
from stockbot.errors import UsageError

if TYPE_CHECKING:
    from stockbot.config import Config
    from stockbot.scorecard import Scorecard


@click.command()
@click.argument("words", nargs=-1, metavar="[MODEL] STORE", type=str)
@click.option("--folds", type=click.IntRange(1), help="Train anew for so many folds, and score them together.")
@click.option(
    "--scheme",
    type=click.Choice(["expanding", "sliding"]),
    default="expanding",
    show_default=True,
    help="What trains a fold: all before it, or as much as before the first.",
)
@config_option
@artifacts_option
@training_options
@json_option
def command(
    words: tuple[str, ...],
    folds: int | None,
    scheme: str,
    config_path: Path | None,
    artifacts: Path | None,
    device: str,
    as_json: bool,
    **overrides: Any,
) -> None:
    """Score a sealed model on the windows of STORE that it never saw, beside baselines, each figure with its interval.

    MODEL is an id, the beginning of one or `latest`; without it the current model is scored. With --folds no sealed
    model is: the settings are trained anew for each fold of a purged walk through time.

    \b
    Examples:
      stockbot-hp evaluate latest data/features
      stockbot-hp evaluate data/features --folds 5 --scheme sliding --epochs 10
    """
    model, store = _model_and_store(words)
    given = {name: value for name, value in overrides.items() if value is not None}
    if folds is None and (given or device != "auto"):
        raise UsageError("flags of training: expected with --folds; a sealed model is scored as it is")
    if folds is not None and model is not None:
        raise UsageError(f"MODEL: received {model!r} beside --folds, which trains anew; leave one of them out")
    config = resolve_config(config_path, **overrides)
    folder = artifacts or Path(config.paths.artifacts)
    if folds is None:
        answer, card = _sealed(model, store, folder, config)
    else:
        require_training()
        require_known_features(config, config_path)
        answer, card = _walked(store, folder, config, {"folds": folds, "scheme": scheme, "device": device})
    if as_json:
        click.echo(json.dumps({**answer, **card.to_json()}, sort_keys=True))
    else:
        _print(answer, card)


def _model_and_store(words: tuple[str, ...]) -> tuple[str | None, Path]:
    if len(words) not in (1, 2):
        raise UsageError(f"expected [MODEL] STORE, received {len(words)} words: {' '.join(words) or 'none'}")
    return (words[0] if len(words) == 2 else None), Path(words[-1])


def _sealed(model: str | None, store: Path, artifacts: Path, config: "Config") -> tuple[dict[str, Any], "Scorecard"]:
    from pipelines.store import FeatureStore
    from stockbot.bundle import resolve
    from stockbot.live.replay import in_force
    from stockbot.scorecard import count_runs
    from stockbot.unseen import score_unseen

    opened = FeatureStore.open(store)
    bundle = resolve(artifacts, model)
    card = score_unseen(bundle, opened, config=in_force(bundle, config), trials=count_runs(artifacts))
    return {"model": bundle.id, "store": str(opened.path)}, card


def _walked(store: Path, artifacts: Path, config: "Config", how: dict[str, Any]) -> tuple[dict[str, Any], "Scorecard"]:
    from pipelines.store import FeatureStore
    from stockbot.scorecard import count_runs
    from stockbot.walk_forward import walk

    opened = FeatureStore.open(store)
    walked = walk(config, opened, trials=count_runs(artifacts), report=lambda line: click.echo(line, err=True), **how)
    return {"store": str(opened.path), "scheme": how["scheme"], "folds": list(walked.folds)}, walked.card


def _print(answer: dict[str, Any], card: "Scorecard") -> None:
    from stockbot.scorecard_table import table, verdicts

    walked = f"{len(answer.get('folds', []))} folds, {answer.get('scheme')}"
    click.echo(f"model {answer['model'][:16]}" if "model" in answer else walked)
    for line in table(card):
        click.echo(line)
    for is_beaten, line in verdicts(card):
        click.secho(line, fg="green" if is_beaten else "red", bold=not is_beaten)
