"""The demo goes the whole way and tells the truth about what came out."""

import json
from pathlib import Path

import polars as pl
import pytest

from stockbot.cli.options import progress
from stockbot.demo import run_demo
from stockbot.errors import UsageError
from stockbot.live.signals import read_signals
from stockbot.verify import verify


def test_the_whole_way_in_one_call(tmp_path: Path) -> None:
    result = run_demo(tmp_path / "demo", days=3, ticks_per_day=5_000, stage=progress)
    signals = read_signals(tmp_path / "demo" / "signals.txt")
    assert signals.height == sum(result["signals"].values()) > 3_000
    assert str(signals["bar"].max())[:10] == result["held_out_day"]
    assert result["live_lines"] == result["live_lines_that_equal_the_batch"] == signals.height
    assert result["rows_in"] == result["rows_out"] + sum(result["quarantined"].values())
    assert set(result["baseline_losses"]) == {"zero", "last", "least_squares"}
    bundle = json.loads((tmp_path / "demo" / "models" / result["model"][:16] / "manifest.json").read_text())
    beaten = not bundle["metrics"]["test"]["statistics"]["unbeaten"]
    assert ("does NOT beat" in result["verdict"]) is not beaten
    assert all(Path(chart).read_bytes().startswith(b"\x89PNG") for chart in result["charts"])
    assert pl.read_csv(result["csv"]).height == result["csv_rows"]
    assert verify(tmp_path / "demo" / "features").problems == []
    assert verify(tmp_path / "demo" / "models" / result["model"][:16]).problems == []


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="no earlier demo"):
        run_demo(tmp_path, stage=progress)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
