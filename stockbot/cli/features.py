"""`stockbot-hp features`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stockbot.cli.options import config_option, json_option, progress, resolve_config
from stockbot.errors import UsageError

if TYPE_CHECKING:
    from stockbot.feature_list import Listed


@click.command()
@click.argument("names", nargs=-1)
@click.option("--no-cost", is_flag=True, help="Do not measure what each costs.")
@config_option
@json_option
def command(names: tuple[str, ...], no_cost: bool, config_path: Path | None, as_json: bool) -> None:
    """List features: definition, warm-up, inputs, and cost as measured on this machine.

    NAMES are features or sets, shown with their definitions; without any, an example of every family is a line of a
    table. The numbers at the end of a name are yours to choose.

    \b
    Examples:
      stockbot-hp features
      stockbot-hp features core17 rsi_wilder_30
      stockbot-hp features alpha158 --no-cost
    """
    resolve_config(config_path)  # makes the features of `feature_modules` known
    from pipelines.errors import DataError
    from stockbot.feature_list import list_features, set_sizes

    try:
        with progress("measuring", "features") as measuring:
            listed = list_features(names, measured=not no_cost, progress=measuring)
    except DataError as error:
        raise UsageError(f"NAMES: {error}") from error
    if as_json:
        click.echo(json.dumps({"features": [vars(one) for one in listed], "sets": set_sizes()}, sort_keys=True))
        return
    for line in _blocks(listed) if names else _table(listed):
        click.echo(line)
    sets = ", ".join(f"{name} ({size})" for name, size in set_sizes().items())
    click.echo(f"\n{len(listed)} {'features' if names else 'families'}; sets: {sets}")


def _table(listed: "list[Listed]") -> list[str]:
    """A line for each feature under a head."""
    width = max(len(one.name) for one in listed)
    rows = [(one.name, str(one.warmup), _cost(one), f"{one.summary} [{one.unit}]") for one in listed]
    head = ("example", "warm-up", "ns/row", "says [unit]")
    return [f"{name:<{width}}  {warmup:>7}  {cost:>6}  {says}" for name, warmup, cost, says in [head, *rows]]


def _blocks(listed: "list[Listed]") -> list[str]:
    """What there is to say of each feature, a few lines each."""
    return [
        f"{one.name}\n"
        f"  {one.summary} [{one.unit}]\n"
        f"  = {one.definition}\n"
        f"  reads {', '.join(one.inputs)}; first value in row {one.warmup + 1}"
        + (f"; {_cost(one)} ns a row" if one.cost is not None else "")
        for one in listed
    ]


def _cost(one: "Listed") -> str:
    return "-" if one.cost is None else f"{one.cost:.1f}"
