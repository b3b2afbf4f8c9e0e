"""`stockbot-hp retrain`."""

import sys
from dataclasses import asdict
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
    source_options,
)
from stockbot.cli.train import require_training, training_options
from stockbot.errors import PromotionRefusedError


@click.command()
@click.argument("sources", nargs=-1, required=True)
@click.option("--once", is_flag=True, required=True, help="Run one time and end; cron or a timer repeats it.")
@click.option("--store", type=click.Path(path_type=Path), help="Feature store to append to; default: `paths.store`.")
@config_option
@artifacts_option
@source_options
@training_options
@json_option
def command(
    sources: tuple[str, ...],
    once: bool,
    store: Path | None,
    config_path: Path | None,
    artifacts: Path | None,
    source: dict[str, Any],
    device: str,
    as_json: bool,
    **overrides: Any,
) -> None:
    """Append SOURCES to the store, train, compare with the current model, promote or refuse (exit code 1).

    Meant for cron: it asks nothing, never overlaps with itself, and logs one line a run. Without new rows it trains
    nothing. Only a model that beats the simplest guesses on its test windows beyond chance is promoted.

    \b
    Example:
      stockbot-hp retrain --once 'ticks/*.csv.gz' --json
    """
    require_training()
    from stockbot.retrain import retrain_once

    config = resolve_config(config_path, source, **overrides)
    require_known_features(config, config_path)
    with progress("training", "windows") as advance:
        result = retrain_once(
            sources,
            config,
            store or Path(config.paths.store),
            artifacts or Path(config.paths.artifacts),
            device=device,
            progress=advance,
            report=lambda line: click.echo(line, err=True),
        )
    emit(asdict(result), as_json)
    if result.outcome == "refused":
        click.echo(f"error: not promoted: {result.reason}", err=True)
        sys.exit(PromotionRefusedError.exit_code)
