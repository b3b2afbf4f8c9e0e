"""`stockbot-hp demo`."""

from pathlib import Path

import click

from stockbot.cli.options import emit, json_option, progress


@click.command()
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("artifacts/demo"), show_default=True, help="Folder."
)
@click.option("--days", type=click.IntRange(3, 250), default=10, show_default=True, help="The last one is replayed.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=7, show_default=True, help="Of data and model.")
@click.option("--ticks-per-day", type=click.IntRange(5_000), default=40_000, show_default=True, help="Of each symbol.")
@json_option
def command(out: Path, days: int, seed: int, ticks_per_day: int, as_json: bool) -> None:
    """The whole way in one command: synthetic ticks, features, a small LSTM, live replay, CSV and charts.

    The model trains on all days but the last; the last day is replayed tick by tick through the live runner.
    The folder is made anew each time.

    \b
    Example:
      stockbot-hp demo --out artifacts/demo
    """
    from stockbot.demo import run_demo

    emit(run_demo(out, days=days, seed=seed, ticks_per_day=ticks_per_day, stage=progress), as_json)
