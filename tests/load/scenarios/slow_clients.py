"""Let slow clients hold thousands of connections: honest deliveries still get their 201, within a second."""

import resource
import selectors
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from tests.load import proxy
from tests.load.measuring import percentile
from tests.load.senders import Load, signed_event
from tests.load.wire import HOST, RECEIVING_PATH, request_bytes

HONEST_CONNECTIONS = 4
P99_MAX_MS = 1_000.0
REOPENED_AT_MOST = 4  # Each connection. The limits of webhooklog and Caddy are 10 to 15 seconds.


def run(stage):
    """Measure gunicorn without a proxy, and behind Caddy with the settings of docker/Caddyfile."""
    version = proxy.installed_version()
    # The server has raised its own limit by now.
    with stage.site() as site, _many_open_files():
        _measure(stage, site.server.port, "no proxy")
        if version is None:
            stage.report.remark("SKIPPED behind the proxy: Caddy is not installed (apt-get install caddy)")
        else:
            with proxy.caddy(site.folder, site.server.port, version) as port:
                _measure(stage, port, "behind Caddy")
        stage.report.require("tracebacks in the server's log", len(site.server.tracebacks()), equal=0)


@contextmanager
def _many_open_files():
    """Let this process open as many files as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _measure(stage, port, name):
    idle, trickling = stage.choose(short=200, full=2_000), stage.choose(short=40, full=200)
    stage.tell(f"{idle} idle and {trickling} trickling connections, {name}")
    slow_clients = SlowClients(port, signed_event(stage.random("slow")), idle=idle, trickling=trickling)
    load = Load(port, connections=HONEST_CONNECTIONS, seed=f"{stage.seed} {name}", pause_seconds=0.2, retry=False)
    with slow_clients:
        time.sleep(1.5)  # By now, the trickling clients have sent single bytes.
        with load:
            time.sleep(stage.choose(short=3, full=30))
    report, milliseconds = stage.report, [1_000 * attempt.seconds for attempt in load.account.attempts]
    # More often would mean that the server holds fewer than the scenario claims.
    at_most = REOPENED_AT_MOST * (idle + trickling)
    report.note(f"{name}: slow connections", idle + trickling)
    report.require(f"{name}: times the server closed one of them", slow_clients.reopened, at_most=at_most)
    report.require(f"{name}: honest deliveries", len(milliseconds), at_least=1)
    report.require(f"{name}: without a 201", len(milliseconds) - load.account.statuses()[201], equal=0)
    report.note(f"{name}: median, ms", percentile(milliseconds, 50))
    report.require(f"{name}: p99, ms", percentile(milliseconds, 99), at_most=P99_MAX_MS)
    report.note(f"{name}: slowest, ms", max(milliseconds))


@dataclass(slots=True)
class _Client:
    """A connection, and how much of the request it has sent."""

    first: int  # So many bytes are sent at once; an idle client has 0, and never sends any.
    position: int = 0
    connection: socket.socket | None = None


class SlowClients:
    """Connections that never finish a request, all held by one thread, from entering to leaving the with block.

    Idle ones send nothing. Trickling ones send a byte a second: half of them from the start of the head, half from the
    start of the body. One that the server closes or answers is opened again.
    """

    def __init__(self, port, event, *, idle, trickling):
        headers = event.headers | {"content-length": str(len(event.body))}
        self._port, self._request = port, request_bytes("POST", RECEIVING_PATH, headers, event.body)
        starts = 1, len(self._request) - len(event.body)
        self._clients = [_Client(first=0) for _ in range(idle)]
        self._clients += [_Client(first=starts[number % 2]) for number in range(trickling)]
        self._ready, self._stop = threading.Event(), threading.Event()
        self.reopened = 0

    def __enter__(self):
        self._pool = ThreadPoolExecutor(1)
        self._holding = self._pool.submit(self._hold)
        self._ready.wait()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._pool.shutdown()
        # Without slow clients, the honest deliveries would prove nothing.
        self._holding.result()

    def _hold(self):
        try:
            with selectors.DefaultSelector() as selector:
                for client in self._clients:
                    self._open(client, selector)
                self._ready.set()
                self._trickle_until_stopped(selector)
        finally:
            self._ready.set()
            for client in self._clients:
                if client.connection is not None:
                    client.connection.close()

    def _trickle_until_stopped(self, selector):
        next_at = time.monotonic() + 1
        while not self._stop.is_set():
            for key, _ in selector.select(timeout=0.1):
                selector.unregister(key.fileobj)
                key.fileobj.close()
                self._open(key.data, selector)
                self.reopened += 1
            if time.monotonic() >= next_at:
                next_at += 1
                self._send_a_byte_each()

    def _send_a_byte_each(self):
        for client in self._clients:
            if client.first:
                with suppress(OSError):  # Closed by the server, which the selector notices.
                    client.connection.send(self._request[client.position : client.position + 1])
                client.position += 1

    def _open(self, client, selector):
        client.connection = socket.create_connection((HOST, self._port), timeout=5)
        client.connection.sendall(self._request[: client.first])
        client.position = client.first
        selector.register(client.connection, selectors.EVENT_READ, client)
