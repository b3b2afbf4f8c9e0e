"""The command line `stockbot-hp`. A command's module is imported when the command runs, so help answers at once."""

import gc
import importlib
import json
import signal
import sys
from typing import Any

import click

from stockbot.errors import StockbotError, TerminatedError

COMMANDS = {
    "build-features": "Read an archive, validate it, and write the feature store.",
    "features": "List the features that can be built: definition, warm-up, inputs, cost.",
    "audit": "Prove that nothing of the future reaches training.",
    "train": "Train a model on a feature store and seal it as a bundle.",
    "evaluate": "Score a model on rows it never saw, or walk forward, with intervals.",
    "runs": "List training runs, show one, or compare some.",
    "reproduce": "Train a run anew and say whether the same model comes out.",
    "tune": "Search settings by validation loss; every trial is a run.",
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


_OBJECTS = 50_000  # that come into being between two searches for cycles


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
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error; may stand anywhere.")
@click.version_option(package_name="stockbot-hp", prog_name="stockbot-hp")
def cli() -> None:
    """From raw ticks to traceable signals.

    \b
    Example:
      stockbot-hp build-features ticks/ --out data/features
      stockbot-hp train data/features
      stockbot-hp promote latest
      stockbot-hp run ticks/2026-11-20.csv.gz
    """


def main(arguments: list[str] | None = None) -> None:
    """Entry point of `stockbot-hp`: run, and turn every known error into one line and an exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    debug, as_json = "--debug" in arguments, "--json" in arguments
    # Imports make no cycles; to look for them as often as Python does took 0.2 s of the 1.1 s in which a build starts.
    gc.set_threshold(_OBJECTS, 20, 100)
    previous = signal.signal(signal.SIGTERM, _terminate)
    try:
        cli.main(args=[word for word in arguments if word != "--debug"], standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except (Exception, TerminatedError) as error:
        message, code = _explain(error)
        if as_json:
            click.echo(json.dumps({"ok": False, "error": message, "exit_code": code}))
        if isinstance(error, click.ClickException):
            error.show()
        elif debug:
            raise
        else:
            click.echo(f"error: {message}", err=True)
        sys.exit(code)
    finally:
        signal.signal(signal.SIGTERM, previous)


def _terminate(number: int, frame: Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: the work is being cleared up
    raise TerminatedError


def _explain(error: BaseException) -> tuple[str, int]:
    """What is said of an error, and the exit code."""
    from pipelines.errors import DataError

    if isinstance(error, StockbotError | TerminatedError):
        return str(error), error.exit_code
    if isinstance(error, DataError):
        return str(error), 1
    if isinstance(error, click.ClickException):
        return error.format_message(), error.exit_code
    if isinstance(error, click.Abort):
        return "interrupted", 130
    if isinstance(error, OSError) and error.strerror:
        return (f"{error.filename}: " if error.filename else "") + error.strerror, 1
    return f"{type(error).__name__}: {error} (a defect; run the same with --debug for the traceback)", 1
