"""`stockbot-hp reproduce`."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stockbot.cli.options import artifacts_option, config_option, json_option, progress, resolve_config
from stockbot.cli.train import require_training

if TYPE_CHECKING:
    from stockbot.reproduce import Reproduction


@click.command()
@click.argument("run")
@click.option("--store", type=click.Path(path_type=Path), help="Where its rows are now; default: where they were.")
@click.option("--anyway", is_flag=True, help="Go on where store, commit or libraries are not as they were.")
@config_option
@artifacts_option
@json_option
def command(
    run: str, store: Path | None, anyway: bool, config_path: Path | None, artifacts: Path | None, as_json: bool
) -> None:
    """Train RUN anew from its settings, rows and seed and compare what comes out; exit code 1 where it differs.

    RUN is the name of one, the beginning of one, or `latest`. What is made is removed again. Where the store, the
    commit or a library is not as it was, that is named and nothing is trained without --anyway.

    \b
    Example:
      stockbot-hp reproduce latest
    """
    require_training()
    from pipelines.store import FeatureStore
    from stockbot.reproduce import reproduce
    from stockbot.run_folder import CONFIG, find_run

    folder = find_run(artifacts or Path(resolve_config(config_path).paths.artifacts), run)
    if (folder / CONFIG).exists():
        resolve_config(folder / CONFIG)  # the run's own feature modules
    opened = None if store is None else FeatureStore.open(store)
    with progress("training", "windows") as advance:
        found = reproduce(
            folder, opened, anyway=anyway, progress=advance, report=lambda line: click.echo(line, err=True)
        )
    if as_json:
        click.echo(json.dumps(found.to_json(), sort_keys=True))
    else:
        _print(found)
    if not found.same:
        sys.exit(1)


def _print(found: "Reproduction") -> None:
    for difference in found.differences:
        click.secho(f"passed over: {difference}", fg="red")
    width = max(map(len, found.hashes))
    for name, is_same in found.hashes.items():
        click.secho(f"{name:<{width}}  {'same' if is_same else 'differs'}", fg=None if is_same else "red")
    for name, (then, now) in found.figures.items():
        click.secho(f"{name}: recorded {then}, received {now}", fg="red")
    click.secho(f"{found.run} is {'reproduced' if found.same else 'NOT reproduced'}", fg=None if found.same else "red")
