"""Workers meet on loopback, each a process of its own: all begin together, or all end with the same line."""

import json
import socket
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from stockbot.errors import StockbotError, UsageError
from stockbot.meeting import _First, _receive, differences, meeting
from stockbot.workers import Cluster
from tests.stockbot.test_train import ROOT

LONG, SHORT = 60.0, 1.5  # seconds

WORKER = """
import json, os, sys
from stockbot.errors import StockbotError
from stockbot.meeting import meeting
from stockbot.workers import Cluster
worker, addresses, facts, seconds, ends = json.loads(sys.argv[1])
try:
    with meeting(Cluster(worker, tuple(addresses)), lambda: facts, seconds=seconds) as begin:
        print("met", flush=True)
        if ends:
            os._exit(9)
        begin()
    print("began", flush=True)
except StockbotError as error:
    sys.exit(str(error))
"""

SAME = {"training.seed": 1, "snapshot": "ab"}


def free_addresses(count: int) -> list[str]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return addresses


def start(
    worker: int, addresses: list[str], facts: dict[str, object] = SAME, *, seconds: float = LONG, ends: bool = False
) -> subprocess.Popen[str]:
    arguments = json.dumps([worker, addresses, facts, seconds, ends])
    command = [sys.executable, "-c", WORKER, arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def outcomes(*processes: subprocess.Popen[str]) -> list[tuple[int, list[str], str]]:
    """Exit code, lines of standard output and standard error of each."""
    told = [process.communicate(timeout=LONG) for process in processes]
    return [(process.returncode, out.split(), err.strip()) for process, (out, err) in zip(processes, told, strict=True)]


def test_all_meet_and_begin_in_whatever_order_they_come() -> None:
    addresses = free_addresses(3)
    processes = [start(number, addresses) for number in (2, 1, 0)]
    assert outcomes(*processes) == [(0, ["met", "began"], "")] * 3
    for address in addresses:  # TensorFlow listens there next
        socket.create_server(("", int(address.rpartition(":")[2]))).close()


def test_who_has_what_is_told_by_all() -> None:
    addresses = free_addresses(3)
    other = {**SAME, "training.seed": 7, "checkpoint": "cd"}
    processes = [start(number, addresses, other if number == 1 else SAME) for number in range(3)]
    first, second, third = addresses
    line = (
        f"workers: training.seed is 1 on worker 0 ({first}), worker 2 ({third}); 7 on worker 1 ({second}), and "
        f'checkpoint is null on worker 0 ({first}), worker 2 ({third}); "cd" on worker 1 ({second}); '
        f"all must train with the same"
    )
    assert outcomes(*processes) == [(1, [], line)] * 3


def test_many_differences_are_still_one_line() -> None:
    cluster = Cluster(0, ("a:1", "b:2"))
    facts = {worker: {f"setting {number}": worker for number in range(5)} for worker in range(2)}
    assert differences(cluster, facts)[4] == "setting 4 is 0 on worker 0 (a:1); 1 on worker 1 (b:2)"
    addresses = free_addresses(2)
    told = outcomes(*(start(number, addresses, dict(facts[number])) for number in range(2)))
    assert [(code, "setting 2" in err, "setting 3" in err, "(and 2 more)" in err) for code, _, err in told] == [
        (1, True, False, True)
    ] * 2


def test_workers_that_never_start_are_named_to_all_who_did() -> None:
    addresses = free_addresses(4)
    first, third = outcomes(*(start(number, addresses, seconds=SHORT) for number in (0, 2)))
    expected = f"workers: worker 1 ({addresses[1]}) and worker 3 ({addresses[3]}) did not come within training.worker_"
    assert first == third == (1, [], first[2])
    assert first[2].startswith(expected)


def test_a_first_worker_that_never_starts_is_named() -> None:
    addresses = free_addresses(2)
    ((code, _, error),) = outcomes(start(1, addresses, seconds=SHORT))
    assert (code, f"worker 0 ({addresses[0]}) did not come" in error) == (1, True)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_one_that_ends_before_training_ends_the_others(number: int) -> None:
    addresses = free_addresses(3)
    told = outcomes(*(start(worker, addresses, ends=worker == number) for worker in range(3)))
    assert told.pop(number) == (9, ["met"], "")
    line = f"workers: worker {number} ({addresses[number]}) ended before training; it says why"
    assert told == [(1, ["met"], line)] * 2


def test_a_port_in_use_is_named_and_a_worker_started_twice_ends_while_the_others_go_on() -> None:
    addresses = free_addresses(2)
    second = start(1, addresses)
    wait_for(addresses[1])
    ((code, _, error),) = outcomes(start(1, addresses))
    port = addresses[1].rpartition(":")[2]
    assert code == 1
    assert error.startswith(f"--workers: worker 1 ({addresses[1]}) cannot listen on port {port} of this machine (Addr")
    assert outcomes(second, start(0, addresses)) == [(0, ["met", "began"], "")] * 2


def wait_for(address: str) -> None:
    """Until somebody listens there."""
    host, _, port = address.rpartition(":")
    for _ in range(600):
        try:
            socket.create_connection((host, int(port))).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"nobody listens at {address}")


