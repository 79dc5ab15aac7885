"""Listen to a site as ``manage.py listen`` does, many at once."""

import json
import threading
from base64 import b64decode

from tests.load.engines import manage
from tests.load.wire import Connection, request_bytes


class Crowd:
    """Listeners, each on a thread with a connection of its own, from entering to leaving the with block."""

    def __init__(self, port, key, count, *, wait_seconds):
        self.seen = [[] for _ in range(count)]  # The bodies that each has been handed out.
        self.requests = [0] * count
        self._port = port
        self._headers = {"authorization": f"Bearer {key}"}
        self._wait_seconds = wait_seconds
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._listen, args=(number,)) for number in range(count)]
        self._ready = threading.Barrier(count + 1, timeout=60)  # Each knows where the log ends.

    def __enter__(self):
        for each in self._threads:
            each.start()
        self._ready.wait()
        return self

    def __exit__(self, *_):
        self._end.set()
        for each in self._threads:
            each.join()

    def _listen(self, number):
        with Connection(self._port, timeout_seconds=40) as connection:
            cursor = self._ask(connection, number, "now", wait_seconds=0)
            self._ready.wait()
            while not self._end.is_set():
                cursor = self._ask(connection, number, cursor, wait_seconds=self._wait_seconds)

    def _ask(self, connection, number, after, wait_seconds):
        query = f"after={after}&wait={wait_seconds}"
        answer = connection.exchange(request_bytes("GET", f"/deliveries/stream?{query}", self._headers))
        assert answer.status == 200, answer.body
        batch = json.loads(answer.body)
        self.seen[number] += [b64decode(delivery["body_base64"]) for delivery in batch["deliveries"]]
        self.requests[number] += 1
        self._end.wait(float(answer.headers.get("retry-after", 0)))
        return batch["cursor"]


def token(environment):
    """Return a new token of a user who may do everything."""
    manage(environment, "createsuperuser", "--noinput", "--username=bench", "--email=bench@acme.example")
    return manage(environment, "create_token", "bench", "--name=bench", "--expires=1h").strip()
