"""`stockbot-hp promote`."""

from pathlib import Path

import click

from stockbot.cli.options import artifacts_option, config_option, emit, json_option, resolve_config


@click.command()
@click.argument("model")
@click.option("--reason", default="by hand", show_default=True, help="Kept in current.json and promotions.log.")
@config_option
@artifacts_option
@json_option
def command(model: str, reason: str, config_path: Path | None, artifacts: Path | None, as_json: bool) -> None:
    """Verify the bundle MODEL and make it current: an id, a unique beginning of one, or `latest`.

    \b
    Example:
      stockbot-hp promote latest --reason 'better on the last month'
    """
    from stockbot.bundle import damaged_models
    from stockbot.promote import promote

    folder = artifacts or Path(resolve_config(config_path).paths.artifacts)
    pointer = promote(folder, model, reason)
    for problem in damaged_models(folder).values() if model == "latest" else ():
        click.echo(f"note: passed over {problem}", err=True)
    emit({name: pointer[name] for name in ("model", "previous", "reason", "promoted_at")}, as_json)
