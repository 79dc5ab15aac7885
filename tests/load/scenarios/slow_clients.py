"""Let slow clients hold twice as many connections as there are threads: honest traffic still gets its 201."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

from tests.load import proxy
from tests.load.senders import Load, signed_event
from tests.load.server import THREADS, WORKERS
from tests.load.wire import HOST, RECEIVING_PATH, request_bytes

SLOW_CONNECTIONS = 2 * WORKERS * THREADS
HONEST_CONNECTIONS = 4
CIRCLECI_WAITS_SECONDS = 10.0


def run(stage):
    """Measure gunicorn alone, which promises nothing here, and gunicorn behind the proxy, which must hold."""
    version = proxy.installed_version()
    with stage.site() as site:
        stage.report.note("slow connections", SLOW_CONNECTIONS)
        if stage.is_short:
            stage.report.remark("gunicorn without a proxy is measured in the full form only")
        else:
            _measure(stage, site.server.port, "gunicorn alone", is_promised=False)
        if version is None:
            stage.report.remark("SKIPPED behind the proxy: Caddy is not installed (apt-get install caddy)")
        else:
            with proxy.caddy(site.folder, site.server.port, version) as port:
                _measure(stage, port, "behind Caddy", is_promised=True)


def _measure(stage, port, name, *, is_promised):
    stage.tell(f"{SLOW_CONNECTIONS} slow clients, {name}")
    with _slow_clients(stage, port) as reconnections:
        time.sleep(stage.choose(short=1.5, full=2))
        load = Load(port, connections=HONEST_CONNECTIONS, seed=f"{stage.seed} {name}", pause_seconds=0.2, retry=False)
        with load:
            time.sleep(stage.choose(short=2, full=30))
    attempts, report = load.account.attempts, stage.report
    on_time = sum(a.status == 201 and a.seconds <= CIRCLECI_WAITS_SECONDS for a in attempts)
    report.note(f"{name}: honest requests", len(attempts))
    report.note(f"{name}: slow connections that were cut off and came again", reconnections[0])
    report.note(f"{name}: slowest honest answer, s", load.account.slowest_seconds())
    late = len(attempts) - on_time
    if is_promised:
        report.require(f"{name}: without a 201 within 10 s", late, equal=0)
        report.require(f"{name}: honest requests answered 201", on_time, at_least=1)
    else:
        report.note(f"{name}: without a 201 within 10 s", late)


@contextmanager
def _slow_clients(stage, port):
    """Keep the slow connections open; give a list whose one number counts how often one was cut off."""
    stop, reconnections = threading.Event(), [0]
    event = signed_event(stage.random("slow"))
    request = request_bytes(
        "POST", RECEIVING_PATH, event.headers | {"content-length": str(len(event.body))}, event.body
    )
    head_length = len(request) - len(event.body)
    with ThreadPoolExecutor(1) as pool:
        trickle = pool.submit(_trickle, port, request, head_length, stop, reconnections)
        try:
            yield reconnections
        finally:
            stop.set()
    # A trickle that failed would have left honest traffic alone, and proved nothing.
    trickle.result()


def _trickle(port, request, head_length, stop, reconnections):
    """Send one byte a second on each connection: on one half from the head's start, on the other from the body's."""
    starts = [1 if number % 2 else head_length for number in range(SLOW_CONNECTIONS)]
    clients = [_begin(port, request[:start]) for start in starts]
    places = list(starts)
    while not stop.wait(1):
        for number, client in enumerate(clients):
            try:
                client.send(request[places[number] : places[number] + 1])
                places[number] += 1
                is_open = not _was_closed(client)
            except OSError:
                is_open = False
            if not is_open:
                client.close()
                clients[number], places[number] = _begin(port, request[: starts[number]]), starts[number]
                reconnections[0] += 1
    for client in clients:
        client.close()


def _begin(port, data):
    client = socket.create_connection((HOST, port), timeout=5)
    client.sendall(data)
    return client


def _was_closed(client):
    """Tell whether the server has answered or closed; either way this connection holds nothing any more."""
    client.settimeout(0)
    with suppress(BlockingIOError):
        client.recv(1)
        return True
    return False
