"""Processes that train one model together, on one machine or several, as TensorFlow names them in `TF_CONFIG`."""

import json
from collections.abc import Sequence

from stockbot.errors import UsageError


def cluster_text(workers: Sequence[str], index: int) -> str:
    """The `TF_CONFIG` of one of the workers at these addresses; the first one keeps and seals what comes out.

    Raises:
        UsageError: an address is not HOST:PORT, or there is no such worker.
    """
    for address in workers:
        host, _, port = address.rpartition(":")
        if not (host and port.isdecimal()):
            raise UsageError(f"--workers: expected addresses such as 10.0.0.1:7000,10.0.0.2:7000, received {address!r}")
    if not 0 <= index < len(workers):
        raise UsageError(f"--worker: expected 0 to {len(workers) - 1}, the number of this process, received {index}")
    return json.dumps({"cluster": {"worker": list(workers)}, "task": {"type": "worker", "index": index}})


def cluster_position(text: str) -> tuple[int, int]:
    """Number of this worker, and of all.

    Raises:
        UsageError: the text is not what `cluster_text` gives.
    """
    try:
        found = json.loads(text)
        workers, index = found["cluster"]["worker"], int(found["task"]["index"])
        if json.loads(cluster_text(workers, index)) == found | {"task": found["task"] | {"index": index}}:
            return index, len(workers)
    except (ValueError, KeyError, TypeError, AttributeError, UsageError):
        pass
    example = cluster_text(["10.0.0.1:7000", "10.0.0.2:7000"], 0)
    raise UsageError(f"TF_CONFIG: expected workers alone, such as {example}, received {text!r}")
