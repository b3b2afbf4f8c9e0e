"""`stockbot-hp build-features`."""

import math
import sys
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

_NAMED = 4  # files of a line
_WORKERS = "Symbols built at once; default: half the processors, and all of them with --cluster local."


@click.command("build-features")
@click.argument("sources", nargs=-1, required=True)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder or s3://BUCKET/PREFIX of the store; default: `paths.store`."
)
@click.option(
    "--bars",
    "bars__kind",
    type=click.Choice(["none", "time", "tick", "volume", "dollar"]),
    help="How ticks become rows; candles are rows already.",
)
@click.option("--bar-size", "bars__size", help="1s, 1m, 1h ... of time bars; a number for the others.")
@click.option(
    "--materialize",
    "store__materialize",
    type=click.Choice(["all", "input", "none"]),
    help="What the store holds: features, the rows they are computed from when they are read, or nothing.",
)
@click.option("--overwrite", is_flag=True, help="Replace a feature store that is there already.")
@click.option("--plan", "only_plan", is_flag=True, help="Show what would be done, and why; build nothing.")
@click.option("--strict", is_flag=True, help="Build nothing when a file cannot be read; else it is left out and named.")
@click.option("--workers", type=click.IntRange(min=1), help=_WORKERS)
@click.option("--cluster", metavar="ADDRESS", help="Build on a Dask scheduler, tcp://host:8786; `local`: start one.")
@click.option(
    "--scratch", type=click.Path(path_type=Path), help="Where a store for s3:// is made; default: data/.builds."
)
@source_options
@config_option
@json_option
def command(
    sources: tuple[str, ...],
    out: Path | None,
    bars__kind: str | None,
    bars__size: str | None,
    store__materialize: str | None,
    overwrite: bool,
    only_plan: bool,
    strict: bool,
    workers: int | None,
    cluster: str | None,
    scratch: Path | None,
    source: dict[str, Any],
    config_path: Path | None,
    as_json: bool,
) -> None:
    """Read an archive (files, folders, globs, s3://) of any size, validate it, and write the feature store.

    The same command goes on with a build that was interrupted, and brings a store up to date with its archive.

    \b
    Examples:
      stockbot-hp build-features ticks/ --out data/features
      stockbot-hp build-features ticks/ --out data/features --plan
      stockbot-hp build-features market_data.db --bars none --timezone UTC
    """
    import time

    from stockbot.build import build_features, peak_rss_mb, plan_features
    from stockbot.quality_table import print_quality

    asked = {"bars__kind": bars__kind, "bars__size": _number(bars__size), "store__materialize": store__materialize}
    config = resolve_config(config_path, source, **asked)
    require_known_features(config, config_path)
    target = out or Path(config.paths.store)
    if only_plan:
        works, broken = plan_features(sources, config, target, replace=overwrite, strict=strict, scratch=scratch)
        _show_plan(works, broken, as_json)
        return
    started = time.perf_counter()
    with progress("reading", "files") as reading, progress("building", "ticks") as building:
        report, sources_read = build_features(
            sources,
            config,
            target,
            replace=overwrite,
            bars_asked=bars__kind is not None or bars__size is not None,
            strict=strict,
            workers=workers,
            cluster=cluster,
            scratch=scratch,
            reading=reading,
            building=lambda done, total, partitions: building(done, total, f"{partitions} partitions"),
        )
    if not as_json:
        for line in sources_read:
            click.echo(line)
    seconds = time.perf_counter() - started
    emit(
        {
            "store": str(report.store.path),
            "rows_in": report.rows_in,
            "rows_out": report.rows_out,
            "quarantined": report.quarantined,
            "bars": report.store.bars.describe() if report.store.manifest["source_kind"] == "ticks" else "candles",
            "feature_rows": report.feature_rows,
            "features": len(report.store.features),
            "partitions": report.partitions,
            "skipped": report.skipped,
            "files": report.files,
            "broken": list(report.broken),
            **({"passed_over": list(map(str, report.passed_over))} if as_json else {}),
            "snapshot": report.store.snapshot,
            "seconds": round(seconds, 3),
            "ticks_per_second": round(report.taken / seconds),
            "peak_rss_mb": peak_rss_mb(),
        },
        as_json,
    )
    if not as_json:
        print_quality(report.store)
    for problem in report.broken:
        click.echo(f"error: {problem}; the store is made of the other files", err=True)
    if report.broken:
        sys.exit(1)


def _show_plan(works: list[dict[str, Any]], broken: list[str], as_json: bool) -> None:
    if not as_json:
        for work in works:
            click.echo(f"{work['symbol']}: {work['up_to_date']} partitions up to date, {_due(work)}")
    due_symbols = sum(work["reason"] is not None for work in works)
    result = {"symbols": len(works), "due": due_symbols, "up_to_date": sum(work["up_to_date"] for work in works)}
    emit(result | ({"plan": works, "broken": broken} if as_json else {}), as_json)
    for problem in broken:
        click.echo(f"note: {problem}; a build leaves it out", err=True)


def _due(work: dict[str, Any]) -> str:
    if work["reason"] is None:
        return "nothing to do"
    if not work["files"]:
        return f"to drop: {work['reason']}"
    again, last = work["again"], work["last"]
    if again:
        days = again[0] if len(again) == 1 else f"{again[0]} to {again[-1]}"
        due = f"{days} again, and what follows"
    else:
        due = f"what follows {last}" if last else "all"
    return f"to build {due}, from {_listed(work['files'])}: {work['reason']}"


def _listed(files: list[str]) -> str:
    more = [f"{len(files) - _NAMED} more"] if len(files) > _NAMED else []
    return ", ".join([*files[:_NAMED], *more])


def _number(text: str | None) -> str | float | None:
    try:
        number = float(text or "")
    except ValueError:
        return text
    return number if math.isfinite(number) else text
