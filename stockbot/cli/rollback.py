"""`stockbot-hp rollback`."""

from pathlib import Path

import click

from stockbot.cli.options import artifacts_option, config_option, emit, json_option, resolve_config


@click.command()
@click.option("--reason", default="by hand", show_default=True, help="Kept in current.json and promotions.log.")
@config_option
@artifacts_option
@json_option
def command(reason: str, config_path: Path | None, artifacts: Path | None, as_json: bool) -> None:
    """Make the model before the current one current again; a second rollback undoes the first.

    \b
    Example:
      stockbot-hp rollback --reason 'one-sided signals since Monday'
    """
    from stockbot.promote import rollback

    pointer = rollback(artifacts or Path(resolve_config(config_path).paths.artifacts), reason)
    emit({name: pointer[name] for name in ("model", "previous", "reason", "promoted_at")}, as_json)
