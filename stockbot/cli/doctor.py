"""`stockbot-hp doctor`."""

import sys
from pathlib import Path

import click

from stockbot.cli.options import artifacts_option, emit, json_option


@click.command()
@click.option("--gpu", is_flag=True, help="Import TensorFlow and ask it for devices (takes seconds).")
@artifacts_option
@json_option
def command(gpu: bool, artifacts: Path | None, as_json: bool) -> None:
    """Show what is installed, threads, caches, devices and disk; exit 1 when something would stop a command.

    \b
    Example:
      stockbot-hp doctor
      stockbot-hp doctor --gpu --json
    """
    from stockbot.doctor import examine

    report = examine(artifacts or Path("artifacts"), gpu=gpu)
    if not as_json:
        report["problems"] = "; ".join(report["problems"]) or "none"
    emit(report, as_json)
    if report["problems"] not in ([], "none"):
        sys.exit(1)
