"""Options that several commands share, and the two ways a command speaks: progress on stderr, results on stdout."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from stockbot.config import Config, load_config
from stockbot.errors import ConfigError, UsageError

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

config_option: Decorator = click.option(
    "--config", "config_path", type=click.Path(path_type=Path), help="Settings; default: ./config.yaml if present."
)
artifacts_option: Decorator = click.option(
    "--artifacts", type=click.Path(path_type=Path), help="Folder of models, runs and the current pointer."
)
json_option: Decorator = click.option("--json", "as_json", is_flag=True, help="One JSON object as the last line.")
model_option: Decorator = click.option(
    "--model", "model_id", help="Bundle id, a unique beginning of one, or `latest`; default: the current model."
)

_SOURCE_FLAGS: list[Decorator] = [
    click.option("--kind", type=click.Choice(["trades", "quotes", "candles"]), help="What a row is."),
    click.option("--column", "columns", multiple=True, metavar="NAME=COLUMN",
                 help="Map a column, by name or 0-based position: --column price=last."),
    click.option("--timezone", help="Zone of naive times: an IANA name or an offset such as -05:00."),
    click.option("--date-order", type=click.Choice(["ymd", "dmy", "mdy"]), help="Order of day and month."),
    click.option("--time-unit", type=click.Choice(["s", "ms", "us", "ns", "ms_of_day"]), help="Unit of numeric times."),
    click.option("--symbol", help="Symbol of sources that do not name one."),
    click.option("--table", help="Table of a SQLite file."),
    click.option("--timeframe", help="Which timeframe of a table that holds several."),
    click.option("--delimiter", help="Field delimiter of a text file."),
    click.option("--no-header", is_flag=True, help="The first line of a text file is data."),
    click.option("--calendar", help="Exchange calendar whose sessions the rows are of: XNYS, XLON ..."),
    click.option("--policy", "policies", multiple=True, metavar="REASON=ACTION",
                 help="keep, quarantine or fail, for rows of a reason: --policy crossed_quote=keep."),
]  # fmt: skip


def source_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the flags that override `source:`; the command receives them as one dict `source`."""

    def collect(*args: Any, **kwargs: Any) -> Any:
        names = ("kind", "timezone", "date_order", "time_unit", "symbol", "table", "timeframe", "delimiter")
        source = {name: kwargs.pop(name) for name in (*names, "calendar")}
        source["policies"] = _parse_policies(kwargs.pop("policies"))
        source["columns"] = _parse_columns(kwargs.pop("columns"))
        source["header"] = False if kwargs.pop("no_header") else None
        return command(*args, source=source, **kwargs)

    collect.__doc__ = command.__doc__
    collect.__name__ = command.__name__
    collect.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    decorated: Callable[..., Any] = collect
    for flag in reversed(_SOURCE_FLAGS):
        decorated = flag(decorated)
    return decorated


def _parse_columns(pairs: tuple[str, ...]) -> dict[str, str | int] | None:
    columns: dict[str, str | int] = {}
    for pair in pairs:
        name, equals, column = pair.partition("=")
        if not equals or not name or not column:
            raise UsageError(f"--column: expected NAME=COLUMN such as price=last, received {pair!r}")
        columns[name] = int(column) if column.isdigit() else column
    return columns or None


def _parse_policies(pairs: tuple[str, ...]) -> dict[str, str] | None:
    policies: dict[str, str] = {}
    for pair in pairs:
        reason, equals, action = pair.partition("=")
        if not equals or not reason or not action:
            raise UsageError(f"--policy: expected REASON=ACTION such as crossed_quote=keep, received {pair!r}")
        policies[reason] = action
    return policies or None


def resolve_config(config_path: Path | None, source: dict[str, Any] | None = None, **overrides: Any) -> Config:
    """The configuration a command works with: file, then source flags, then `section__key=value` overrides.

    The features of its `feature_modules` are known from here on.
    """
    path = _config_file(config_path)
    source = dict(source or {})
    policies: dict[str, str] = source.pop("policies", None) or {}
    dotted: dict[str, Any] = {f"source.{name}": value for name, value in source.items()}
    dotted |= {f"quality.policy.{reason}": action for reason, action in policies.items()}
    dotted |= {name.replace("__", "."): value for name, value in overrides.items()}
    try:
        config = load_config(path, dotted)
    except ConfigError as error:
        load_config(path)  # wrong by itself: the file is to blame
        problem = str(error).removeprefix(f"{path or 'config'}: ")
        raise UsageError(f"{', '.join(_culprits(path, dotted))}: {problem}") from None
    if config.feature_modules:
        from stockbot.feature_modules import load_feature_modules

        load_feature_modules(config.feature_modules, str(path or "config"))
    return config


def require_known_features(config: Config, config_path: Path | None) -> None:
    """Raises ConfigError, which names the file, when `features` lists one that does not exist."""
    from pipelines.errors import DataError
    from pipelines.features import FeaturePlan

    try:
        FeaturePlan(config.features)
    except DataError as error:
        raise ConfigError(f"{_config_file(config_path) or 'config'}: `features`: {error}") from None


def _config_file(config_path: Path | None) -> Path | None:
    default = Path("config.yaml")
    return default if config_path is None and default.is_file() else config_path


def _culprits(path: Path | None, overrides: dict[str, Any]) -> list[str]:
    """The flags without which the others would do; all that were given when there is no such flag."""
    given = {name: value for name, value in overrides.items() if value is not None}
    blamed = [name for name in given if _is_valid(path, {**given, name: None})]
    flags = {option.name: option.opts[0] for option in click.get_current_context().command.params}
    flags |= {"columns": "--column", "header": "--no-header"}
    known = (name.replace(".", "__").removeprefix("source__") for name in blamed or given)
    return list(dict.fromkeys("--policy" if name.startswith("quality__policy__") else flags[name] for name in known))


def _is_valid(path: Path | None, overrides: dict[str, Any]) -> bool:
    try:
        load_config(path, overrides)
    except ConfigError:
        return False
    return True


def emit(result: dict[str, Any], as_json: bool) -> None:
    """Print a result: `name  value` lines for people, or one JSON object on the last line."""
    if as_json:
        click.echo(json.dumps(result, default=str, sort_keys=True))
        return
    width = max((len(name) for name in result), default=0)
    for name, value in result.items():
        click.echo(f"{name.replace('_', ' '):<{width}}  {_readable(value)}")


def _readable(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "-"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.6g}"
    if isinstance(value, list):
        return ", ".join(_readable(part) for part in value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_readable(part)}" for name, part in value.items()) or "none"
    return str(value)


@contextmanager
def progress(description: str, unit: str = "rows") -> Iterator[Callable[..., None]]:
    """A bar with rate and time left on stderr, silent when that is no terminal.

    Call it with (done, total), and with a note on what else is done.
    """
    if not sys.stderr.isatty():
        yield lambda done, total, note="": None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=None), TextColumn("{task.fields[told]}"),
               TimeRemainingColumn())  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=None, told="")
        rate = ""

        def advance(done: int, total: int, note: str = "") -> None:
            nonlocal rate  # what is finished has none any more
            rate = f" {speed:,.0f}/s" if (speed := bar.tasks[0].speed) else rate
            told = f"{done:,}/{total:,} {unit}{rate} {note}".rstrip()
            bar.update(task, completed=done, total=total, told=told)

        yield advance
