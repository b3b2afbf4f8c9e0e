"""`stockbot-hp build-features`."""

import math
from pathlib import Path
from typing import Any

import click

from stockbot.cli.options import (
    config_option,
    emit,
    json_option,
    progress,
    require_known_features,
    resolve_config,
    source_options,
)


@click.command("build-features")
@click.argument("sources", nargs=-1, required=True)
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the store; default: `paths.store`.")
@click.option(
    "--bars",
    "bars__kind",
    type=click.Choice(["none", "time", "tick", "volume", "dollar"]),
    help="How ticks become rows; candles are rows already.",
)
@click.option("--bar-size", "bars__size", help="1s, 1m, 1h ... of time bars; a number for the others.")
@click.option("--overwrite", is_flag=True, help="Replace a feature store that is there already.")
@source_options
@config_option
@json_option
def command(
    sources: tuple[str, ...],
    out: Path | None,
    bars__kind: str | None,
    bars__size: str | None,
    overwrite: bool,
    source: dict[str, Any],
    config_path: Path | None,
    as_json: bool,
) -> None:
    """Read an archive (files, folders, globs), validate it, and write the feature store.

    \b
    Examples:
      stockbot-hp build-features ticks/ --out data/features
      stockbot-hp build-features market_data.db --bars none --timezone UTC
    """
    import time

    from stockbot.build import build_features

    config = resolve_config(config_path, source, bars__kind=bars__kind, bars__size=_number(bars__size))
    require_known_features(config, config_path)
    target = out or Path(config.paths.store)
    started = time.perf_counter()
    with progress("reading", "files") as reading, progress("building") as building:
        report, sources_read = build_features(
            sources,
            config,
            target,
            replace=overwrite,
            bars_asked=bars__kind is not None or bars__size is not None,
            reading=reading,
            building=building,
        )
    if not as_json:
        for line in sources_read:
            click.echo(line)
    seconds = time.perf_counter() - started
    emit(
        {
            "store": str(target),
            "rows_in": report.rows_in,
            "rows_out": report.rows_out,
            "quarantined": report.quarantined,
            "bars": report.store.bars.describe() if report.store.manifest["source_kind"] == "ticks" else "candles",
            "feature_rows": report.feature_rows,
            "features": len(report.store.features),
            "partitions": report.files,
            "snapshot": report.store.snapshot,
            "seconds": round(seconds, 3),
            "rows_per_second": round(report.rows_in / seconds),
        },
        as_json,
    )


def _number(text: str | None) -> str | float | None:
    try:
        number = float(text or "")
    except ValueError:
        return text
    return number if math.isfinite(number) else text
