"""Workers meet before they train: all are there, all would train the same, and all begin together.

TensorFlow by itself waits an hour for a worker that never starts, and trains nonsense with one that holds other rows.
"""

import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from stockbot.errors import StockbotError, UsageError
from stockbot.workers import Cluster

Facts = Mapping[str, Any]
Message = dict[str, Any]

_LONGEST = 1 << 20  # bytes of a message
_PAUSE = 0.2  # seconds between two looks for who has come or gone
_STRANGER = 10.0  # seconds in which who connects must have said who it is


@contextmanager
def meeting(cluster: Cluster | None, facts: Callable[[], Facts], *, seconds: float) -> Iterator[Callable[[], None]]:
    """Wait for all workers and compare what they would train with.

    Connections stay open in between, so that all end when one of them does, however long the first one prepares.

    Args:
        cluster: None for a process alone, which waits for nobody. facts: what must be the same, by name.
        seconds: to wait for workers that have not come.

    Yields:
        called when this worker is ready to train: waits until all are, and leaves the ports to TensorFlow.

    Raises:
        StockbotError: a worker does not come, has ended, or has other facts; the port of this one is in use.
    """
    if cluster is None or len(cluster.addresses) == 1:
        yield lambda: None
        return
    mine = {"--workers": list(cluster.addresses), **facts()}  # first: who has come is expected to speak
    with ExitStack() as opened:
        door = opened.enter_context(_own_port(cluster))
        deadline = time.monotonic() + seconds
        side: _First | _Other
        if cluster.worker == 0:
            side = _First(cluster, door, deadline)
        else:
            side = _Other(cluster, opened.enter_context(_connected(cluster, deadline)))
        opened.callback(side.leave)
        side.meet(mine)

        def begin() -> None:
            side.begin()
            door.close()
            side.leave()

        yield begin


def differences(cluster: Cluster, facts: Mapping[int, Facts]) -> list[str]:
    """What is not the same on all workers, each in a few words that name who has what."""
    found = []
    for name in dict.fromkeys(name for each in facts.values() for name in each):
        holders: dict[str, list[int]] = {}
        for worker, each in sorted(facts.items()):
            holders.setdefault(json.dumps(each.get(name)), []).append(worker)
        if len(holders) > 1:
            told = (f"{value} on {', '.join(map(cluster.name, who))}" for value, who in holders.items())
            found.append(f"{name} is {'; '.join(told)}")
    return found


class _First:
    """Worker 0: hears all the others, and tells each of them the same."""

    def __init__(self, cluster: Cluster, door: socket.socket, deadline: float) -> None:
        self._cluster, self._door, self._deadline = cluster, door, deadline
        self._here: dict[int, socket.socket] = {}

    def meet(self, facts: Facts) -> None:
        with self._telling_all():
            said = self._arrivals()
            _require_same(self._cluster, {0: facts, **{worker: said[worker]["facts"] for worker in sorted(said)}})

    def begin(self) -> None:
        with self._telling_all():
            for worker, connection in self._here.items():
                connection.settimeout(None)  # as long as it prepares; if it ends, so does the connection
                if _receive(connection) is None:
                    raise _ended(self._cluster, worker)
            self._door.close()  # before the others' TensorFlow looks for ours there

    def leave(self) -> None:
        for connection in self._here.values():
            connection.close()

    @contextmanager
    def _telling_all(self) -> Iterator[None]:
        """Tell the others how it went; after Ctrl-C nothing, and they see the connection end."""
        try:
            yield
        except StockbotError as error:
            self._tell_all(str(error))
            raise
        self._tell_all(None)

    def _tell_all(self, problem: str | None) -> None:
        for connection in self._here.values():
            _send(connection, {"problem": problem})

    def _arrivals(self) -> dict[int, Message]:
        """The first message of each, when all are there at once: one that was started anew takes its own place."""
        messages: dict[int, Message] = {}
        self._door.settimeout(_PAUSE)
        while len(self._here) < len(self._cluster.addresses) - 1:
            if time.monotonic() > self._deadline:
                raise _missing(self._cluster, set(range(1, len(self._cluster.addresses))) - self._here.keys())
            with suppress(TimeoutError):
                self._admit(self._door.accept()[0], messages)
            self._here = {worker: each for worker, each in self._here.items() if not _has_ended(each)}
        return messages

    def _admit(self, connection: socket.socket, messages: dict[int, Message]) -> None:
        connection.settimeout(_STRANGER)
        said = _receive(connection)
        if said is None or not isinstance(said.get("facts"), dict):
            connection.close()  # who looks for open ports
            return
        worker: int = said.get("worker", -1)
        problem = None
        if worker not in range(1, len(self._cluster.addresses)):
            problem = f"worker {worker}: worker 0 knows {', '.join(self._cluster.addresses)} alone; give all these"
        elif worker in self._here and not _has_ended(self._here[worker]):
            problem = f"{self._cluster.name(worker)}: another process is that one; give each a --worker of its own"
        if problem is not None:
            _send(connection, {"problem": f"--worker: {problem}"})
            connection.close()
            return
        _notice_its_end(connection)
        self._here[worker], messages[worker] = connection, said


