"""`stockbot-hp doctor`."""

import sys
from pathlib import Path
from typing import Any

import click

from stockbot.cli.options import (
    artifacts_option,
    config_option,
    emit,
    json_option,
    require_known_features,
    resolve_config,
)


@click.command()
@click.option("--gpu", is_flag=True, help="Import TensorFlow and run a small LSTM on each GPU; no GPU is a problem.")
@click.option("--clear-cache", is_flag=True, help="First remove all compiled kernels; the next use compiles anew.")
@click.option("--warm-up", is_flag=True, help="First compile all kernels and the configured features into the cache.")
@artifacts_option
@config_option
@json_option
def command(
    gpu: bool, clear_cache: bool, warm_up: bool, artifacts: Path | None, config_path: Path | None, as_json: bool
) -> None:
    """Show what is installed, threads, caches, devices and disk; exit 1 when something would stop a command.

    \b
    Example:
      stockbot-hp doctor
      stockbot-hp doctor --warm-up
      stockbot-hp doctor --gpu --json
    """
    from kernels import compilation
    from stockbot import doctor

    report: dict[str, Any] = {}
    if clear_cache:
        report["cleared"] = [str(folder) for folder in compilation.clear_cache()]
    if warm_up:
        from stockbot.warm_up import warm_up as compile_all

        config = resolve_config(config_path)
        require_known_features(config, config_path)
        report["warm_up"] = compile_all(config)
    report = doctor.examine(artifacts or Path("artifacts"), gpu=gpu) | report
    emit(report if as_json else _one_line_a_device(report), as_json)
    if report["problems"]:
        sys.exit(1)


def _one_line_a_device(report: dict[str, Any]) -> dict[str, Any]:
    """The same for people: what is said of a GPU stands in a line of its own, and problems stand last."""
    gpu = dict(report["gpu"])
    lines: dict[str, Any] = {}
    if isinstance(gpu["nvidia_smi"], list):
        lines |= {f"nvidia_smi_{row['index']}": row for row in gpu.pop("nvidia_smi")}
    if isinstance(gpu.get("tensorflow"), dict):
        lines["tensorflow"] = gpu.pop("tensorflow")
        lines |= {device["device"].lower().replace(":", "_"): device for device in lines["tensorflow"]["visible"]}
        lines["tensorflow"] = {name: value for name, value in lines["tensorflow"].items() if name != "visible"}
    shown = {name: value for name, value in report.items() if name != "problems"} | {"gpu": gpu}
    return shown | lines | {"problems": report["problems"]}
