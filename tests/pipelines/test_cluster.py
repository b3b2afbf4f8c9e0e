"""Builds on a Dask cluster of real processes: the same bytes, little sent, a dead worker costs its own time."""

import asyncio
import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from distributed import Client, LocalCluster

from pipelines.archive import build_archive
from pipelines.cluster import ClusterBuilder, engine_of
from pipelines.errors import DataError
from pipelines.features import FeaturePlan
from pipelines.journal import Journal
from tests.pipelines import test_archive as archives
from tests.pipelines.bucket import Bucket
from tests.pipelines.test_archive import NAMES, content, csv, parquet, request, small, ticks  # noqa: F401


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", memory_limit=0, silence_logs="CRITICAL",
        scheduler_kwargs={"dashboard": False},
    ) as cluster:  # fmt: skip
        yield cluster


@pytest.fixture
def client(cluster: LocalCluster) -> Iterator[Client]:
    with Client(cluster.scheduler_address) as client:
        client.wait_for_workers(2, timeout=60)
        yield client


def in_small_batches() -> None:
    """Make a worker stream files of some thousand rows in many batches; it is called there."""
    for (module, name), value in archives.SMALL.items():
        setattr(module, name, value)


def slowly() -> None:
    """Make a worker take its time for every partition."""
    in_small_batches()
    add = Journal.add

    def add_slowly(journal: Journal, name: str, value: dict) -> None:
        add(journal, name, value)
        time.sleep(0.05)

    if Journal.add.__name__ == "add":
        Journal.add = add_slowly  # type: ignore[method-assign]


def builder(client: Client, prepare: object = in_small_batches) -> ClusterBuilder:
    return ClusterBuilder(client, prepare, engine_of(FeaturePlan(NAMES)))  # type: ignore[arg-type]


def archive(folder: Path, rows: int = 4000) -> Path:
    for number, symbol in enumerate(["AAA", "BBB", "CCC"]):
        parquet(folder / f"{symbol}.parquet", ticks(rows, number))
    csv(folder / "DDD.csv", ticks(700, 9))
    return folder


@pytest.mark.usefixtures("small")
def test_cluster_builds_the_bytes_of_a_local_build(client: Client, tmp_path: Path) -> None:
    folder = archive(tmp_path / "in")
    shuffled = ticks(4000, 5)
    csv(folder / "EEE.csv", archives.pl.concat([shuffled[:2000], shuffled[3000:], shuffled[2000:3000]]))
    build_archive(request(folder, tmp_path / "local"))
    advanced: list[tuple[int, int, int]] = []
    report = build_archive(
        request(folder, tmp_path / "dask", elsewhere=builder(client), advanced=lambda *told: advanced.append(told))
    )
    assert content(tmp_path / "dask") == content(tmp_path / "local")
    assert len(advanced) > report.partitions


@pytest.mark.usefixtures("small")
def test_cluster_appends_like_a_local_build(client: Client, tmp_path: Path) -> None:
    folder = archive(tmp_path / "in")
    for name in ("local", "dask"):
        build_archive(request(folder, tmp_path / name))
    later = ticks(7000)[4000:]
    parquet(folder / "later" / "AAA.parquet", later)
    local = build_archive(request(folder, tmp_path / "local"))
    dask = build_archive(request(folder, tmp_path / "dask", elsewhere=builder(client)))
    assert content(tmp_path / "dask") == content(tmp_path / "local")
    assert dask.skipped == local.skipped > 0
    again = build_archive(request(folder, tmp_path / "dask", elsewhere=builder(client)))
    assert again.skipped == again.partitions


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("mode", ["all", "input", "none"])
def test_killed_worker_costs_the_partition_that_it_was_at(client: Client, tmp_path: Path, mode: str) -> None:
    folder = parquet(tmp_path / "in" / "AAA.parquet", ticks(8000, step_ns=100 * 10**9)).parent
    asked = request(folder, tmp_path / "local", materialize=mode)
    build_archive(asked)
    killed: list[int] = []
    told: list[tuple[int, int]] = []

    def advanced(taken: int, total: int, partitions: int) -> None:
        told.append((taken, partitions))
        with one_at_a_time:
            busy = [address for address, keys in client.processing().items() if keys]
            if partitions >= 2 and busy and not killed:
                killed.append(pids[busy[0]])
                os.kill(killed[0], signal.SIGKILL)

    one_at_a_time = threading.Lock()
    pids = client.run(os.getpid)
    told_elsewhere = partial(_elsewhere, advanced)
    asked = dataclasses.replace(asked, elsewhere=builder(client, slowly), advanced=told_elsewhere)
    build_archive(dataclasses.replace(asked, out=tmp_path / "dask"))
    assert killed
    assert content(tmp_path / "dask") == content(tmp_path / "local")
    partitions = [done for _, done in told]
    assert partitions == sorted(partitions)  # what was finished was not built again
    assert told[-1][0] == 8000  # and no row was counted twice


def _elsewhere(advanced: object, *told: int) -> None:
    """Events come in the thread of the client, which must not wait for itself."""
    thread = threading.Thread(target=advanced, args=told)  # type: ignore[arg-type]
    thread.start()