class _Other:
    """A worker that is not the first: tells it what it has, and hears what came of it."""

    def __init__(self, cluster: Cluster, connection: socket.socket) -> None:
        self._cluster, self._connection = cluster, connection

    def meet(self, facts: Facts) -> None:
        self._agree({"worker": self._cluster.worker, "facts": facts})

    def begin(self) -> None:
        self._agree({"ready": True})

    def leave(self) -> None:
        self._connection.close()

    def _agree(self, message: Message) -> None:
        self._connection.settimeout(None)  # the first one has a limit of its own; if it ends, so does the connection
        _send(self._connection, message)
        answer = _receive(self._connection)
        if answer is None:
            raise _ended(self._cluster, 0)
        if answer.get("problem") is not None:
            raise StockbotError(str(answer["problem"]))


def _connected(cluster: Cluster, deadline: float) -> socket.socket:
    """A connection to the first worker, when it is there."""
    host, _, port = cluster.addresses[0].rpartition(":")
    while time.monotonic() < deadline:
        try:
            connection = socket.create_connection((host.strip("[]"), int(port)), timeout=_STRANGER)
        except OSError:  # it has not been started yet, or its name is not known yet
            time.sleep(_PAUSE)
            continue
        if connection.getsockname() != connection.getpeername():  # TCP may join a free port of this machine to itself
            _notice_its_end(connection)
            return connection
        connection.close()
    raise _missing(cluster, {0})


def _require_same(cluster: Cluster, facts: Mapping[int, Facts]) -> None:
    found = differences(cluster, facts)
    if found:
        more = f" (and {len(found) - 3} more)" if len(found) > 3 else ""
        raise StockbotError(f"workers: {', and '.join(found[:3])}{more}; all must train with the same")


def _ended(cluster: Cluster, worker: int) -> StockbotError:
    return StockbotError(f"workers: {cluster.name(worker)} ended before training; it says why")


def _own_port(cluster: Cluster) -> socket.socket:
    """A socket that listens where TensorFlow will; on all interfaces, as it does."""
    port = int(cluster.addresses[cluster.worker].rpartition(":")[2])
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    try:
        return socket.create_server(("", port), family=family, dualstack_ipv6=both)
    except OSError as error:
        raise UsageError(
            f"--workers: {cluster.name(cluster.worker)} cannot listen on port {port} of this machine "
            f"({error.strerror}); end what does, such as this worker started twice, or choose another port"
        ) from None


def _missing(cluster: Cluster, who: set[int]) -> StockbotError:
    names = " and ".join(cluster.name(worker) for worker in sorted(who))
    return StockbotError(
        f"workers: {names} did not come within training.worker_wait; start all with the same --workers, "
        f"each on its machine, and let them reach each other's ports"
    )


def _notice_its_end(connection: socket.socket) -> None:
    """A machine that vanished is noticed after minutes, not after two hours."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)


def _has_ended(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def _send(connection: socket.socket, message: Message) -> None:
    with suppress(OSError):  # who is gone is noticed by who waits for its next message
        connection.setblocking(True)
        connection.sendall(json.dumps(message).encode() + b"\n")


def _receive(connection: socket.socket) -> Message | None:
    """The next message; None when the other end is gone, or is none of us."""
    text = b""
    with suppress(OSError):
        while not text.endswith(b"\n"):
            seen = connection.recv(_LONGEST, socket.MSG_PEEK)  # the message after it may be there too
            if not seen or len(text) > _LONGEST:
                return None
            text += connection.recv(seen.find(b"\n") + 1 or len(seen))
    try:
        message = json.loads(text)
    except ValueError:
        return None
    return message if isinstance(message, dict) else None
