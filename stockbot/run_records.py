"""What runs left behind: read, listed, and compared."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pipelines.errors import DataError
from pipelines.files import has_writer, read_json
from stockbot.errors import ArtifactError, UsageError
from stockbot.run_folder import CONFIG, RECORD, find_run

DAMAGED, UNRECORDED = "damaged", "unrecorded"
_NOTHING: dict[str, Any] = {}


def read_run(folder: Path) -> dict[str, Any]:
    """The record of a run with its `state`, which says `killed` where the process that was at work is gone.

    Of a run without a record, made by an earlier version or killed at once, nothing is known but its name.
    """
    if not (folder / RECORD).exists():
        return {"run": folder.name, "state": UNRECORDED}
    try:
        record = read_json(folder / RECORD)
        if not isinstance(record, dict) or not isinstance(record.get("state"), str):
            raise DataError(f"{folder / RECORD}: expected an object with `state`; the file was altered")
    except DataError as error:
        return {"run": folder.name, "state": DAMAGED, "error": str(error)}
    if record["state"] == "running" and not has_writer(folder):
        record["state"] = "killed"
    return record


def list_runs(artifacts: Path) -> list[dict[str, Any]]:
    """The records of all runs, newest first."""
    folder = artifacts / "runs"
    folders = [path for path in folder.glob("[!.]*") if path.is_dir()] if folder.is_dir() else []
    records = [read_run(path) for path in folders]
    return sorted(records, key=lambda record: (record.get("started") or record["run"], record["run"]), reverse=True)


def loss_against(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """Loss of a run beside the least of its baselines, on test windows, or on validation windows of a trial.

    Returns:
        `part`, `loss`, `baseline`, `baseline_loss`; None where the run did not get so far.
    """
    metrics = record.get("metrics") or _NOTHING
    for part in ("test", "validation"):
        if part in metrics and metrics[part].get("baselines"):
            losses = {name: scores["loss"] for name, scores in metrics[part]["baselines"].items()}
            least = min(losses, key=lambda name: losses[name])
            return {
                "part": part, "loss": metrics[part]["loss"], "baseline": least, "baseline_loss": losses[least],
            }  # fmt: skip
    return None


def compare_runs(artifacts: Path, names: Sequence[str]) -> dict[str, Any]:
    """Settings in which runs differ, and their figures side by side.

    Returns:
        `runs`: the names. `settings` and `metrics`: by dotted name a value for each run, None where it has none.

    Raises:
        UsageError: fewer than two runs. ArtifactError: no such run, or one without settings.
    """
    folders = [find_run(artifacts, name) for name in names]
    if len(set(folders)) < 2:
        raise UsageError(f"compare: expected two runs or more, received {', '.join(names) or 'none'}")
    records = [read_run(folder) for folder in folders]
    settings = [dict(flat(_settings(folder))) for folder in folders]
    data = [{name: record.get(name) for name in ("store", "snapshot", "commit")} for record in records]
    metrics = [dict(flat(record.get("metrics") or _NOTHING)) for record in records]
    return {
        "runs": [folder.name for folder in folders],
        "settings": _differing(_side_by_side(settings)),
        "data": _differing(_side_by_side(data)),
        "metrics": _side_by_side(metrics),
    }


def _settings(folder: Path) -> dict[str, Any]:
    try:
        settings = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        settings = None
    if not isinstance(settings, dict):
        raise ArtifactError(f"{folder / CONFIG}: no settings; the run ended before it trained: compare others")
    return settings


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Pairs of a dotted name and a value that is no mapping."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _side_by_side(columns: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    names = dict.fromkeys(name for column in columns for name in column)
    return {name: [column.get(name) for column in columns] for name in names}


def _differing(rows: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    return {name: values for name, values in rows.items() if any(value != values[0] for value in values)}
