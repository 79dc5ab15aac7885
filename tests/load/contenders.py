"""The receivers that are measured: webhooklog on two servers and two databases, and its peers.

Each is started on a database of its own, driven, counted and ended. The database must hold what was answered 201:
otherwise a figure would praise a receiver that loses or skips work.
"""

import sys
import time
from contextlib import suppress
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from tests.load.engines import DELIVERIES, EVENTS
from tests.load.generator import drive
from tests.load.measuring import cpu_seconds, family, percentile, pss_mib
from tests.load.senders import SECRET
from tests.load.server import PROJECT, THREADS, WORKERS, Server
from tests.load.stage import site_environment
from tests.load.wire import HOST, Broken, Connection, wait_until

PEERS = PROJECT / "tests" / "load" / "peers"
PEERS_PYTHON = PROJECT / ".venv-peers" / "bin" / "python"
SQLITE_CONNECTIONS = 16
WARM_UP = {"connections": 32, "seconds": 1}

RATE, P50, P99 = "requests/s", "p50 ms", "p99 ms"
SERVER_CPU, DATABASE_CPU = "CPU µs each, server", "CPU µs each, database"
START, WORKER_MEMORY, MEMORY = "start to first 201, s", "PSS of a worker, MiB", "PSS of all processes, MiB"


def latency_figures(times, seconds):
    """Return the rate and the percentiles of answers that took so long each and so many seconds together."""
    return {
        RATE: len(times) / seconds,
        P50: percentile(times, 50) * 1_000,
        P99: percentile(times, 99) * 1_000,
    }


class Receiver(Server):
    """webhooklog on gunicorn and PostgreSQL; the others override what they do in another way."""

    engine = "postgresql"
    tables = (EVENTS, DELIVERIES)
    connections = None  # None: those that the command line asks for.

    def __init__(self, folder, engine, requests):
        self.database = engine.new_database(folder / "data")
        super().__init__(folder, site_environment(folder) | self.database.environment | {"WEBHOOK_SECRET": SECRET})
        self.requests = requests
        self.answers = 0
        self.generator_share = 0.0  # Of one processor, at most.

    @staticmethod
    def missing():
        """Return what it needs and does not find; "" where it can run."""
        return ""

    def begin(self):
        """Start the server, wait for its first 201, and return how long that took."""
        started = time.monotonic()
        self.start()
        wait_until(self._is_logging, "the first event is logged")
        seconds = time.monotonic() - started
        self.drive(**WARM_UP)
        return {START: seconds}

    def _is_logging(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"the server ended with status {self.process.returncode}:\n{self.log[-2000:]}")
        with suppress(Broken), Connection(self.port) as connection:
            status = connection.exchange(next(self.requests)).status
            self._require({str(status)})
            self.answers += 1
            return True
        return False

    def drive(self, **options):
        """Send for a while, and return what came of it.

        Raises:
            RuntimeError: an answer was not 201.
        """
        driven = drive(self.port, self.requests, **options)
        self._require(set(driven.statuses))
        self.answers += driven.answers
        return driven

    def _require(self, statuses):
        if statuses != {"201"}:
            raise RuntimeError(f"answers other than 201: {sorted(statuses)}\n{self.log[-2000:]}")

    def measure(self, connections, seconds):
        """Return the figures of driving it for a while."""
        pids = [self.process.pid, *postmaster_pids(self.database)]
        before = [cpu_seconds(pid) for pid in pids]
        driven = self.drive(connections=connections, seconds=seconds)
        spent = [cpu_seconds(pid) - then for pid, then in zip(pids, before, strict=True)]
        self.generator_share = max(self.generator_share, driven.cpu_seconds / driven.seconds)
        each = [value / driven.answers * 1e6 for value in spent]
        return latency_figures(driven.times, driven.seconds) | dict(zip((SERVER_CPU, DATABASE_CPU), each, strict=False))

    def memory(self):
        """Return the memory of a worker that serves requests, and of all processes, also of the watch.

        Raises:
            RuntimeError: there are not as many such workers as were asked for.
        """
        workers = list(map(pss_mib, self.serving_pids()))
        if len(workers) != WORKERS:
            raise RuntimeError(f"{len(workers)} processes serve requests instead of {WORKERS}")
        return {WORKER_MEMORY: sum(workers) / WORKERS, MEMORY: sum(map(pss_mib, family(self.process.pid)))}

    def check(self):
        """Count what was kept.

        Raises:
            RuntimeError: it is not what was answered 201.
        """
        counts = [self.database.query(f"SELECT count(*) FROM {table}")[0][0] for table in self.tables]
        if set(counts) != {self.answers}:
            raise RuntimeError(f"{self.answers} events were answered 201, and the tables hold {counts}")

    def close(self):
        """End it and remove its database."""
        self.end()
        drop(self.database)


class OnGranian(Receiver):
    """webhooklog on granian, by the command of docs/performance.md."""

    @staticmethod
    def missing():
        return "" if Path(sys.executable).with_name("granian").exists() else "granian (requirements/granian.txt)"

    def command(self):
        return [
            *(str(Path(sys.executable).with_name("granian")), "--interface", "wsgi", "--no-ws"),
            *("--workers", str(WORKERS), "--blocking-threads", str(THREADS)),
            *("--host", HOST, "--port", str(self.port), "--log-level", "warning", "webhooklog.wsgi:application"),
        ]


class OnSQLite(Receiver):
    """webhooklog on gunicorn and SQLite."""

    engine = "sqlite"
    connections = SQLITE_CONNECTIONS


class Peer(Receiver):
    """Another receiver, which inserts one row."""

    tables = ("events",)

    def __init__(self, folder, engine, requests):
        super().__init__(folder, engine, requests)
        make_table(self.database)


class FastAPI(Peer):
    """FastAPI on uvicorn."""

    @staticmethod
    def missing():
        return "" if PEERS_PYTHON.with_name("uvicorn").exists() else "FastAPI (tests/load/peers/requirements.txt)"

    def command(self):
        return [
            *(str(PEERS_PYTHON), "-m", "uvicorn", "tests.load.peers.fastapi_receiver:app"),
            *("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"),
            *("--workers", str(WORKERS), "--host", HOST, "--port", str(self.port)),
        ]


class PlainDjango(Peer):
    """Django and REST framework as one would write it first."""

    def command(self):
        return [
            *(sys.executable, "-m", "gunicorn", "--worker-class", "gthread", "--no-control-socket"),
            *("--workers", str(WORKERS), "--threads", str(THREADS), "--worker-tmp-dir", "/dev/shm"),
            *("--bind", f"{HOST}:{self.port}", "--log-level", "warning", "tests.load.peers.plain_django"),
        ]


def make_table(database):
    """Make the table of those who insert one row."""
    with psycopg.connect(database.url) as connection:
        connection.execute((PEERS / "table.sql").read_text())


def drop(database):
    """Remove a PostgreSQL database with whoever is still connected; a folder's owner removes SQLite's."""
    if hasattr(database, "url"):
        name = database.query("SELECT current_database()")[0][0]
        with psycopg.connect(make_conninfo(database.url, dbname="postgres"), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def postmaster_pids(database):
    """Return the process id of a PostgreSQL database's server; SQLite has no server."""
    if not hasattr(database, "url"):
        return []
    folder = Path(database.query("SHOW data_directory")[0][0])
    return [int((folder / "postmaster.pid").read_text().split()[0])]
