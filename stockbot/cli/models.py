"""`stockbot-hp models`."""

import json
from pathlib import Path
from typing import Any

import click

from stockbot.cli.options import artifacts_option, config_option, json_option, resolve_config
from stockbot.errors import ArtifactError


@click.command()
@config_option
@artifacts_option
@json_option
def command(config_path: Path | None, artifacts: Path | None, as_json: bool) -> None:
    """List the sealed bundles, oldest first; an asterisk marks the current one, `!` a damaged
    manifest; `verify` and every use of a bundle check all of its files.

    \b
    Example:
      stockbot-hp models --json
    """
    from stockbot.bundle import damaged_models, list_models

    folder = artifacts or Path(resolve_config(config_path).paths.artifacts)
    now, problems = _current(folder)
    problems += damaged_models(folder).values()
    rows = [_row(manifest, now) for manifest in list_models(folder)]
    if as_json:
        click.echo(json.dumps({"current": now, "models": rows, "problems": problems}, sort_keys=True))
        return
    for row in rows:
        click.echo(
            f"{'*' if row['current'] else ' '} {row['model'][:16]}  {row['created_at']}  {row['factory']:<6}  "
            f"{row['objective']:<10}  lookback {row['lookback']}  horizon {row['horizon']}  "
            f"test loss {row['test_loss']:.6g}  hit rate {row['test_directional_accuracy']:.3f}"
        )
    for problem in problems:
        click.echo(f"! {problem}")
    if not rows and not problems:
        click.echo(f"no model in {folder / 'models'} yet; run `stockbot-hp train`")


def _current(folder: Path) -> tuple[str | None, list[str]]:
    from stockbot.bundle import current

    try:
        return current(folder), []
    except ArtifactError as error:
        return None, [str(error)]


def _row(manifest: dict[str, Any], now: str | None) -> dict[str, Any]:
    test = manifest["metrics"]["test"]
    return {
        "model": manifest["id"],
        "current": manifest["id"] == now,
        "factory": manifest["config"]["model"]["factory"],
        **{name: manifest[name] for name in ("created_at", "objective", "lookback", "horizon")},
        "test_loss": test["loss"],
        "test_directional_accuracy": test["directional_accuracy"],
    }
