"""`stockbot-hp audit`."""

import json
import sys
from pathlib import Path

import click

from stockbot.cli.options import config_option, json_option, progress, require_known_features, resolve_config


@click.command()
@click.argument("store", required=False, type=click.Path(path_type=Path))
@click.option("--lookback", "windows__lookback", type=int, help="Rows of a window.")
@click.option("--horizon", "labels__horizon", type=int, help="Rows ahead to foresee.")
@config_option
@json_option
def command(
    store: Path | None,
    config_path: Path | None,
    as_json: bool,
    windows__lookback: int | None,
    labels__horizon: int | None,
) -> None:
    """Prove that nothing of the future reaches a training on STORE (default: `paths.store`); exit 1 where it may.

    Features are computed anew with the future cut off, windows, labels, parts and scaler are checked as training
    would use them. `train` does the same before it begins.

    \b
    Example:
      stockbot-hp audit data/features --lookback 60 --horizon 5
    """
    from pipelines.store import FeatureStore
    from stockbot.audit import audit
    from stockbot.training_set import make_training_set

    config = resolve_config(config_path, windows__lookback=windows__lookback, labels__horizon=labels__horizon)
    require_known_features(config, config_path)
    opened = FeatureStore.open(store or Path(config.paths.store))
    data = make_training_set(config, opened)
    with progress("audit") as advance:
        found = audit(data, opened, progress=advance)
    if as_json:
        click.echo(json.dumps({"store": str(opened.path), "snapshot": opened.snapshot, **found.to_json()}))
    else:
        for line in found.lines():
            click.secho(line, fg="red" if line.startswith("FAIL") else None)
    if not found.passed:
        sys.exit(1)
