"""Measure `manage.py copy_log` on a long log, from SQLite to PostgreSQL and back; then again, killed on the way.

    .venv/bin/python -m tests.load.bench_copy --folder /var/tmp/webhooklog-copy

A copy that is killed is started again until it is complete. The checksums of all copies must be equal.
"""

import argparse
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import psycopg
from rich.console import Console

from tests.load.engines import DELIVERIES, EVENTS, PostgreSQLEngine, SQLiteDatabase, migrate
from tests.load.filling_sqlite import fill_sqlite
from tests.load.server import PROJECT
from tests.load.stage import site_environment

KILLED_AT = (0.2, 0.45, 0.7)  # As shares of the rows.
POLL_SECONDS = 1

console = Console(highlight=False, soft_wrap=True)


def main():
    """Fill a log, copy it four times, and print a line for each copy."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, required=True, help="for the databases; a log in it is used again")
    arguments = parser.parse_args()
    folder, events = arguments.folder.resolve(), arguments.events
    folder.mkdir(mode=0o700, exist_ok=True)
    environment = site_environment(folder)
    source = folder / "data" / "webhooklog.sqlite3"
    if not source.exists():
        migrate(environment)
        console.print(f"filled in {fill_sqlite(source, events, deliveries=events):.0f} s")
    with closing(PostgreSQLEngine(folder, environment)) as engine:
        for kills in (), KILLED_AT:
            copy_both_ways(folder, environment, engine.database_without_tables(None), 2 * events, kills)


def copy_both_ways(folder, environment, postgresql, rows, kills):
    """Copy a log from SQLite to PostgreSQL and from there to a file; kill both copies at some shares of the rows."""
    back = SQLiteDatabase(folder / f"back-{len(kills)}.sqlite3")
    there = copy(environment, postgresql.url, postgresql, rows, kills)
    again = copy(environment | postgresql.environment, f"sqlite:///{back.path}", back, rows, kills)
    assert there == again, "the checksums differ"
    console.print(f"SQLite {back.size_bytes() / 1e6:.0f} MB, PostgreSQL {postgresql.size_bytes() / 1e6:.0f} MB")
    back.path.unlink()


def copy(environment, url, database, rows, kills):
    """Copy a log, print how long it took, and return the rows and checksums of the tables that have rows."""
    started, before = time.monotonic(), _cpu_seconds()
    for share in kills:
        process = _start(environment, url)
        while process.poll() is None and _count(database) < share * rows:
            time.sleep(POLL_SECONDS)
        assert process.poll() is None, "the copy ended before it was killed"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    process = _start(environment, url)
    report, _ = process.communicate()
    assert process.returncode == 0, report
    seconds, cpu = time.monotonic() - started, _cpu_seconds() - before
    speed = f"{seconds:.0f} s, {rows / seconds:.0f} rows/s, {cpu:.0f} s of CPU in the command"
    console.print(f"to {url.split(':')[0]}, killed {len(kills)} times: {speed}")
    return [line for line in report.splitlines() if " 0 rows" not in line]


def _start(environment, url):
    command = [sys.executable, "manage.py", "copy_log", "--to", url]
    return subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True)


def _cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _count(database):
    """Return how many rows have arrived; keys have no gaps in this log."""
    with suppress(sqlite3.Error, psycopg.Error):
        return sum(database.query(f"SELECT MAX(id) FROM {table}")[0][0] or 0 for table in (EVENTS, DELIVERIES))
    return 0


if __name__ == "__main__":
    main()
