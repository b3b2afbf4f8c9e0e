"""`stockbot-hp sample-data`."""

from pathlib import Path

import click

from stockbot.cli.options import emit, json_option, progress


@click.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the archive; empty or new.")
@click.option("--symbols", type=click.IntRange(1, 1_000), default=3, show_default=True)
@click.option("--days", type=click.IntRange(1, 5_000), default=5, show_default=True, help="Weekdays from 2024-03-07.")
@click.option("--ticks-per-day", type=click.IntRange(100), default=40_000, show_default=True, help="Of each symbol.")
@click.option("--seed", type=click.IntRange(0), default=7, show_default=True, help="Same seed, same bytes.")
@click.option("--overwrite", is_flag=True, help="Replace the sample that is there already.")
@json_option
def command(out: Path, symbols: int, days: int, ticks_per_day: int, seed: int, overwrite: bool, as_json: bool) -> None:
    """Write a deterministic synthetic tick archive, one CSV.gz a symbol and day.

    It has regimes, intraday seasonality, a weekend, a missing stretch, shared stamps and a few bad rows, and it
    carries a weak planted signal: it shows that a pipeline works and says nothing about any market.

    \b
    Example:
      stockbot-hp sample-data --out data/sample --symbols 3 --days 5
    """
    from stockbot.sample_data import PLANTED, generate

    with progress("sample data", "files") as advance:
        report = generate(
            out, symbols=symbols, days=days, ticks_per_day=ticks_per_day, seed=seed, replace=overwrite,
            progress=advance,
        )  # fmt: skip
    emit(
        {
            "folder": str(out),
            "files": len(report.files),
            "symbols": report.symbols,
            "days": len(report.days),
            "first_day": str(report.days[0]),
            "last_day": str(report.days[-1]),
            "rows": report.rows,
            "bad_rows": report.bad_rows,
            "note": PLANTED,
        },
        as_json,
    )
