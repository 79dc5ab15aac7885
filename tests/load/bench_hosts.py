"""Measure two hosts beside one on a shared PostgreSQL: ``python -m tests.load.bench_hosts``.

A host is a gunicorn with two workers and a port of its own. Both share this machine's processors, so the second adds
only what one leaves idle. One host and two hosts take turns. It also prints the bytes of each row, with its indexes and
WAL. Ends with status 1 if an answer is not 201.
"""

import argparse
import os
import statistics
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from tests.load.engines import DELIVERIES, EVENTS, PostgreSQLEngine
from tests.load.generator import Requests, drive
from tests.load.server import Server
from tests.load.stage import site_environment
from tests.load.torture import say


def main():
    """Measure in turns, print a line for each, and exit."""
    options = parse_arguments()
    rates = {1: [], 2: []}
    say(f"{len(os.sched_getaffinity(0))} processors, load average before the start {os.getloadavg()[0]:.2f}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="webhooklog-hosts-")))
        engine = stack.enter_context(closing(PostgreSQLEngine(folder, site_environment(folder))))
        generators = stack.enter_context(ProcessPoolExecutor(2, mp_context=get_context("spawn")))
        for _ in range(options.rounds):
            for count, measured in rates.items():
                measured.append(measure(folder, engine, generators, count, options))
    one, two = (statistics.median(measured) for measured in rates.values())
    ratios = [pair[1] / pair[0] for pair in zip(*rates.values(), strict=True)]
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    say(f"Medians: {one:,.0f} with one host, {two:,.0f} with two; ratio {statistics.median(ratios):.2f} ({spread})")


def parse_arguments():
    """Return the options."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.bench_hosts", description=__doc__)
    parser.add_argument("--connections", type=int, default=32, metavar="N", help="of all hosts (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="of each kind (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=8, metavar="N", help="of each round (default: %(default)s)")
    return parser.parse_args()


def measure(folder, engine, generators, count, options):
    """Return the requests per second that so many hosts acknowledge, each under its share of the connections."""
    with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as name:
        database = engine.new_database(None)
        servers = []
        try:
            for number in range(count):
                home = Path(name) / str(number)
                home.mkdir()
                servers.append(Server(home, site_environment(home) | database.environment | {"WATCH": "off"}))
                servers[-1].start()
            for server in servers:
                server.wait_until_serving()
            send = partial(send_for, connections=options.connections // count, seconds=options.seconds)
            start = database.query("SELECT pg_current_wal_lsn()")[0][0]
            rate = sum(generators.map(send, [server.port for server in servers]))
            say(f"hosts: {count}, requests/s: {rate:,.0f}, {sizes(database, start)}")
            return rate
        finally:
            for server in servers:
                server.end()


def sizes(database, start):
    """Return the bytes of a row in each table and in its indexes, and of an event's WAL since a position."""
    wal = database.query(f"SELECT pg_current_wal_lsn() - '{start}', count(*) FROM {EVENTS}")[0]
    texts = [f"WAL: {wal[0] / wal[1]:,.0f} bytes per event"]
    for table in (EVENTS, DELIVERIES):
        database.execute(f"ANALYZE {table}")  # Counts the rows.
        sql = f"SELECT reltuples, pg_table_size(oid), pg_indexes_size(oid) FROM pg_class WHERE relname = '{table}'"
        ((rows, in_table, in_indexes),) = database.query(sql)
        texts.append(f"{table}: {rows:,.0f} rows, {in_table / rows:,.0f} + {in_indexes / rows:,.0f} bytes each")
    return "; ".join(texts)


def send_for(port, connections, seconds):
    """Return the requests per second that a host acknowledges; runs in a process of its own."""
    drive(port, Requests(), connections=connections, count=20 * connections)  # Load code, open connections.
    driven = drive(port, Requests(), connections=connections, seconds=seconds)
    if driven.statuses.keys() != {"201"}:
        sys.exit(f"other answers than 201: {driven.statuses}")
    return driven.answers / driven.seconds


if __name__ == "__main__":
    main()
