"""Processes that train one model together, on one machine or several, as TensorFlow names them in `TF_CONFIG`."""

import json
import os
from collections.abc import Sequence
from typing import NamedTuple

from stockbot.errors import UsageError


class Cluster(NamedTuple):
    """Number of this process among the workers at these addresses; number 0 keeps and seals what comes out."""

    worker: int
    addresses: tuple[str, ...]

    def name(self, worker: int) -> str:
        """How one of them is called in messages."""
        return f"worker {worker} ({self.addresses[worker]})"


def cluster_text(workers: Sequence[str], index: int) -> str:
    """The `TF_CONFIG` of one of the workers at these addresses; the first one keeps and seals what comes out.

    Raises:
        UsageError: an address is not HOST:PORT or stands there twice, or there is no such worker.
    """
    for address in workers:
        host, _, port = address.rpartition(":")
        if not (host and port.isdecimal() and 0 < int(port) < 1 << 16):
            raise UsageError(f"--workers: expected addresses such as 10.0.0.1:7000,10.0.0.2:7000, received {address!r}")
        if workers.count(address) > 1:
            raise UsageError(f"--workers: expected an address of its own for each worker, received {address} twice")
    if not 0 <= index < len(workers):
        raise UsageError(f"--worker: expected 0 to {len(workers) - 1}, the number of this process, received {index}")
    return json.dumps({"cluster": {"worker": list(workers)}, "task": {"type": "worker", "index": index}})


def read_cluster(text: str) -> Cluster:
    """What a `TF_CONFIG` says.

    Raises:
        UsageError: the text is not what `cluster_text` gives.
    """
    try:
        found = json.loads(text)
        workers, index = found["cluster"]["worker"], int(found["task"]["index"])
        if json.loads(cluster_text(workers, index)) == found | {"task": found["task"] | {"index": index}}:
            return Cluster(index, tuple(workers))
    except (ValueError, KeyError, TypeError, AttributeError, UsageError):
        pass
    example = cluster_text(["10.0.0.1:7000", "10.0.0.2:7000"], 0)
    raise UsageError(f"TF_CONFIG: expected workers alone, such as {example}, received {text!r}")


def own_cluster() -> Cluster | None:
    """The workers that this process is one of, by `TF_CONFIG` in its environment; None for a process alone.

    Raises:
        UsageError: the variable is not valid.
    """
    text = os.environ.get("TF_CONFIG")
    return read_cluster(text) if text else None