def test_a_number_twice_and_one_that_is_none_are_refused_while_the_others_go_on() -> None:
    addresses = free_addresses(3)
    elsewhere = free_addresses(2)  # stand in for other machines, where the ports are free
    first = start(0, addresses)
    wait_for(addresses[0])
    host, _, port = addresses[0].rpartition(":")
    with socket.create_connection((host, int(port))) as second:  # by hand, to be there before the others
        second.sendall(json.dumps({"worker": 1, "facts": {"--workers": addresses, **SAME}}).encode() + b"\n")
        twice, unknown = start(1, [addresses[0], elsewhere[0]]), start(3, [*addresses, elsewhere[1]])
        assert outcomes(twice)[0] == (
            1, [], f"--worker: worker 1 ({addresses[1]}): another process is that one; give each a --worker of its own"
        )  # fmt: skip
        assert outcomes(unknown)[0][2].startswith(f"--worker: worker 3: worker 0 knows {', '.join(addresses)} alone")
        third = start(2, addresses)
        for said in (b'{"ready": true}\n', b""):
            assert json.loads(second.recv(1000)) == {"problem": None}
            second.sendall(said)
        assert outcomes(first, third) == [(0, ["met", "began"], "")] * 2


def test_other_addresses_are_a_difference() -> None:
    first, second, third = free_addresses(3)
    told = outcomes(start(0, [first, second]), start(1, [first, third]))
    assert {(code, error.partition(" is ")[0]) for code, _, error in told} == {(1, "workers: --workers")}


def test_one_that_was_killed_while_it_waits_may_be_started_anew() -> None:
    addresses = free_addresses(3)
    first, second = start(0, addresses), start(1, addresses)
    wait_for(addresses[1])
    time.sleep(1.0)  # most often it has come by now; the end is the same if not
    second.kill()
    second.communicate()
    rest = [start(number, addresses) for number in (1, 2)]
    assert outcomes(first, *rest) == [(0, ["met", "began"], "")] * 3


def test_strangers_are_passed_over() -> None:
    addresses = free_addresses(2)
    first = start(0, addresses)
    wait_for(addresses[0])  # comes and says nothing
    host, _, port = addresses[0].rpartition(":")
    for said in (b"GET / HTTP/1.1\r\n\r\n\n", b"[1]\n", b'{"worker": 1}\n', b"x" * 10):
        with socket.create_connection((host, int(port))) as stranger:
            stranger.sendall(said)
            stranger.shutdown(socket.SHUT_WR)
            with suppress(ConnectionResetError):  # what it said was not read to its end
                assert stranger.recv(1) == b""
    assert outcomes(first, start(1, addresses)) == [(0, ["met", "began"], "")] * 2


def test_an_interrupted_first_worker_lets_nobody_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = free_addresses(2)
    other = start(1, addresses)
    arrivals = _First._arrivals

    def interrupted(side: _First) -> None:
        arrivals(side)
        raise KeyboardInterrupt

    monkeypatch.setattr(_First, "_arrivals", interrupted)
    with pytest.raises(KeyboardInterrupt), meeting(Cluster(0, tuple(addresses)), dict, seconds=LONG):
        pass
    line = f"workers: worker 0 ({addresses[0]}) ended before training; it says why"
    assert outcomes(other) == [(1, [], line)]


def test_messages_that_arrive_together_are_two() -> None:
    here, there = socket.socketpair()
    with here, there:
        here.sendall(b'{"problem": null}\n{"problem": "later"}\n')
        here.shutdown(socket.SHUT_WR)
        assert [_receive(there) for _ in range(3)] == [{"problem": None}, {"problem": "later"}, None]


def test_one_alone_waits_for_nobody() -> None:
    for cluster in (None, Cluster(0, ("10.0.0.1:7000",))):
        with meeting(cluster, lambda: pytest.fail("nobody asks"), seconds=0.0) as begin:
            begin()


def test_a_port_in_use_is_a_mistake_of_use() -> None:
    (address,) = free_addresses(1)
    with (
        socket.create_server(("127.0.0.1", int(address.rpartition(":")[2]))),
        pytest.raises(UsageError, match="cannot listen on port"),
        meeting(Cluster(0, (address, "127.0.0.1:1")), dict, seconds=LONG),
    ):
        pass
    assert issubclass(UsageError, StockbotError)
