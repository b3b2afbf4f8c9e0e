"""`stockbot-hp chart`."""

import re
from datetime import UTC, datetime
from pathlib import Path

import click

from stockbot.cli.options import artifacts_option, config_option, emit, json_option, model_option, resolve_config

NOT_IN_FILE_NAMES = re.compile(r'[<>:"/\\|?*\x00-\x1f]')  # what Windows refuses, and both separators
TIME = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="PNG; default: charts/<symbol>.png in --artifacts.")
@click.option("--symbol", help="Default: the first one.")
@click.option("--from", "start", type=TIME, help="First label to draw, UTC.")
@click.option("--to", "end", type=TIME, help="Draw what comes before, UTC.")
@model_option
@artifacts_option
@config_option
@json_option
def command(
    source: Path,
    out: Path | None,
    symbol: str | None,
    start: datetime | None,
    end: datetime | None,
    model_id: str | None,
    artifacts: Path | None,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """Draw price with entries, prediction against its threshold, and equity after costs beside buy-and-hold.

    SOURCE is a feature store, scored with the current model or --model, or a signal log.

    \b
    Examples:
      stockbot-hp chart artifacts/signals.txt --symbol BTCUSDT
      stockbot-hp chart data/features --from 2026-11-19 --to 2026-11-20
    """
    from stockbot.chart_data import chart_of
    from stockbot.charts import save_chart
    from stockbot.destination import require_file_place

    if out is not None:
        require_file_place(out)
    config = resolve_config(config_path)
    folder = artifacts or Path(config.paths.artifacts)
    span = (start and start.replace(tzinfo=UTC), end and end.replace(tzinfo=UTC))
    data = chart_of(source, artifacts=folder, model=model_id, settings=config, symbol=symbol, span=span)
    target = out or folder / "charts" / f"{NOT_IN_FILE_NAMES.sub('-', data.symbol)}.png"
    save_chart(data, target)
    emit(
        {
            "png": str(target),
            "symbol": data.symbol,
            "model": data.model,
            "rows": len(data.time),
            "judged_rows": data.judged_rows,
            "judged_rows_are": data.basis,
            "net_return": data.net_return,
            "buy_and_hold": data.hold_return,
            "turnover": data.turnover,
        },
        as_json,
    )
