"""Send events as CircleCI does, each until it is acknowledged, over many connections at once."""

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from random import Random

from logs.circleci import samples
from tests.load.account import Account
from tests.load.wire import Broken, Connection

SECRET = "a-secret-of-the-torture-only"
PAUSE_AFTER_FAILURE_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedEvent:
    """A delivery of an event, ready to be sent."""

    event_id: str
    happened_at: datetime
    body: bytes
    headers: dict

    def post_over(self, connection):
        """Return the answer, or None where no whole answer came."""
        try:
            return connection.post(self.body, self.headers)
        except Broken:
            return None


def signed_event(random, **options):
    """Return a workflow-completed event of its own; `options` are those of a samples' run."""
    document = samples.workflow_completed(random=random, **options)
    body = samples.encode(document)
    return SignedEvent(
        event_id=document["id"],
        happened_at=datetime.fromisoformat(document["happened_at"]),
        body=body,
        headers=samples.headers(body, document, SECRET),
    )


class Load:
    """Senders on threads and connections of their own, from entering to leaving the with block."""

    def __init__(self, port, *, connections, seed, pause_seconds=0.0, retry=True):
        self.account = Account()
        self._port = port
        self._connections = connections
        self._seed = seed
        self._pause_seconds = pause_seconds  # Between two events of one sender.
        self._retry = retry
        self._stop = threading.Event()

    def __enter__(self):
        self._pool = ThreadPoolExecutor(self._connections)
        self._senders = [self._pool.submit(self._send_all, number) for number in range(self._connections)]
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._pool.shutdown()
        for sender in self._senders:
            sender.result()

    def _send_all(self, number):
        events = self.events(number, Random(f"{self._seed} sender {number}"))
        with Connection(self._port) as connection:
            while not self._stop.is_set():
                self._send_until_acknowledged(next(events), connection)
                time.sleep(self._pause_seconds)

    def events(self, number, random):
        """Yield what one of the senders sends."""
        while True:
            yield signed_event(random)

    def _send_until_acknowledged(self, event, connection):
        for _ in itertools.count():
            status = self.account.send(event, connection)
            if status in (200, 201) or self._stop.is_set() or not self._retry:
                return
            time.sleep(PAUSE_AFTER_FAILURE_SECONDS)
