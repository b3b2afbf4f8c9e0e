"""`stockbot-hp verify`."""

import sys
from pathlib import Path

import click

from stockbot.cli.options import emit, json_option


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@json_option
def command(folder: Path, as_json: bool) -> None:
    """Rehash a feature store or a model bundle; list every problem; exit 1 if there is any.

    \b
    Example:
      stockbot-hp verify data/features
      stockbot-hp verify artifacts/models/3f2a9c0d11e8b7a4
    """
    from stockbot.verify import verify

    verdict = verify(folder)
    if not as_json:
        for problem in verdict.problems:
            click.echo(problem)
    result = {"kind": verdict.kind, "path": str(verdict.path), "files": verdict.files}
    problems = verdict.problems if as_json else len(verdict.problems)
    emit(result | {"problems": problems}, as_json)
    if verdict.problems:
        sys.exit(1)