class Counting:
    """A relay in front of a scheduler that counts the bytes in both directions."""

    def __init__(self, address: str) -> None:
        host, port = address.removeprefix("tcp://").split(":")
        self.bytes, self._target = 0, (host, int(port))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._relay, "127.0.0.1", 0), self._loop
        ).result()
        self._server = server
        self.address = "tcp://{}:{}".format(*server.sockets[0].getsockname())

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        other_reader, other_writer = await asyncio.open_connection(*self._target)
        await asyncio.gather(self._pump(reader, other_writer), self._pump(other_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            self.bytes += len(data)
            writer.write(data)
            await writer.drain()
        writer.close()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        time.sleep(0.1)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def unchanged() -> None:
    """Leave a worker as it is."""


def test_tasks_and_records_travel_and_no_rows(cluster: LocalCluster, client: Client, tmp_path: Path) -> None:
    client.restart()  # without the small batches of other tests
    sent = {}
    for rows in (60_000, 240_000):  # in the same number of partitions
        folder = parquet(tmp_path / f"in-{rows}" / "AAA.parquet", ticks(rows, step_ns=48 * 10**13 // rows)).parent
        relay = Counting(cluster.scheduler_address)
        with Client(relay.address) as through:
            elsewhere = builder(through, unchanged)
            report = build_archive(request(folder, tmp_path / str(rows), archives.NONE, elsewhere=elsewhere))
        sent[rows] = relay.bytes
        relay.close()
        assert report.feature_rows == rows
    stored = sum(len(data) for data in content(tmp_path / "240000").values())
    assert sent[240_000] < stored / 20
    assert sent[240_000] < 1.5 * sent[60_000]


def test_worker_with_other_code_is_told(client: Client, tmp_path: Path) -> None:
    folder = archive(tmp_path / "in", 500)
    other = ClusterBuilder(client, in_small_batches, "0x1.0p+0")
    with pytest.raises(DataError, match="its features are computed by other code; install the same version there"):
        build_archive(request(folder, tmp_path / "out", elsewhere=other))


@pytest.mark.usefixtures("small")
def test_folder_that_workers_do_not_see_is_told(client: Client, tmp_path: Path) -> None:
    folder = archive(tmp_path / "in", 500)

    def elsewhere(tasks: list, advanced: object) -> dict:
        tasks = [dataclasses.replace(task, root=Path("/nowhere/.out.building")) for task in tasks]
        return builder(client)(tasks, advanced)  # type: ignore[arg-type]

    with pytest.raises(DataError, match=r"^/nowhere/.out.building: worker tcp://.* does not see it; sources and store"):
        build_archive(request(folder, tmp_path / "out", elsewhere=elsewhere))


def test_worker_that_dies_every_time_is_told(cluster: LocalCluster, client: Client, tmp_path: Path) -> None:
    folder = parquet(tmp_path / "in" / "AAA.parquet", ticks(500)).parent
    allowed, cluster.scheduler.allowed_failures = cluster.scheduler.allowed_failures, 0
    try:
        with pytest.raises(
            DataError, match=r"the worker died 1 times while it was built, most often for lack of memory"
        ):
            build_archive(request(folder, tmp_path / "out", elsewhere=builder(client, partial(os._exit, 9))))
    finally:
        cluster.scheduler.allowed_failures = allowed


@pytest.mark.usefixtures("small")
def test_what_a_lost_build_left_running_ends_by_itself(client: Client, tmp_path: Path) -> None:
    folder = archive(tmp_path / "in")

    def elsewhere(tasks: list, advanced: object) -> dict:
        (tmp_path / ".out.building" / "_journal" / "plan.json").unlink()
        return builder(client)(tasks, advanced)  # type: ignore[arg-type]

    with pytest.raises(DataError, match=r".out.building: the build was ended while AAA was under way"):
        build_archive(request(folder, tmp_path / "out", elsewhere=elsewhere))


def test_lost_scheduler_is_told(tmp_path: Path) -> None:
    folder = parquet(tmp_path / "in" / "AAA.parquet", ticks(8000)).parent
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    options = ["--no-dashboard", "--dashboard-address", "127.0.0.1:0", "--scheduler-file", str(tmp_path / "scheduler")]
    with subprocess.Popen([*command, *options], stderr=subprocess.DEVNULL) as scheduler:
        file = str(tmp_path / "scheduler")
        with Client(scheduler_file=file, timeout=60) as client:
            build = request(folder, tmp_path / "out", elsewhere=builder(client))
            threading.Timer(1.0, scheduler.kill).start()  # no worker has come: the task waits
            with pytest.raises(
                DataError, match="the Dask scheduler is gone; what is finished is kept: start it and run"
            ):
                build_archive(build)


@pytest.mark.usefixtures("small")
def test_cluster_builds_from_a_bucket_into_a_bucket(bucket: Bucket, tmp_path: Path) -> None:
    folder = archive(tmp_path / "in")
    for name, data in content(folder).items():
        (bucket.at("raw") / name).put(data)
    build_archive(request("s3://ticks/raw", Path("s3://ticks/local"), scratch=tmp_path / "one"))
    with (  # workers that were started with the credentials of this bucket
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", memory_limit=0, silence_logs="CRITICAL",
            scheduler_kwargs={"dashboard": False},
        ) as cluster,
        Client(cluster) as client,
    ):  # fmt: skip
        out = Path("s3://ticks/dask")
        build_archive(request("s3://ticks/raw", out, scratch=tmp_path / "two", elsewhere=builder(client)))
    assert bucket.content("dask") == bucket.content("local")


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("mode", ["none", "input"])
def test_cluster_builds_stores_whose_rows_are_computed(client: Client, tmp_path: Path, mode: str) -> None:
    for number, symbol in enumerate(["AAA", "BBB"]):
        parquet(tmp_path / "in" / f"{symbol}.parquet", ticks(3000, number))
    asked = request(tmp_path / "in", tmp_path / "local", materialize=mode)
    build_archive(asked)
    build_archive(dataclasses.replace(asked, out=tmp_path / "far", elsewhere=builder(client)))
    assert content(tmp_path / "far") == content(tmp_path / "local")
