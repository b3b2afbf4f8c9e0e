"""Every command on stores whose rows are computed when they are read: what it gives on one whose rows are written."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from pipelines.store import FeatureStore
from stockbot.cli import main
from stockbot.retrain import RetrainResult, retrain_once
from tests.stockbot.markets import tiny_config, wave

CONFIG = {
    "features": ["logret_1", "ma_dev_5", "ofi_5"],
    "model__factory": "linear",
    "training__epochs": 6,
    "training__learning_rate": 0.05,
}


def write_parquet(folder: Path, prices: Mapping[str, np.ndarray], first_second: int = 0) -> None:
    """A tick a second for each symbol, a file each."""
    for symbol, series in prices.items():
        path = folder / str(first_second) / f"{symbol}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        stamps = (1_704_067_200 + first_second + np.arange(len(series))) * 10**9
        rows = pl.DataFrame({"timestamp": stamps, "price": series, "volume": 1.5})
        rows.with_columns(pl.col("timestamp").cast(pl.Datetime("ns", "UTC"))).write_parquet(path)


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """The JSON object that a command that succeeds prints."""
    main([*arguments, "--json"])
    return dict(json.loads(capsys.readouterr().out.splitlines()[-1]))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with settings and the ticks of two symbols."""
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(tiny_config(**CONFIG).to_yaml())
    write_parquet(tmp_path / "ticks", {"AAA": wave(260), "BBB": wave(260, seed=1)})
    return tmp_path


def everything(capsys: pytest.CaptureFixture[str], what: str) -> dict[str, Any]:
    """Build, verify, train, promote, evaluate, export, chart, and run on what came after; figures of all of it."""
    store = f"{what}-store"
    place = ["--artifacts", what]
    built = call(capsys, "build-features", "ticks", "--out", store, "--materialize", what)
    verified = call(capsys, "verify", store)
    trained = call(capsys, "train", store, *place)
    call(capsys, "promote", trained["model"], *place)
    call(capsys, "export", store, "--out", f"{what}.csv", *place)
    call(capsys, "chart", store, "--out", f"{what}.png", *place)
    call(capsys, "run", "later", "--warm-start", store, *place)
    signals = [line.split(" model=")[0] for line in Path(what, "signals.txt").read_text().splitlines()]
    return {
        "rows": (built["rows_in"], built["feature_rows"]),
        "problems": verified["problems"],
        "test": trained.get("test"),
        "csv": Path(f"{what}.csv").read_text(),
        "signals": len(signals),
    }


@pytest.mark.parametrize("what", ["none", "input"])
def test_every_command_gives_what_it_gives_of_written_rows(
    folder: Path, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_parquet(folder / "later", {"AAA": wave(320)[260:], "BBB": wave(320, seed=1)[260:]}, 260)
    expected = everything(capsys, "all")
    assert expected["problems"] == []
    assert expected["signals"] > 20
    assert everything(capsys, what) == expected


@pytest.mark.parametrize("what", ["none", "input"])
def test_retrain_adds_what_is_new(folder: Path, what: str) -> None:
    config = tiny_config(**CONFIG, store__materialize=what)

    def retrained() -> RetrainResult:
        return retrain_once(["ticks"], config, folder / "store", folder / "artifacts")

    assert (retrained().outcome, retrained().outcome) == ("promoted", "unchanged")
    write_parquet(folder / "ticks", {"AAA": wave(320)[260:], "BBB": wave(320, seed=1)[260:]}, 260)
    assert retrained().new_rows == 120
    store = FeatureStore.open(folder / "store")
    assert [len(store.read(symbol)) for symbol in store.symbols] == [320, 320]


def test_verify_names_a_source_that_changed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call(capsys, "build-features", "ticks", "--out", "store", "--materialize", "none")
    shutil.copy("ticks/0/AAA.parquet", "ticks/0/BBB.parquet")
    with pytest.raises(SystemExit) as stop:
        main(["verify", "store"])
    assert stop.value.code == 1
    assert "BBB.parquet: expected SHA-256" in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    "command", [("train", "store"), ("export", "store", "--out", "rows.csv")], ids=lambda it: it[0]
)
def test_a_command_on_a_source_that_is_no_longer_what_it_was_says_what_to_do(
    folder: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    call(capsys, "build-features", "ticks", "--out", "store", "--materialize", "none")
    path = folder / "ticks" / "0" / "BBB.parquet"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(SystemExit) as stop:
        main([*command])
    assert stop.value.code == 1
    told = capsys.readouterr().err
    assert f"{path}: a source that changed since the store was built: expected " in told
    assert "put it back, or run build-features on the archive as it is now" in told
    assert not list(folder.glob("rows.csv*"))


@pytest.mark.parametrize("placement", ["memory", "streamed"])
def test_training_ends_where_a_source_was_altered_in_secret(
    folder: Path, capsys: pytest.CaptureFixture[str], placement: str
) -> None:
    Path("config.yaml").write_text(tiny_config(**CONFIG, loader__placement=placement).to_yaml())
    path = folder / "ticks" / "0" / "BBB.parquet"
    pl.read_parquet(path).write_parquet(path, compression="uncompressed")
    call(capsys, "build-features", "ticks", "--out", "store", "--materialize", "none")
    data, stat = bytearray(path.read_bytes()), path.stat()
    place = data.index(pl.read_parquet(path)["price"][130:131].to_numpy().tobytes())
    data[place] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(SystemExit) as stop:
        main(["train", "store"])
    assert stop.value.code == 1
    told = capsys.readouterr().err
    assert f"{path}: a source that was altered since the store was built, and kept its size and time: expected " in told
    assert not list(folder.glob("artifacts/models/*"))
