"""Speak HTTP over one connection, and never take half an answer for an answer."""

import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse

HOST = "127.0.0.1"
RECEIVING_PATH = "/log-circleci-webhook"
# More than CircleCI's ten seconds, so that an answer which comes too late is seen, and timed.
ANSWER_TIMEOUT_SECONDS = 20


class Broken(Exception):
    """The connection failed, or was silent for too long, before the whole answer had been read."""

    def __init__(self, cause):
        super().__init__(f"{type(cause).__name__}: {cause}")
        self.timed_out = isinstance(cause, TimeoutError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer."""

    status: int
    headers: HTTPMessage
    body: bytes
    seconds: float  # From before the first byte was sent until the last one was read.


class Connection:
    """A connection that is kept alive, and made anew after it broke."""

    def __init__(self, port, timeout_seconds=ANSWER_TIMEOUT_SECONDS):
        self.port = port
        self.timeout_seconds = timeout_seconds
        self._socket = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Close the connection; the next exchange opens another one."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def get(self, path):
        """Return the answer to a GET."""
        return self.exchange(request_bytes("GET", path, {}))

    def post(self, body, headers, path=RECEIVING_PATH):
        """Return the answer to a POST."""
        return self.exchange(request_bytes("POST", path, headers | {"content-length": str(len(body))}, body))

    def exchange(self, data, *, is_head=False, half_close=False):
        """Send bytes as they are, and return the answer.

        Args:
            data: the whole request.
            is_head: the answer has no body, whatever length it names.
            half_close: tell the server that nothing more comes; the connection serves no second request then.

        Raises:
            Broken: no whole answer came.
        """
        started = time.monotonic()
        try:
            self._send(data, half_close=half_close)
            response = HTTPResponse(self._socket, method="HEAD" if is_head else "GET")
            response.begin()
            body = response.read()
        except (OSError, HTTPException, ValueError) as error:
            self.close()
            raise Broken(error) from error
        if response.will_close or half_close:
            self.close()
        seconds = time.monotonic() - started
        return Answer(status=response.status, headers=response.headers, body=body, seconds=seconds)

    def _send(self, data, *, half_close):
        if self._socket is None:
            self._socket = socket.create_connection((HOST, self.port), self.timeout_seconds)
        # A server that refuses a long request closes before it was sent; its answer can be read all the same.
        with suppress(ConnectionError):
            self._socket.sendall(data)
            if half_close:
                self._socket.shutdown(socket.SHUT_WR)


def request_bytes(method, path, headers, body=b""):
    """Return a request as it travels."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def free_port():
    """Return a port of this machine that nothing listens at."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def wait_until(condition, what, seconds=30):
    """Wait for a condition.

    Raises:
        TimeoutError: it did not hold in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} seconds: {what}")
        time.sleep(0.02)
