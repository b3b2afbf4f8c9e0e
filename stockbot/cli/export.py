"""`stockbot-hp export`."""

from pathlib import Path

import click

from stockbot.cli.options import (
    artifacts_option,
    config_option,
    emit,
    json_option,
    model_option,
    progress,
    resolve_config,
)


@click.command()
@click.argument("store", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=Path("export.csv"), show_default=True, help="CSV.")
@click.option("--symbol", "symbols", multiple=True, help="Only this one; repeatable. Default: all.")
@click.option("--no-model", is_flag=True, help="Rows and features only.")
@model_option
@artifacts_option
@config_option
@json_option
def command(
    store: Path,
    out: Path,
    symbols: tuple[str, ...],
    no_model: bool,
    model_id: str | None,
    artifacts: Path | None,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """Write rows, features, predictions and positions of a feature store to one CSV, with a schema beside it.

    Without --model the current model predicts; where none was promoted, or with --no-model, there are no
    prediction columns. Nothing of a row was known before its `actionable_at`.

    \b
    Example:
      stockbot-hp export data/features --out bars.csv --symbol BTCUSDT
    """
    from pipelines.store import FeatureStore
    from stockbot.bundle import current, resolve
    from stockbot.evaluate import Rule
    from stockbot.export import export
    from stockbot.live.replay import in_force

    config = resolve_config(config_path)
    folder = artifacts or Path(config.paths.artifacts)
    opened = FeatureStore.open(store)
    with_model = not no_model and (model_id is not None or current(folder) is not None)
    bundle = resolve(folder, model_id) if with_model else None
    rule = Rule.of(in_force(bundle, config)) if bundle else None
    with progress("export", "symbols") as advance:
        report = export(opened, out, bundle=bundle, rule=rule, symbols=symbols, progress=advance)
    result = {"csv": str(report.path), "schema": str(report.schema), "rows": report.rows}
    model = {"model": bundle.id if bundle else None, "predictions": report.predictions}
    emit(result | model | {"columns": report.columns if as_json else len(report.columns)}, as_json)
