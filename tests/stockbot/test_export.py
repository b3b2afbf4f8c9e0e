"""The CSV loads in pandas with the columns it documents, holds every digit, and looks nowhere ahead."""

import json
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.errors import DataError
from pipelines.store import FeatureStore
from stockbot.build import build_features
from stockbot.config import load_config
from stockbot.errors import UsageError
from stockbot.evaluate import Rule
from stockbot.export import export
from tests.stockbot.world import World, make_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


JUDGED = ["prediction", "action", "position", "seen_in_training"]
BASE = ["symbol", "timestamp", "actionable_at", "open", "high", "low", "close", "volume"]


def test_pandas_reads_the_documented_columns_and_every_digit(world: World, tmp_path: Path) -> None:
    report = export(world.store, tmp_path / "out.csv", bundle=world.bundle)
    frame = pd.read_csv(report.path, parse_dates=["timestamp", "actionable_at"])
    assert list(frame.columns) == [*BASE, *world.store.features, *JUDGED] == report.columns
    assert len(frame) == report.rows
    for symbol in world.store.symbols:
        mine = frame[frame["symbol"] == symbol]
        stored = world.store.read(symbol, closed_only=True)
        np.testing.assert_array_equal(mine["close"].to_numpy(), stored["close"].to_numpy())
        for name in world.store.features:
            np.testing.assert_array_equal(mine[name].to_numpy(np.float32), stored[name].to_numpy())
        assert mine["timestamp"].astype("int64").to_list() == stored["timestamp"].to_physical().to_list()


def test_a_row_is_actionable_when_its_bar_has_ended_and_not_before(world: World, tmp_path: Path) -> None:
    report = export(world.store, tmp_path / "out.csv", bundle=world.bundle)
    frame = pd.read_csv(report.path, parse_dates=["timestamp", "actionable_at"])
    assert (frame["actionable_at"] - frame["timestamp"] == pd.Timedelta(minutes=1)).all()
    assert report.path.read_text().splitlines()[1].split(",")[1].endswith(".000000000+00:00")


def test_actions_follow_the_predictions_and_are_empty_without_one(world: World, tmp_path: Path) -> None:
    report = export(world.store, tmp_path / "out.csv", bundle=world.bundle)
    frame = pd.read_csv(report.path)
    rule = Rule.of(world.bundle.config)
    known = frame[frame["prediction"].notna()]
    assert len(known) == report.predictions > 1000
    assert (known["position"] == rule.positions(known["prediction"].to_numpy())).all()
    assert set(known["action"]) == {"LONG", "SHORT", "FLAT"}
    assert frame[frame["prediction"].isna()][["action", "position"]].isna().all(axis=None)
    assert frame["prediction"].isna().sum() > 2 * (19 + 7)


def test_rows_that_made_the_model_are_marked(world: World, tmp_path: Path) -> None:
    report = export(world.store, tmp_path / "out.csv", bundle=world.bundle)
    frame = pd.read_csv(report.path, parse_dates=["timestamp"])
    assert frame["seen_in_training"].dtype == bool
    last_day = pd.Timestamp(world.store.span()[1], tz="UTC")
    assert (frame["seen_in_training"] == (frame["timestamp"] < last_day)).all()
    assert 0 < frame["seen_in_training"].sum() < len(frame)


def test_without_a_model_there_are_no_prediction_columns(world: World, tmp_path: Path) -> None:
    report = export(world.store, tmp_path / "out.csv", symbols=["BRAVO"])
    frame = pd.read_csv(report.path)
    assert list(frame.columns) == [*BASE, *world.store.features]
    assert set(frame["symbol"]) == {"BRAVO"}


def test_the_schema_describes_each_column_and_the_model(world: World, tmp_path: Path) -> None:
    report = export(world.store, tmp_path / "out.csv", bundle=world.bundle)
    schema = json.loads((tmp_path / "out.schema.json").read_text())
    assert [column["name"] for column in schema["columns"]] == report.columns
    assert all(column["type"] and column["meaning"] for column in schema["columns"])
    assert (schema["model"]["id"], schema["rows"]) == (world.bundle.id, report.rows)
    assert schema["data_snapshot"] == world.store.snapshot


def test_ticks_are_exported_as_ticks(world: World, tmp_path: Path) -> None:
    config = load_config(None, {"bars.kind": "none", "features": ["logret_1"]})
    store = build_features(world.today, config, tmp_path / "ticks")[0].store
    frame = pd.read_csv(export(store, tmp_path / "out.csv").path, parse_dates=["timestamp", "actionable_at"])
    assert list(frame.columns) == ["symbol", "timestamp", "actionable_at", "price", "volume", "logret_1"]
    assert (frame["timestamp"] == frame["actionable_at"]).all()


def test_a_candle_is_actionable_at_the_next_stamp(tmp_path: Path) -> None:
    source = tmp_path / "candles.csv"
    rows = [f"{1_710_115_200 + 3600 * i},{c},{c + 1},{c - 1},{c},5" for i, c in enumerate([10, 11, 12])]
    source.write_text("timestamp,open,high,low,close,volume\n" + "\n".join(rows) + "\n")
    config = load_config(None, {"source.symbol": "X", "features": ["logret_1"]})
    store = build_features([source], config, tmp_path / "store")[0].store
    frame = pd.read_csv(export(store, tmp_path / "out.csv").path, parse_dates=["timestamp", "actionable_at"])
    assert (frame["actionable_at"] - frame["timestamp"] == pd.Timedelta(hours=1)).all()


def test_a_failed_export_leaves_the_old_file_and_nothing_else(world: World, tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("old")
    with pytest.raises(DataError, match="no symbol 'NOPE'"):
        export(world.store, tmp_path / "out.csv", symbols=["ALFA", "NOPE"])
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]
    assert (tmp_path / "out.csv").read_text() == "old"


def test_a_place_that_is_no_file_is_refused_before_anything_is_read(world: World, tmp_path: Path) -> None:
    emptied = Path(shutil.copytree(world.store.path, tmp_path / "emptied"))
    for part in emptied.rglob("part-*.parquet"):
        part.unlink()
    for place in (tmp_path, Path("/dev/null"), world.today[0] / "out.csv"):
        with pytest.raises(UsageError, match="give another --out"):
            export(FeatureStore.open(emptied), place)
    assert [path.name for path in tmp_path.iterdir()] == ["emptied"]


def test_a_store_whose_only_bar_is_open_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "one.csv"
    source.write_text("timestamp,symbol,price,volume\n1710115200,X,10,1\n1710115201,X,11,1\n")
    store = build_features([source], load_config(None, {"features": ["logret_1"]}), tmp_path / "store")[0].store
    with pytest.raises(DataError, match="store: holds no finished row of X; build it from more data"):
        export(store, tmp_path / "out.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.csv", "store"]


FULL_DISK = textwrap.dedent(
    """
    import resource, signal, sys
    from stockbot.cli import main
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # the system refuses to write more, as a full disk
    main(sys.argv[1:])
    """
)


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits on the size of files")
@pytest.mark.parametrize("command", ["export", "chart", "sample-data"])
def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(world: World, tmp_path: Path, command: str) -> None:
    arguments = [command, "--out", str(tmp_path / "out")]
    if command != "sample-data":
        arguments += [str(world.store.path), "--artifacts", str(world.artifacts)]
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, *arguments], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert re.match(rf"error: {tmp_path}/out.*: cannot be written: File too large", done.stderr)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []
