"""A log of a size, served by one worker with one thread: its connection to the database is warm after a few rounds."""

import json
import re
import subprocess
import sys
import time
from random import Random
from urllib.parse import parse_qs, urlsplit

from tests.load.bench_admin import FORGET, HOUR_SECONDS, SIGN_IN, wait_until_followed
from tests.load.engines import manage
from tests.load.filling import fill, settle
from tests.load.filling_sqlite import fill_sqlite, settle_sqlite
from tests.load.growth_rows import DEEP, DEEP_PAGES, DELIVERIES, EVENTS, keys
from tests.load.senders import signed_event
from tests.load.server import PROJECT, Server
from tests.load.stage import site_environment
from tests.load.wire import Connection, request_bytes

# As if retention kept deliveries for 90 of the 180 days, and were to remove those of one day next.
KEPT = 91 / 180

ENVIRONMENT = {
    "WEB_CONCURRENCY": "1",
    "WEB_THREADS": "1",
    "API_REQUESTS_PER_MINUTE": "10000000",  # Counted as always, and never too many.
}

# Deletes a batch as manage.py prune does, and prints how many milliseconds that took; a small one first, to be warm.
PRUNE = """
import time
from logs.models import Delivery, WorkflowEvent
from logs.retention import delete_in_batches
rows = {rows}
assert next(filter(None, delete_in_batches(rows, size=50))) == 50
started = time.perf_counter()
assert next(filter(None, delete_in_batches(rows, size=1_000))) == 1_000
print((time.perf_counter() - started) * 1_000)
"""
PRUNED = {
    "events":     'WorkflowEvent.objects.order_by("received_at", "pk")',
    "deliveries": 'Delivery.objects.order_by("received_at")',
}  # fmt: skip


class GrownSite:
    """A server with a log of so many events."""

    def __init__(self, engine, folder, events):
        folder.mkdir()
        self.events = events
        self.deliveries = round(events * KEPT)
        self.database = engine.new_database(folder / "data")
        self.server = Server(folder, site_environment(folder) | self.database.environment)
        self.server.environment |= ENVIRONMENT
        self.cursors = {}
        self._connection = Connection(self.server.port, timeout_seconds=120)
        self._random = Random(f"events of the log of {events}")

    def make(self, tell):
        """Make the log and count its rollups; return how long both took and the size, in words."""
        seconds = self.fill(tell)
        tell("counting the rollups")
        started = time.monotonic()
        command = [sys.executable, "manage.py", "rollup"]
        environment = self.server.environment
        subprocess.run(
            command, cwd=PROJECT, env=environment, stdout=subprocess.DEVNULL, check=True, timeout=HOUR_SECONDS
        )
        counting = time.monotonic() - started
        self.settle()
        megabytes = self.database.size_bytes() / 1e6
        return (
            f"{self.events:,} events and {self.deliveries:,} deliveries: filled in {seconds:.0f} s, rollups counted in"
            f" {counting:.0f} s, {megabytes:,.0f} MB on disk"
        )

    def fill(self, tell):
        """Insert the rows; return the seconds it took."""
        raise NotImplementedError

    def settle(self):
        """Have nothing left to be done behind the measured requests."""
        raise NotImplementedError

    def forget_figures(self):
        """Make the next dashboard read its figures."""
        raise NotImplementedError

    def start(self):
        """Serve, with somebody signed in, and find the places deep inside the lists."""
        self.cookie = manage(self.server.environment, "shell", "--no-imports", "-c", SIGN_IN).split()[-1]
        self.server.start()
        self.server.wait_until_serving()
        wait_until_followed(self.database)
        self.cursors["deep"] = self._next_cursor(f"{EVENTS}?received_before=90d&limit=1")
        self.cursors["deep_deliveries"] = self._next_cursor(f"{DELIVERIES}?received_before=45d&limit=1")
        for name, ordering in DEEP.items():
            address = f"{EVENTS}?ordering={ordering}&limit=500"
            cursor = self._next_cursor(address)
            for _ in range(DEEP_PAGES - 1):
                cursor = self._next_cursor(f"{address}&cursor={cursor}")
            self.cursors[name] = cursor

    def end(self):
        """End the server."""
        self.reconnect()
        self.server.end()

    def reconnect(self):
        """Let the next request open a connection: the server closes those that were silent for a while."""
        self._connection.close()

    def get(self, address, random):
        """Ask for a page, and return the milliseconds that took and how many rows it lists, or None.

        Raises:
            RuntimeError: the answer was not 200.
        """
        target = address.format(**self.cursors, **keys(self.events, self.deliveries, random))
        answer = self._get(target)
        return answer.seconds * 1_000, _rows_of(answer)

    def insert(self):
        """Deliver a new event, and return the milliseconds that took.

        Raises:
            RuntimeError: it was not logged.
        """
        event = signed_event(self._random)
        answer = self._connection.post(event.body, event.headers)
        if answer.status != 201:
            raise RuntimeError(f"an event was answered {answer.status}: {answer.body[:500]}")
        return answer.seconds * 1_000

    def prune(self, what):
        """Delete the 1,000 oldest events or deliveries, and return the milliseconds that took."""
        script = PRUNE.format(rows=PRUNED[what])
        return float(manage(self.server.environment, "shell", "--no-imports", "-c", script).split()[-1])

    def _get(self, target):
        answer = self._connection.exchange(request_bytes("GET", target, {"Cookie": f"sessionid={self.cookie}"}))
        if answer.status != 200:
            raise RuntimeError(f"{target} was answered {answer.status}")
        return answer

    def _next_cursor(self, target):
        link = self._get(target).headers["Link"]
        address = re.search(r'<([^>]+)>; rel="next"', link)[1]
        return parse_qs(urlsplit(address).query)["cursor"][0]


class PostgreSQLSite(GrownSite):
    """A log on PostgreSQL."""

    def fill(self, tell):
        """Insert the rows; return the seconds it took."""
        return fill(self.database.url, self.events, deliveries=self.deliveries, tell=tell)

    def settle(self):
        """Vacuum, and write to the disk."""
        settle(self.database.url)

    def forget_figures(self):
        """Make the next dashboard read its figures."""
        self.database.query(f"{FORGET} RETURNING id")


class SQLiteSite(GrownSite):
    """A log on SQLite."""

    def fill(self, tell):
        """Insert the rows; return the seconds it took."""
        return fill_sqlite(self.database.path, self.events, deliveries=self.deliveries, tell=tell)

    def settle(self):
        """Write to the disk."""
        settle_sqlite(self.database.path)

    def forget_figures(self):
        """Make the next dashboard read its figures."""
        earlier = "strftime('%Y-%m-%d %H:%M:%f', counted_until, '-0.001 seconds')"
        self.database.query(f"UPDATE logs_rollupstate SET counted_until = {earlier} RETURNING id")


SITES = {"sqlite": SQLiteSite, "postgresql": PostgreSQLSite}


def _rows_of(answer):
    """Return how many objects an answer's array holds, or how many rows of tables an answer has; None without any."""
    if answer.headers["Content-Type"] == "application/json":
        document = json.loads(answer.body)
        if isinstance(document, list):
            return len(document)
    return answer.body.count(b"<tr") or None
