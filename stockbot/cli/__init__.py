"""The command line `stockbot-hp`. A command's module is imported when the command runs, so help answers at once."""

import importlib
import sys
from typing import Any

import click

COMMANDS = {
    "build-features": "Read an archive, validate it, and write the feature store.",
    "train": "Train a model on a feature store and seal it as a bundle.",
    "models": "List the sealed bundles and show which one is current.",
    "promote": "Make a bundle the current model.",
    "rollback": "Return to the model before the current one.",
    "retrain": "Append new data, train, compare with the current model, promote or refuse.",
    "run": "Replay ticks through the current model and write signals (dry run by default).",
    "export": "Write rows, features and predictions to CSV.",
    "chart": "Draw price, signals and the equity of the signal after costs.",
    "verify": "Check every hash of a feature store or a bundle.",
    "demo": "The whole way on a synthetic archive, in one command.",
    "sample-data": "Write a deterministic synthetic tick archive.",
    "doctor": "Show what is installed, threads, caches and devices.",
}


class LazyGroup(click.Group):
    """A click group that knows its commands by name and imports one only when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"stockbot.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="stockbot-hp", prog_name="stockbot-hp")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """From raw ticks to traceable signals.

    \b
    Example:
      stockbot-hp build-features ticks/ --out data/features
      stockbot-hp train data/features
      stockbot-hp promote latest
      stockbot-hp run ticks/2026-11-20.csv.gz
    """
    ctx.obj = {"debug": debug}


def main(arguments: list[str] | None = None) -> None:
    """Entry point of `stockbot-hp`: run, and turn every known error into one line and an exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        cli.main(args=arguments, standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(_fail("interrupted", 130))
    except Exception as error:
        if "--debug" in arguments:
            raise
        sys.exit(_report(error))


def _report(error: Exception) -> int:
    from pipelines.errors import DataError
    from stockbot.errors import StockbotError

    if isinstance(error, StockbotError):
        return _fail(str(error), error.exit_code)
    if isinstance(error, DataError):
        return _fail(str(error), 1)
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror}", 1)
    return _fail(f"{type(error).__name__}: {error} (a defect; run with --debug for the traceback)", 1)


def _fail(message: Any, code: int) -> int:
    click.echo(f"error: {message}", err=True)
    return code
