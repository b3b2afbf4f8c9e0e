"""`stockbot-hp runs`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from stockbot.cli.options import artifacts_option, config_option, emit, json_option, resolve_config

WIDEST = 34  # characters of a cell: longer values are shown by their ends


@click.group(invoke_without_command=True)
@config_option
@artifacts_option
@json_option
@click.pass_context
def command(context: click.Context, config_path: Path | None, artifacts: Path | None, as_json: bool) -> None:
    """List training runs, newest first: name, state, when, model, loss against the best baseline, bundle.

    RUN is the name of one, the beginning of one, or `latest`.

    \b
    Examples:
      stockbot-hp runs
      stockbot-hp runs show latest
      stockbot-hp runs compare 20261124T09 20261124T10
    """
    context.obj = {"config_path": config_path, "artifacts": artifacts}
    if context.invoked_subcommand is None:
        _list(_folder(context, config_path, artifacts), as_json)


@command.command()
@click.argument("run")
@config_option
@artifacts_option
@json_option
@click.pass_context
def show(context: click.Context, run: str, config_path: Path | None, artifacts: Path | None, as_json: bool) -> None:
    """Show the record of RUN and the files that it keeps.

    \b
    Example:
      stockbot-hp runs show latest
    """
    from stockbot.run_folder import find_run
    from stockbot.run_records import flat, read_run

    folder = find_run(_folder(context, config_path, artifacts), run)
    record = read_run(folder)
    kept = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    told = {**record, "folder": str(folder), "files": kept}
    emit(told if as_json else dict(flat(told)), as_json)


@command.command()
@click.argument("runs", nargs=-1)
@config_option
@artifacts_option
@json_option
@click.pass_context
def compare(
    context: click.Context, runs: tuple[str, ...], config_path: Path | None, artifacts: Path | None, as_json: bool
) -> None:
    """Show in which settings RUNS differ, and their figures side by side.

    \b
    Example:
      stockbot-hp runs compare 20261124T09 latest
    """
    from stockbot.run_records import compare_runs

    found = compare_runs(_folder(context, config_path, artifacts), runs)
    if as_json:
        click.echo(json.dumps(found, sort_keys=True))
        return
    click.echo("\n".join(_table(["", *found["runs"]], found["data"] | found["settings"])))
    if not found["settings"]:
        click.echo("the settings are the same")
    click.echo("")
    click.echo("\n".join(_table(["", *found["runs"]], found["metrics"])))


def _folder(context: click.Context, config_path: Path | None, artifacts: Path | None) -> Path:
    """Where artifacts are: what the subcommand was told, else what was said before it, else the settings."""
    artifacts = artifacts or context.obj["artifacts"]
    return artifacts or Path(resolve_config(config_path or context.obj["config_path"]).paths.artifacts)


def _list(artifacts: Path, as_json: bool) -> None:
    from stockbot.run_records import list_runs, loss_against

    rows = [{**record, "against": loss_against(record)} for record in list_runs(artifacts)]
    if as_json:
        click.echo(json.dumps({"runs": rows}, sort_keys=True))
        return
    width = max((len(row["run"]) for row in rows), default=0)
    for row in rows:
        model, bundle = row.get("factory") or "-", (row.get("model") or "-")[:16]
        line = f"{row['run']:<{width}}  {row['state']:<12}  {row.get('started') or '-':<20}  {model:<6}  {bundle:<16}"
        line = f"{line}  {_against(row['against'])}"
        click.secho(line, fg="red" if row["state"] in ("failed", "damaged") else None)
    if not rows:
        click.echo(f"no run in {artifacts / 'runs'} yet; run `stockbot-hp train`")


def _against(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "-"
    sign = "<" if found["loss"] < found["baseline_loss"] else "NOT <"
    part = "" if found["part"] == "test" else " (validation)"
    return f"loss {found['loss']:.6g} {sign} {found['baseline_loss']:.6g} {found['baseline']}{part}"


def _table(head: Sequence[str], rows: Mapping[str, Sequence[Any]]) -> list[str]:
    """Aligned lines, the names at the left."""
    cells = [list(head), *([name, *map(_cell, values)] for name, values in rows.items())]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]


def _cell(value: Any) -> str:
    text = "-" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    half = WIDEST // 2 - 1
    return text if len(text) <= WIDEST else f"{text[:half]}...{text[-half + 1 :]}"
