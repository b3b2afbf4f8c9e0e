"""`stockbot-hp features`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stockbot.cli.options import config_option, json_option, progress, resolve_config

if TYPE_CHECKING:
    from stockbot.feature_list import Listed


@click.command()
@click.argument("names", nargs=-1)
@click.option("--no-cost", is_flag=True, help="Do not measure what each costs.")
@config_option
@json_option
def command(names: tuple[str, ...], no_cost: bool, config_path: Path | None, as_json: bool) -> None:
    """List features: definition, warm-up, inputs, and cost as measured on this machine.

    NAMES are features or sets; without any, an example of every family is listed. The number at the end of a name is
    yours to choose.

    \b
    Examples:
      stockbot-hp features
      stockbot-hp features core17 rsi_wilder_30
      stockbot-hp features alpha158 --no-cost
    """
    resolve_config(config_path)  # registers the features of `feature_modules`
    from stockbot.feature_list import list_features, set_sizes

    with progress("measuring", "features") as measuring:
        listed = list_features(names, measured=not no_cost, progress=measuring)
    if as_json:
        click.echo(json.dumps({"features": [vars(one) for one in listed], "sets": set_sizes()}, sort_keys=True))
        return
    for one in listed:
        click.echo(_lines(one))
    sets = ", ".join(f"{name} ({size})" for name, size in set_sizes().items())
    click.echo(f"\n{len(listed)} features; sets: {sets}")


def _lines(one: "Listed") -> str:
    cost = "" if one.cost is None else f", {one.cost:.1f} ns a row"
    definition = one.definition if len(one.definition) <= 200 else one.definition[:197] + "..."
    return (
        f"{one.name}: {one.summary} [{one.unit}]\n"
        f"    = {definition}\n"
        f"    first value after {one.warmup} rows; reads {', '.join(one.inputs)}{cost}"
    )
