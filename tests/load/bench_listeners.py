"""Measure what listeners cost those who post: ``python -m tests.load.bench_listeners``.

Rounds without and with listeners take turns on one site. The listeners run in a process of their own, and ask as
``manage.py listen`` does. Ends with status 1 where a post was not logged, or took LIMIT_SECONDS or more.
"""

import argparse
import multiprocessing
import statistics
import sys
import tempfile
import time
from contextlib import closing, contextmanager
from pathlib import Path

from tests.load.engines import ENGINES
from tests.load.listeners import Crowd, token
from tests.load.report import Report, table
from tests.load.senders import Load
from tests.load.server import Server
from tests.load.stage import site_environment
from tests.load.torture import say

LIMIT_SECONDS = 2  # CircleCI gives up after 10.
WAIT_SECONDS = 5  # As logs/management/workbench/sources.py has it.
CONNECTIONS = 2


def main():
    """Measure, print a table, and exit."""
    options = parse_arguments()
    reports = [measure(name, options) for name in options.database]
    say(table(reports))
    sys.exit(1 if any(report.broken for report in reports) else 0)


def parse_arguments():
    """Return the options."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.bench_listeners", description=__doc__)
    parser.add_argument("--listeners", type=int, default=100, metavar="N", help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="of each kind (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=30, metavar="N", help="of each round (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=2, metavar="N", help="posts a second (default: %(default)s)")
    parser.add_argument("--database", nargs="+", choices=list(ENGINES), default=list(ENGINES), help="default: both")
    return parser.parse_args()


def measure(name, options):
    """Return the report on one database."""
    with tempfile.TemporaryDirectory(prefix="webhooklog-listeners-", ignore_cleanup_errors=True) as folder_name:
        folder = Path(folder_name)
        with closing(ENGINES[name](folder, site_environment(folder))) as engine:
            database = engine.new_database(folder / "data")
            # One token for all, which is more than a limit for each token allows.
            environment = site_environment(folder) | database.environment | {"API_REQUESTS_PER_MINUTE": "0"}
            server = Server(folder, environment)
            server.start()
            try:
                server.wait_until_serving()
                return measure_site(server.port, token(environment), Report("listeners", engine.name), options)
            finally:
                server.end()


def measure_site(port, key, report, options):
    """Post in turns without and with listeners, and add the figures to a report."""
    posted = {0: [], options.listeners: []}
    handed_out, requests = 0, 0
    for number in range(options.rounds):
        for listeners, attempts in posted.items():
            say(f"{report.database}: round {number + 1} of {options.rounds} with {listeners} listeners")
            with crowd(port, key, listeners) as told:
                attempts.extend(post(port, f"{number} {listeners}", options))
            handed_out, requests = handed_out + told["deliveries"], requests + told["requests"]
    for listeners, attempts in posted.items():
        add_figures(report, f"{listeners} listeners", attempts)
    minutes = options.rounds * options.seconds / 60
    report.note("handed out to each listener, of 100 posts", 100 * handed_out / options.listeners / len(attempts))
    report.note("requests of each listener in a minute", requests / options.listeners / minutes)
    return report


def post(port, seed, options):
    """Post events at the rate, and return the attempts."""
    pause_seconds = CONNECTIONS / options.rate
    with Load(port, connections=CONNECTIONS, seed=seed, pause_seconds=pause_seconds) as load:
        time.sleep(options.seconds)
    return load.account.attempts


def add_figures(report, when, attempts):
    """Add how long the posts took, and whether all were logged."""
    milliseconds = [1_000 * attempt.seconds for attempt in attempts]
    report.note(f"{when}: posts", len(attempts))
    report.note(f"{when}: median, ms", statistics.median(milliseconds))
    report.note(f"{when}: p99, ms", statistics.quantiles(milliseconds, n=100, method="inclusive")[-1])
    report.require(f"{when}: max, ms", max(milliseconds), at_most=1_000 * LIMIT_SECONDS)
    report.require(f"{when}: not logged", sum(attempt.status != 201 for attempt in attempts), equal=0)


@contextmanager
def crowd(port, key, count):
    """Run listeners in a process of their own; give what they have read, which is filled in when they have ended."""
    told = {"deliveries": 0, "requests": 0}
    if count == 0:
        yield told
        return
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=listen, args=(there, port, key, count))
    process.start()
    there.close()
    try:
        here.recv()
        yield told
        here.send("enough")
        told |= here.recv()
    finally:
        here.close()  # Ends the listeners, whatever has happened.
        process.join()


def listen(pipe, port, key, count):
    """Listen until told that it is enough, and tell what was read; runs in the process of the listeners."""
    with Crowd(port, key, count, wait_seconds=WAIT_SECONDS) as listeners:
        pipe.send("ready")
        pipe.recv()
    pipe.send({"deliveries": sum(map(len, listeners.seen)), "requests": sum(listeners.requests)})


if __name__ == "__main__":
    main()
