"""Send distinct, signed events over many connections from one thread, as cheaply as Python can.

An event is a sample whose ids are drawn anew; making and signing one takes a few microseconds. `ceiling` tells how many
requests a second the generator reaches where the server does nothing.
"""

import hashlib
import hmac
import itertools
import re
import select
import socket
import subprocess
import sys
import time
from array import array
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from os import urandom
from random import Random

from logs.circleci import samples
from tests.load.senders import SECRET
from tests.load.server import PROJECT
from tests.load.wire import HOST, RECEIVING_PATH, free_port, request_bytes, wait_until

SAMPLES = 64
SILENCE_SECONDS = 20
PLACE = "a place for an id of 36 characters.."
STOP = object()
LENGTH = re.compile(rb"\ncontent-length: *(\d+)", re.IGNORECASE)


class Requests:
    """An endless iterator of requests, each with an event that was never sent before."""

    def __init__(self, seed=1):
        random = Random(seed)
        documents = [samples.random_event(random, now=datetime.now(UTC)) for _ in range(SAMPLES)]
        self._templates = [_template(document) for document in documents]
        self._count = 0

    def __iter__(self):
        return self

    def __next__(self):
        self._count += 1
        head, parts = self._templates[self._count % SAMPLES]
        ids = urandom(16 * len(parts)).hex()
        body = bytearray(parts[0])
        for start, part in zip(range(0, len(ids), 32), parts[1:], strict=False):
            text = ids[start : start + 32]
            body += f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}".encode()
            body += part
        signature = hmac.digest(SECRET.encode(), body, hashlib.sha256).hex().encode()
        return b"%b%b\r\n\r\n%b" % (head, signature, body)


def _template(document):
    """Return a request's head up to the signature, and its body in parts between which ids belong."""
    for part in (document, document["workflow"], document["pipeline"], document.get("job", {})):
        part["id"] = PLACE
    body = samples.encode(document)
    headers = samples.headers(body, document, SECRET) | {"content-length": str(len(body))}
    signature = headers.pop("circleci-signature").partition("=")[0]
    head = request_bytes("POST", RECEIVING_PATH, headers | {"circleci-signature": f"{signature}="})
    return head.removesuffix(b"\r\n\r\n"), body.split(PLACE.encode())


@dataclass(slots=True, kw_only=True)
class Drive:
    """What came of sending for a while."""

    seconds: float = 0.0  # From the first request to the last answer.
    cpu_seconds: float = 0.0  # The generator's own.
    times: array = field(default_factory=lambda: array("d"))  # Of each answer, in seconds.
    statuses: Counter = field(default_factory=Counter)

    @property
    def answers(self):
        """How many answers there were."""
        return len(self.times)

    def add(self, exchange):
        """Take down an answer, make the exchange ready for the next one, and return the time."""
        now = time.perf_counter()
        self.times.append(now - exchange.sent_at)
        self.statuses[exchange.received[9:12].decode()] += 1
        exchange.received = b""
        return now


@dataclass(slots=True)
class _Exchange:
    """One connection, and the answer that is arriving on it."""

    socket: socket.socket
    sent_at: float = 0.0
    received: bytes = b""

    def send(self, data):
        self.sent_at = time.perf_counter()
        self.socket.sendall(data)

    def receive(self):
        """Return whether the whole answer is there."""
        data = self.socket.recv(65_536)
        if not data:
            raise RuntimeError("the server closed a connection that was in use")
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        return end and (len(body) >= int(length[1]) if length else body.endswith(b"0\r\n\r\n"))


def drive(port, requests, *, connections, seconds=float("inf"), count=None):
    """Send on each connection, one request after the other, for so many seconds or so many requests.

    Raises:
        RuntimeError: the server closed a connection, or was silent.
    """
    result, cpu_started, started = Drive(), time.process_time(), time.perf_counter()
    # Each connection takes one at least; what is not counted has no end.
    unsent = itertools.repeat(None) if count is None else itertools.repeat(None, count - connections)
    with ExitStack() as stack:
        poll, waiting = stack.enter_context(select.epoll()), {}
        for _ in range(connections):
            exchange = _Exchange(stack.enter_context(_connect(port)))
            waiting[exchange.socket.fileno()] = exchange
            poll.register(exchange.socket, select.EPOLLIN)
            exchange.send(next(requests))
        while waiting:
            for descriptor in _ready(poll):
                exchange = waiting[descriptor]
                if not exchange.receive():
                    continue
                now = result.add(exchange)
                if now - started < seconds and next(unsent, STOP) is not STOP:
                    exchange.send(next(requests))
                else:
                    del waiting[descriptor]
    result.seconds = time.perf_counter() - started
    result.cpu_seconds = time.process_time() - cpu_started
    return result


def _connect(port):
    connection = socket.create_connection((HOST, port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _ready(poll):
    """Return the descriptors of the connections on which something has arrived."""
    events = poll.poll(SILENCE_SECONDS)
    if not events:
        raise RuntimeError(f"the server was silent for {SILENCE_SECONDS} seconds")
    return [descriptor for descriptor, _ in events]


def ceiling(*, connections=32, seconds=2):
    """Return what the generator reaches against a server that only answers."""
    port = free_port()
    server = subprocess.Popen([sys.executable, "-m", "tests.load.peers.only_answers", str(port)], cwd=PROJECT)
    try:
        wait_until(lambda: _accepts(port), "the server that only answers accepts connections")
        return drive(port, Requests(), connections=connections, seconds=seconds)
    finally:
        server.kill()
        server.wait()


def _accepts(port):
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0
