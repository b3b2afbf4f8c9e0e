"""Commands on a bucket: build, be killed at a put, go on, verify, read; credentials are nowhere."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.store import MANIFEST, FeatureStore
from stockbot.cli import main
from stockbot.train import train
from tests.pipelines.bucket import Bucket
from tests.pipelines.test_archive import content, csv, ticks
from tests.stockbot.markets import tiny_config

ROOT = Path(__file__).resolve().parents[2]


def build(folder: Path, key: str, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "stockbot", "build-features", "in", "--out", f"s3://ticks/{key}", "--json", *more]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def archive(folder: Path) -> None:
    for number, symbol in enumerate(["AAA", "BBB"]):
        csv(folder / "in" / f"{symbol}.csv", ticks(30_000, number))


def test_a_build_killed_at_a_put_goes_on(bucket: Bucket, tmp_path: Path) -> None:
    archive(tmp_path)
    out, error = build(tmp_path, "whole", "--scratch", "whole").communicate(timeout=120)
    assert json.loads(out.splitlines()[-1])["store"] == "s3://ticks/whole", error
    puts = bucket.puts
    for number in (puts // 2, puts):
        bucket.puts = 0
        process = build(tmp_path, f"store-{number}")

        def kill(count: int, path: str, process: subprocess.Popen[str] = process, number: int = number) -> None:
            if count == number:
                process.send_signal(signal.SIGKILL)

        bucket.answer = kill
        process.communicate(timeout=120)
        assert process.returncode == -signal.SIGKILL
        bucket.answer = lambda count, path: None
        out, error = build(tmp_path, f"store-{number}").communicate(timeout=120)
        assert json.loads(out.splitlines()[-1])["rows_in"] == 60_000, error
        assert bucket.content(f"store-{number}") == bucket.content("whole")
    secret = os.environ["AWS_SECRET_ACCESS_KEY"].encode()
    left = [*content(tmp_path).values(), *bucket.content("whole").values(), error.encode(), out.encode()]
    assert not any(secret in data for data in left)


def test_verify_finds_a_flipped_bit_in_a_bucket(
    bucket: Bucket, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive(tmp_path)
    build(tmp_path, "store").communicate(timeout=120)
    store = FeatureStore.open(Path("s3://ticks/store"))
    main(["verify", "s3://ticks/store"])
    path = bucket.at("store") / store.manifest["files"][0]["path"]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.put(bytes(data))
    with pytest.raises(SystemExit) as stop:
        main(["verify", "s3://ticks/store"])
    told = capsys.readouterr()
    assert stop.value.code == 1
    assert f"{path}: expected SHA-256" in told.out + told.err
    (bucket.at("store") / MANIFEST).delete()
    with pytest.raises(SystemExit):
        main(["verify", "s3://ticks/store"])
    assert f"s3://ticks/store/{MANIFEST}: cannot be read: No such file" in capsys.readouterr().err


def test_a_store_in_a_bucket_trains_in_memory_and_streamed(bucket: Bucket, tmp_path: Path) -> None:
    archive(tmp_path)
    build(tmp_path, "store").communicate(timeout=120)
    store = FeatureStore.open(bucket.at("store"))
    for placement in ("memory", "streamed"):
        changes = {"bars__kind": "time", "features": store.features[:2], "model__factory": "linear"}
        config = tiny_config(loader__placement=placement, **changes)
        result = train(config, store, tmp_path / "artifacts", device="cpu")
        assert result.manifest["audit"]["passed"]
        assert result.manifest["data"]["placement"] == placement
