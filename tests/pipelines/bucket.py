"""A bucket on this machine: a real moto server, and a relay before it that can refuse, delay or count what is put."""

import http.client
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipelines import objects
from pipelines.objects import ObjectPath

NAME = "ticks"
_NOT_PASSED = {"transfer-encoding", "connection", "content-length", "date", "server"}


class Bucket:
    """The bucket `NAME`; `puts` counts, `answer` gives the status with which a put is refused, None to let it pass."""

    def __init__(self, port: int, relay_port: int) -> None:
        self.port, self.relay_port = port, relay_port
        self.puts = 0
        self.answer: Callable[[int, str], int | None] = lambda number, path: None
        self.on_get: Callable[[str], None] = lambda path: None
        self.lock = threading.Lock()

    def at(self, key: str) -> ObjectPath:
        return ObjectPath(NAME, key)

    def content(self, key: str) -> dict[str, bytes]:
        place = self.at(key)
        return {name: (place / name).read_bytes() for name in place.sizes()}

    def refusal(self, path: str) -> int | None:
        with self.lock:
            self.puts += 1
            number = self.puts
        return self.answer(number, path)


def _handler(bucket: Bucket) -> type[BaseHTTPRequestHandler]:
    class Relay(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            status = bucket.refusal(self.path) if self.command == "PUT" else None
            if self.command == "GET":
                bucket.on_get(self.path)
            if status is not None:
                return self._reply(status, {}, b"")
            server = http.client.HTTPConnection("127.0.0.1", bucket.port)
            server.request(self.command, self.path, body, dict(self.headers))
            answer = server.getresponse()
            headers = {name: value for name, value in answer.getheaders() if name.lower() not in _NOT_PASSED}
            data = answer.read()
            length = answer.getheader("content-length") if self.command == "HEAD" else None
            self._reply(answer.status, headers, data, length)
            server.close()

        def _reply(self, status: int, headers: dict[str, str], data: bytes, length: str | None = None) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", length or str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _pass_on  # noqa: N815

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    return Relay


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed hangs up."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _moto() -> Iterator[int]:
    port = _free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            for _ in range(300):
                assert server.poll() is None, "moto did not start"
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    time.sleep(0.1)
            yield port
        finally:
            server.terminate()


@pytest.fixture(scope="session")
def served() -> Iterator[Bucket]:
    """The servers, which all tests share."""
    with _moto() as port:
        bucket = Bucket(port, 0)
        with _Server(("127.0.0.1", 0), _handler(bucket)) as relay:
            bucket.relay_port = relay.server_port
            thread = threading.Thread(target=relay.serve_forever)
            thread.start()
            yield bucket
            relay.shutdown()
            thread.join()


@pytest.fixture
def bucket(served: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """An empty bucket, with credentials and endpoint in the environment."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "an-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "never-shown")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{served.relay_port}")
    objects._bucket.cache_clear()
    for method, path in (("POST", "/moto-api/reset"), ("PUT", f"/{NAME}")):
        server = http.client.HTTPConnection("127.0.0.1", served.port)
        server.request(method, path)
        assert server.getresponse().status == 200
        server.close()
    served.puts, served.answer, served.on_get = 0, lambda number, path: None, lambda path: None
    yield served
    objects._bucket.cache_clear()
