"""Measure webhooklog beside its peers and its limits: ``make bench``, docs/performance.md.

Prints a table for each number of connections, in Markdown: rows are pairs, a cell is the median of the rounds' ratios,
their least and greatest, and the median of each side. Ends with status 1 when an answer is not 201 or a row is missing,
never because something is slow.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from tests.load import contenders as c
from tests.load.comparison import Results
from tests.load.engines import ENGINES
from tests.load.generator import Requests, ceiling
from tests.load.limits import Pgbench, RawSQLite
from tests.load.stage import site_environment
from tests.load.torture import say

# fmt: off
CONTENDERS = {
    "ours":       c.Receiver,
    "granian":    c.OnGranian,
    "fastapi":    c.FastAPI,
    "plain":      c.PlainDjango,
    "pgbench":    Pgbench,
    "sqlite":     c.OnSQLite,
    "raw-sqlite": RawSQLite,
}
# fmt: on
PAIRS = [
    ("ours", "fastapi"),
    ("granian", "fastapi"),
    ("ours", "plain"),
    ("ours", "pgbench"),
    ("fastapi", "pgbench"),
    ("granian", "ours"),
    ("sqlite", "raw-sqlite"),
]
LOAD_FIGURES = (c.RATE, c.P50, c.P99, c.SERVER_CPU, c.DATABASE_CPU)
SITE_FIGURES = (c.START, c.WORKER_MEMORY, c.MEMORY)
SITE = "start and memory"
MAX_CONNECTIONS = 200  # More than the greatest number that is measured.
SHORT = ["ours", "fastapi", "pgbench", "sqlite", "raw-sqlite"]


def main():
    """Measure what the command line asks for, and exit."""
    # Otherwise a SIGTERM would leave servers behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    options = parse_arguments()
    started = time.monotonic()
    introduce()
    names = present(options.only)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="webhooklog-bench-")))
        engines = {
            kind: stack.enter_context(closing(ENGINES[kind](folder, site_environment(folder))))
            for kind in {CONTENDERS[name].engine for name in names}
        }
        try:
            if "postgresql" in engines:
                prepare(engines["postgresql"])
            bench = Bench(engines, folder, options)
            bench.run(names)
            if options.requests:
                bench.grow("ours")
        except RuntimeError as error:
            sys.exit(str(error))
    say(f"{time.monotonic() - started:.0f} seconds, load average {os.getloadavg()[0]:.2f} at the end.")


def introduce():
    """Tell what this run is worth: the machine, what else it does, and the generator's ceiling."""
    processors = len(os.sched_getaffinity(0))
    say(
        f"{datetime.now(UTC):%Y-%m-%d}, {processors} processors, load average before the start {os.getloadavg()[0]:.2f}"
    )
    driven = ceiling()
    say(
        f"The generator alone reaches {driven.answers / driven.seconds:,.0f} requests/s and takes"
        f" {driven.cpu_seconds / driven.answers * 1e6:.0f} µs of CPU for each."
    )


def present(names):
    """Return those contenders whose programs are there, and name the others."""
    missing = {name: CONTENDERS[name].missing() for name in names}
    for name, what in missing.items():
        if what:
            say(f"Left out: {name}, for there is no {what}.")
    return [name for name in names if not missing[name]]


class Bench:
    """The rounds, and what they gave."""

    def __init__(self, engines, folder, options):
        self.engines = engines
        self.folder = folder
        self.options = options
        self.requests = Requests()
        self.results = Results()
        self.generator_shares = {}

    def run(self, names):
        """Give each contender its turn in each round, and print the tables."""
        for number in range(self.options.rounds):
            for name in names:
                sys.stderr.write(f"round {number + 1} of {self.options.rounds}: {name}\n")
                try:
                    self.turn(name)
                except RuntimeError as error:
                    raise RuntimeError(f"{name}: {error}") from error
        pairs = [pair for pair in PAIRS if set(pair) <= set(names)] or [(names[0], other) for other in names[1:]]
        for heading, figures in (
            (f"connections: {connections}", LOAD_FIGURES) for connections in self.all_connections(names)
        ):
            say(f"\n{self.results.table(heading, figures, pairs)}")
        say(f"\n{self.results.table(SITE, SITE_FIGURES, pairs)}")
        shares = ", ".join(f"{name} {share:.0%}" for name, share in self.generator_shares.items() if share)
        say(f"\nThe generator took of one processor, at most: {shares}.")

    def all_connections(self, names):
        """Return the numbers of connections that any of the contenders was measured with."""
        return sorted({number for name in names for number in self.connections(name)})

    def connections(self, name):
        """Return the numbers of connections that a contender is measured with."""
        own = CONTENDERS[name].connections
        return [own] if own else self.options.connections

    def turn(self, name):
        """Start a contender, measure it with each number of connections, count what it kept, and end it."""
        with self.contender(name) as contender:
            self.results.add(name, SITE, contender.begin())
            for connections in self.connections(name):
                figures = contender.measure(connections, self.options.seconds)
                self.results.add(name, f"connections: {connections}", figures)
            self.results.add(name, SITE, contender.memory())
            contender.check()
            self.generator_shares[name] = max(contender.generator_share, self.generator_shares.get(name, 0))

    @contextmanager
    def contender(self, name):
        """Make a contender with a database of its own, and end it."""
        kind = CONTENDERS[name]
        with (
            tempfile.TemporaryDirectory(dir=self.folder, ignore_cleanup_errors=True) as folder,
            closing(kind(Path(folder), self.engines[kind.engine], self.requests)) as contender,
        ):
            yield contender

    def grow(self, name):
        """Print the memory of a server after many requests beside that after a hundredth of them."""
        with self.contender(name) as contender:
            contender.begin()
            few = self.options.requests // 100
            memory = []
            for count in (few, self.options.requests - few):
                contender.drive(connections=32, count=count)
                memory.append(contender.memory()[c.MEMORY])
            contender.check()
        say(
            f"\n{name}: {c.MEMORY} after {few:,} requests {memory[0]:.1f}, after {self.options.requests:,}"
            f" {memory[1]:.1f}: {memory[1] / memory[0]:.3f} times as much."
        )


def prepare(engine):
    """Let PostgreSQL accept as many connections as pgbench opens.

    Raises:
        RuntimeError: it would not be durable.
    """
    database = engine.new_database(None)
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(f"ALTER SYSTEM SET max_connections = {MAX_CONNECTIONS}")
    engine.stop_at_once()
    engine.start()
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        value = database.query(f"SHOW {setting}")[0][0]
        if value != "on":
            raise RuntimeError(f"PostgreSQL runs with {setting} = {value}")


def parse_arguments():
    """Return the options."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.bench", description=__doc__)
    parser.add_argument(
        "--short", action="store_true", help="a look in less than 90 seconds: one round, few contenders"
    )
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, help="these contenders only")
    parser.add_argument("--connections", nargs="+", type=int, metavar="N", help="of the load, one after the other")
    parser.add_argument("--rounds", type=int, metavar="N")
    parser.add_argument("--seconds", type=int, metavar="N", help="of each measurement")
    parser.add_argument("--requests", type=int, metavar="N", help="for the growth of memory; 0 leaves it out")
    options = parser.parse_args()
    short = {"only": SHORT, "connections": [32], "rounds": 1, "seconds": 5, "requests": 0}
    full = {"only": list(CONTENDERS), "connections": [1, 8, 32, 128], "rounds": 5, "seconds": 10, "requests": 10**6}
    if options.only:  # A look at some of them.
        full["requests"] = 0
    for name, value in (short if options.short else full).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


if __name__ == "__main__":
    main()
