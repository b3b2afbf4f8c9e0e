"""`stockbot-hp run`."""

from pathlib import Path
from typing import Any

import click

from stockbot.cli.options import (
    artifacts_option,
    config_option,
    emit,
    json_option,
    model_option,
    progress,
    resolve_config,
    source_options,
)


@click.command()
@click.argument("sources", nargs=-1, required=True)
@click.option("--signals", type=click.Path(path_type=Path), help="Signal log; default: signals.txt in --artifacts.")
@click.option(
    "--warm-start",
    type=click.Path(path_type=Path),
    metavar="STORE",
    help="Go on from a feature store; its rows are left out.",
)
@click.option(
    "--live", is_flag=True, help="Mark lines LIVE, old bars EXPIRED; needs `live.enabled: true`. No broker is attached."
)
@click.option(
    "--chunk", type=click.IntRange(1), default=1, show_default=True, help="Rows at once; lines do not change."
)
@source_options
@model_option
@artifacts_option
@config_option
@json_option
def command(
    sources: tuple[str, ...],
    signals: Path | None,
    warm_start: Path | None,
    live: bool,
    chunk: int,
    source: dict[str, Any],
    model_id: str | None,
    artifacts: Path | None,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """Replay ticks or candles through the current model and log one traceable line for each prediction.

    A dry run unless --live is given. A file named KILL in the artifacts folder halts it (exit 1); Ctrl-C ends it
    cleanly. Run again after a crash: what is logged already is not logged twice. Thresholds and costs are those
    of the configuration file if it states them, else those the model was trained with.

    \b
    Examples:
      stockbot-hp run ticks/2026-11-20.csv.gz
      stockbot-hp run ticks/2026-11-20.csv.gz --warm-start data/features --model 3f2a9c0d
    """
    from stockbot.build import source_hints
    from stockbot.live.replay import ReplayRequest, replay

    config = resolve_config(config_path, source)
    folder = artifacts or Path(config.paths.artifacts)
    request = ReplayRequest(
        sources=sources,
        hints=source_hints(config),
        artifacts=folder,
        signals=signals or folder / "signals.txt",
        model=model_id,
        settings=config,
        live=live,
        warm_start=warm_start,
        chunk=chunk,
    )
    with progress("replay", "rows") as advance:
        result = replay(request, progress=advance)
    emit(result, as_json)
