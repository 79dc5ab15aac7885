"""Take the database away under load: 503 while it is away, nothing lost, and logging again when it is back."""

import sqlite3
import time
from contextlib import closing, contextmanager, suppress

from tests.load.account import audit, require_statuses
from tests.load.engines import PostgreSQLEngine
from tests.load.senders import Load
from tests.load.wire import Broken, Connection, wait_until

CONNECTIONS = 32
AWAY_SECONDS = 2
FULL_DISK_BYTES = 2**20  # No file grows beyond this while the disk is "full".
CIRCLECI_WAITS_SECONDS = 10.0


def run(stage):
    """Play, under one load, all that can befall this kind of database, and audit the log afterwards."""
    report, on_postgresql = stage.report, isinstance(stage.engine, PostgreSQLEngine)
    with stage.site() as site:
        with Load(site.server.port, connections=CONNECTIONS, seed=stage.seed) as load:
            time.sleep(1)
            if on_postgresql:
                _stop_and_start(stage, site, load.account)
            else:
                _hold_lock(stage, site, load.account, "write lock held for 2 s", hold_seconds=2)
                too_long = stage.choose(short=6.5, full=25)
                _hold_lock(stage, site, load.account, "write lock held too long", hold_seconds=too_long)
                _fill_disk(stage, site, load.account)
        account = load.account
        report.require("503 without Retry-After", without_retry_after(account), equal=0)
        report.require("slowest 2xx, s", account.slowest_seconds(200, 201), at_most=CIRCLECI_WAITS_SECONDS)
        require_statuses(account, report, allowed={200, 201, 503})
        report.require("tracebacks in the server's log", len(site.server.tracebacks()), equal=0)
        audit(account, site.database, report)


def _stop_and_start(stage, site, account):
    report, recoveries, probes = stage.report, [], []
    count = stage.choose(short=2, full=10)
    for number in range(count):
        stage.tell(f"stopping PostgreSQL, time {number + 1} of {count}")
        stage.engine.stop_at_once()
        gone = time.monotonic()
        probes.append((probe(site.server.port, "/healthz"), probe(site.server.port, "/readyz")))
        time.sleep(max(0, gone + AWAY_SECONDS - time.monotonic()))
        starting = time.monotonic()
        stage.engine.start()
        recoveries.append(_seconds_until_logging(account, starting))
        time.sleep(1)
    report.note("times PostgreSQL was stopped (immediate) and started", count)
    report.require("answered 503 meanwhile", account.statuses()[503], at_least=1)
    report.require("slowest 503, s", account.slowest_seconds(503), at_most=2.0)
    report.note("longest from the start command to the first 201, s", max(recoveries))
    others = sum(statuses != (200, 503) for statuses in probes)
    report.require("probes while away other than healthz 200, readyz 503", others, equal=0)


def probe(port, path):
    """Return the status of a probe; None where no whole answer came."""
    with suppress(Broken), Connection(port) as connection:
        return connection.get(path).status


def _seconds_until_logging(account, moment):
    wait_until(lambda: account.first_logged_after(moment) is not None, "a 201 after the outage")
    return account.first_logged_after(moment)


def _hold_lock(stage, site, account, name, *, hold_seconds):
    """Let another process, this one, hold SQLite's write lock: for 3 seconds the server's own writers wait."""
    stage.tell(name)
    began = time.monotonic()
    with _write_lock(site.database.path):
        time.sleep(hold_seconds)
    recovery = _seconds_until_logging(account, time.monotonic())
    # Those that have waited are answered too, before they are counted.
    time.sleep(1)
    answers = [attempt for attempt in account.attempts if attempt.ended >= began]
    refused = sum(attempt.status == 503 for attempt in answers)
    # After 3 seconds all have waited long enough, not only the one that stands first in a queue.
    bound = {"equal": 0} if hold_seconds < 3 else {"at_least": CONNECTIONS}
    report, slowest = stage.report, max(attempt.seconds for attempt in answers)
    report.require(f"{name}: answered 503", refused, **bound)
    report.require(f"{name}: slowest answer, s", slowest, at_most=CIRCLECI_WAITS_SECONDS)
    report.note(f"{name}: first 201 after the release, s", recovery)


@contextmanager
def _write_lock(path):
    with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def _fill_disk(stage, site, account):
    """Let the workers' files grow no further, as on a full disk, and give them room again."""
    stage.tell("disk full")
    began, refused_before = time.monotonic(), account.statuses()[503]
    site.server.limit_file_size(FULL_DISK_BYTES)
    wait_until(lambda: account.statuses()[503] > refused_before, "a 503 on a full disk")
    time.sleep(stage.choose(short=1, full=10))
    site.server.limit_file_size(None)
    recovery = _seconds_until_logging(account, time.monotonic())
    time.sleep(1)
    answers = [attempt for attempt in account.attempts if attempt.started >= began]
    report, refused = stage.report, [attempt.seconds for attempt in answers if attempt.status == 503]
    report.require("disk full: answered 503", len(refused), at_least=1)
    report.require("disk full: slowest 503, s", max(refused), at_most=CIRCLECI_WAITS_SECONDS)
    report.note("disk full: first 201 after there is room, s", recovery)


def without_retry_after(account):
    """Count the 503s that did not say when to try again."""
    return sum(attempt.status == 503 and not attempt.retry_after for attempt in account.attempts)
