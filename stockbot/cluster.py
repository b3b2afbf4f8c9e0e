"""The Dask cluster that `build-features --cluster` works on: one that is there, or one started for the build."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from stockbot.config import Config
from stockbot.errors import StockbotError, UsageError
from stockbot.native_memory import keep_freed_memory

LOCAL = "local"

_ONE_THREAD = dict.fromkeys(
    ["POLARS_MAX_THREADS", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"], "1"
)
_WAIT = 30  # seconds for a scheduler to answer, and for its first worker


@contextmanager
def cluster_builder(address: str, workers: int, config: Config) -> Iterator[Any]:
    """What builds symbols on the cluster at `address`, or on `workers` processes of this machine for `local`.

    Raises:
        UsageError: dask.distributed is not installed. StockbotError: nobody answers there, or no worker is connected.
    """
    try:
        import distributed
    except ImportError:
        raise UsageError("--cluster needs dask.distributed; install it: pip install 'stockbot-hp[cluster]'") from None
    with _connected(distributed, address, workers) as client:
        client.register_plugin(_plugin(distributed), name="stockbot-hp-one-thread")
        from pipelines.cluster import ClusterBuilder, engine_of
        from pipelines.features import FeaturePlan

        engine = engine_of(FeaturePlan(config.features))
        yield ClusterBuilder(client, partial(_prepare, tuple(config.feature_modules)), engine)


@contextmanager
def _connected(distributed: Any, address: str, workers: int) -> Iterator[Any]:
    if address == LOCAL:
        import dask

        with (
            dask.config.set({"distributed.nanny.pre-spawn-environ": _ONE_THREAD}),
            distributed.LocalCluster(
                n_workers=workers, threads_per_worker=1, memory_limit=0, silence_logs="ERROR",
                dashboard_address="127.0.0.1:0", scheduler_kwargs={"dashboard": False},
            ) as cluster,
            distributed.Client(cluster) as client,
        ):  # fmt: skip
            yield client
        return
    try:
        client = distributed.Client(address, timeout=_WAIT)
        client.wait_for_workers(1, timeout=_WAIT)
    except (OSError, ValueError) as error:
        raise StockbotError(
            f"--cluster {address}: no Dask scheduler with a worker answers ({_one_line(error)}); start them with `dask "
            "scheduler` and `dask worker`, or give --cluster local"
        ) from error
    with client:
        yield client


def _plugin(distributed: Any) -> Any:
    class OneThread(distributed.WorkerPlugin):  # type: ignore[misc]
        """Each task is one thread: pools of threads below it would only compete for the same processors."""

        def setup(self, worker: Any) -> None:
            one_thread()

    return OneThread()


def one_thread() -> None:
    """Keep the pools of libraries that are not imported yet, and that of Arrow, to one thread."""
    for name, value in _ONE_THREAD.items():
        os.environ.setdefault(name, value)
    import pyarrow as pa

    pa.set_cpu_count(1)


def _prepare(feature_modules: tuple[str, ...]) -> None:
    """Ready a worker: its memory, and the user's own features."""
    keep_freed_memory()
    from stockbot.feature_modules import load_feature_modules

    load_feature_modules(feature_modules, "config")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:120]
