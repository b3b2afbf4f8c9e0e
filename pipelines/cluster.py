"""Builds the symbols of an archive on a Dask cluster: tasks and records travel, rows never.

Each worker reads the sources and writes to the folder of the build itself, which all of them share, and enters what is
finished in the journal there. What was built by a worker that is gone is known from the journal: the task that Dask
gives to another one goes on from it.
"""

import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field, replace
from typing import Any

from distributed import Client, Future, get_worker, wait
from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker

from pipelines.errors import DataError
from pipelines.features import FeaturePlan
from pipelines.fetched import origin_of
from pipelines.journal import Journal
from pipelines.making import Record
from pipelines.streaming import Task, build_symbol

_SENT = 2  # standing partitions that a task carries: the last one and the one before it are all that may be taken up
_plans = threading.local()


@dataclass(frozen=True)
class ClusterBuilder:
    """Builds the tasks of an archive on a cluster, in the place of threads of this process.

    Attributes:
        prepare: called on a worker before it plans features: makes the user's own ones known there.
        engine: the identity of the compiled features here, which each worker must have as well.
    """

    client: Client
    prepare: Callable[[], None]
    engine: str

    def __call__(self, tasks: Sequence[Task], advanced: Callable[[int, int], None]) -> dict[str, list[Record]]:
        """The records of each symbol.

        Raises:
            DataError: as `build_symbol`; workers died again and again, or the scheduler is gone.
        """
        if not tasks:
            return {}
        tally = _Tally(advanced)
        topic = f"stockbot-hp-{secrets.token_hex(8)}"
        self.client.subscribe_topic(topic, tally.take)
        try:
            return self._build(tasks, topic)
        except (CommClosedError, CancelledError) as error:
            raise DataError(
                "the Dask scheduler is gone; what is finished is kept: start it and run the same command again"
            ) from error
        finally:
            self.client.unsubscribe_topic(topic)

    def _build(self, tasks: Sequence[Task], topic: str) -> dict[str, list[Record]]:
        order = Order(self.prepare, self.engine, topic)
        futures = {
            task.work.symbol: self.client.submit(
                build_on_worker, _sent(task), order, key=f"{task.name}-{topic}", pure=False
            )
            for task in tasks
        }
        _wait(self.client, list(futures.values()))
        found: dict[str, list[Record]] = {}
        for task in sorted(tasks, key=lambda task: bool(futures[task.work.symbol].status != "error")):
            found[task.work.symbol] = _result(futures[task.work.symbol], task)
        return {task.work.symbol: [*task.work.standing[:-_SENT], *found[task.work.symbol]] for task in tasks}


@dataclass(frozen=True)
class Order:
    """What goes with every task: see `ClusterBuilder`. topic: of the events that tell of progress."""

    prepare: Callable[[], None]
    engine: str
    topic: str


def _sent(task: Task) -> Task:
    return replace(task, work=replace(task.work, standing=task.work.standing[-_SENT:]))


def _wait(client: Client, futures: list[Future]) -> None:
    """Wait for all; once one has failed, only for those that a worker has begun, so that none works on unseen."""
    waiting = set(futures)
    while waiting:
        done, waiting = wait(waiting, return_when="FIRST_COMPLETED")
        if any(future.status != "finished" for future in done):
            begun = {key for keys in client.processing().values() for key in keys}
            idle = [future for future in waiting if future.key not in begun]
            client.cancel(idle)
            wait(waiting.difference(idle))
            return


def _result(future: Future, task: Task) -> list[Record]:
    try:
        return list(future.result())
    except KilledWorker as error:
        raise DataError(
            f"{task.work.symbol}: the worker died {error.allowed_failures + 1} times while it was built, most often "
            "for lack of memory; what is finished is kept: give the workers more, or fewer threads, and run it again"
        ) from None


@dataclass
class _Tally:
    """Progress from all workers. A worker tells what is done of its symbol in all, so that work that was lost with a
    worker is not counted twice."""

    advanced: Callable[[int, int], None]
    known: dict[str, tuple[int, int]] = field(default_factory=dict)

    def take(self, event: tuple[float, Mapping[str, Any]]) -> None:
        """Take an event of the topic."""
        told = event[1]
        rows, partitions = self.known.get(told["symbol"], (0, 0))
        self.known[told["symbol"]] = (told["rows"], told["partitions"])
        self.advanced(told["rows"] - rows, told["partitions"] - partitions)


def build_on_worker(task: Task, order: Order) -> list[Record]:
    """Build what is due for a symbol and was not finished by a worker before.

    Raises:
        DataError: as `build_symbol`; files are not where this worker looks for them, or its code is another.
    """
    worker = get_worker()
    _require_shared(task, worker.address)
    order.prepare()
    plan = _plan(task, order.engine, worker.address)
    known = len(task.work.standing)
    task = task.left()
    fresh = task.work.standing[known:]
    done = {"symbol": task.work.symbol, "rows": sum(record["rows_in"] for record in fresh), "partitions": len(fresh)}

    def advanced(rows: int, partitions: int) -> None:
        _require_under_way(task)
        done["rows"] += rows
        done["partitions"] += partitions
        worker.log_event(order.topic, dict(done))

    return build_symbol(task, plan, advanced)


def _plan(task: Task, engine: str, address: str) -> FeaturePlan:
    """The compiled features; each thread has its own, for a plan holds the arrays that it works in."""
    plans: dict[tuple[str, ...], FeaturePlan] = _plans.__dict__.setdefault("known", {})
    names = tuple(task.making.features)
    plan = plans.get(names) or plans.setdefault(names, FeaturePlan(task.making.features))
    if engine_of(plan) != engine:
        raise DataError(f"worker {address}: its features are computed by other code; install the same version there")
    return plan


def engine_of(plan: FeaturePlan) -> str:
    """The identity of compiled features, which their states carry."""
    return float(plan.new_state()[0]).hex()


def _require_shared(task: Task, address: str) -> None:
    streamed = [
        source.path for source in task.sources if source.entry["mode"] == "streamed" and not origin_of(source.path)
    ]
    missing = next((path for path in (task.root, *streamed) if not path.exists()), None)
    if missing is not None:
        raise DataError(
            f"{missing}: worker {address} does not see it; sources and store must lie at the same path on every machine"
        )


def _require_under_way(task: Task) -> None:
    """A build that was given up, and whose folder is gone, is not to be made anew by a worker that did not notice."""
    if not Journal(task.root).is_there:
        raise DataError(f"{task.root}: the build was ended while {task.work.symbol} was under way")
