"""What each database can do at most: single durable inserts of one row for an event, with nothing before them."""

import subprocess
import time
import uuid
from contextlib import closing
from pathlib import Path
from random import Random

from logs.circleci import samples
from tests.load.contenders import (
    DATABASE_CPU,
    PEERS,
    SQLITE_CONNECTIONS,
    drop,
    latency_figures,
    make_table,
    postmaster_pids,
)
from tests.load.measuring import cpu_seconds

BODY = samples.encode(samples.job_completed(random=Random(1))).decode()
INSERT = """
INSERT INTO events (event_id, event_type, happened_at, project, workflow, status, received_at, body)
VALUES (?, 'job-completed', ?, 'orchard', 'build-and-test', 'success', ?, ?) ON CONFLICT (event_id) DO NOTHING
"""


class Limit:
    """A loop of inserts in place of a server."""

    connections = None
    generator_share = 0.0

    def __init__(self, folder, engine, requests):
        self.folder = folder
        self.database = engine.new_database(folder / "data")
        self.inserted = 0

    @staticmethod
    def missing():
        """Return what it needs and does not find; "" where it can run."""
        return ""

    def begin(self):
        """Make the table."""
        make_table(self.database)
        return {}

    def memory(self):
        """Return nothing: there is no server."""
        return {}

    def check(self):
        """Count what was kept.

        Raises:
            RuntimeError: it is not what was inserted.
        """
        count = self.database.query("SELECT count(*) FROM events")[0][0]
        if count != self.inserted:
            raise RuntimeError(f"{self.inserted} rows were inserted, and the table holds {count}")

    def close(self):
        """Remove the database."""
        drop(self.database)


class Pgbench(Limit):
    """pgbench, with as many connections to the database as the others have to the server."""

    engine = "postgresql"

    def measure(self, connections, seconds):
        """Return the figures of inserting for a while."""
        postmaster = postmaster_pids(self.database)[0]
        program = Path(self.database.query("SELECT setting FROM pg_config WHERE name = 'BINDIR'")[0][0]) / "pgbench"
        prefix = self.folder / f"pgbench-{connections}"
        command = [
            *(program, "--no-vacuum", "--protocol=prepared", f"--file={PEERS / 'insert.sql'}", f"--define=body={BODY}"),
            *(f"--client={connections}", f"--jobs={min(connections, 2)}", f"--time={seconds}"),
            *("--log", f"--log-prefix={prefix}", self.database.url),
        ]
        before = cpu_seconds(postmaster)
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 60)
        spent = cpu_seconds(postmaster) - before
        if done.returncode:
            raise RuntimeError(f"pgbench ended with status {done.returncode}:\n{done.stderr[-2000:]}")
        logs = self.folder.glob(f"{prefix.name}.*")
        times = [int(line.split()[2]) / 1e6 for log in logs for line in log.read_text().splitlines()]
        self.inserted += len(times)
        return latency_figures(times, seconds) | {DATABASE_CPU: spent / len(times) * 1e6}


class RawSQLite(Limit):
    """Python's own driver: one connection, one insert in each transaction, as durable as webhooklog's."""

    engine = "sqlite"
    connections = SQLITE_CONNECTIONS  # Whose figures it stands beside; more than one would only wait.

    def begin(self):
        """Make the table."""
        with closing(self.database.connect()) as connection:
            connection.execute(
                "CREATE TABLE events (id integer PRIMARY KEY, event_id text NOT NULL UNIQUE, event_type text NOT NULL,"
                " happened_at text NOT NULL, project text NOT NULL, workflow text NOT NULL, status text NOT NULL,"
                " received_at text NOT NULL, body blob NOT NULL)"
            )
        return {}

    def measure(self, connections, seconds):
        """Return the figures of inserting for a while."""
        times, body, moment = [], BODY.encode(), "2026-08-20 09:30:00.250000"
        with closing(self.database.connect()) as connection:
            connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
            started = time.perf_counter()
            while (begun := time.perf_counter()) < started + seconds:
                connection.execute(INSERT, [str(uuid.uuid4()), moment, moment, body])
                times.append(time.perf_counter() - begun)
        self.inserted += len(times)
        return latency_figures(times, seconds)
