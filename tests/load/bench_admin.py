"""Measure the admin's pages with a short log and with a long one side by side: ``make bench-admin``.

Needs about 3 kB of disk for each event, in a temporary folder. Ends with status 1 if a page of the long log takes
LIMIT_MILLISECONDS or more (p95), or INSIGHTS_LIMIT_MILLISECONDS for the insights, from the request's first byte to the
answer's last over 127.0.0.1.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from random import Random

import psycopg

from tests.load.engines import PostgreSQLEngine, manage
from tests.load.filling import fill
from tests.load.server import PROJECT, Server
from tests.load.stage import site_environment
from tests.load.torture import say
from tests.load.wire import Connection, request_bytes, wait_until

LIMIT_MILLISECONDS = 150
INSIGHTS = "insights"  # The names of pages that begin with it: their work grows with the window.
INSIGHTS_LIMIT_MILLISECONDS = 500
HOUR_SECONDS = 3_600
UNLIMITED = {"API_REQUESTS_PER_MINUTE": "0"}
WARM_UP = 80  # So that each of the 16 threads has met the page, and its connection the tables.
SIGN_IN = """
from django.contrib.auth import SESSION_KEY, BACKEND_SESSION_KEY, HASH_SESSION_KEY, get_user_model
from django.contrib.sessions.backends.db import SessionStore
user = get_user_model().objects.create_superuser("bench")
session = SessionStore()
session.update({
    SESSION_KEY: str(user.pk),
    BACKEND_SESSION_KEY: "django.contrib.auth.backends.ModelBackend",
    HASH_SESSION_KEY: user.get_session_auth_hash(),
})
session.save()
print(session.session_key)
"""
EVENTS, DELIVERIES = "/admin/logs/workflowevent/", "/admin/logs/delivery/"
PIPELINES = "/admin/pipelines/"
BUSIEST = "project=github/acme/project-0&workflow=workflow-0"
A_QUARTER_AGO = "90d"

# The dashboard remembers its figures until they are counted again, which is each minute at most.
COUNTED_ANEW = ", just counted anew"
FORGET = "UPDATE logs_rollupstate SET counted_until = counted_until - interval '1 microsecond'"

# What is asked for; {event}, {delivery}, {commit} and {number} are filled in anew for each request.
PAGES = {
    "dashboard, 24 hours": "/admin/",
    f"dashboard, 24 hours{COUNTED_ANEW}": "/admin/",
    "dashboard, 7 days": "/admin/?period=7d",
    f"dashboard, 7 days{COUNTED_ANEW}": "/admin/?period=7d",
    "dashboard of a project": "/admin/?project=project-{number}",
    f"dashboard of a project{COUNTED_ANEW}": "/admin/?project=project-{number}",
    "wall": "/admin/?wall",
    "pipelines": PIPELINES,
    "pipelines, a quarter of a year ago": f"{PIPELINES}?received_before={A_QUARTER_AGO}",
    "pipelines, failed": f"{PIPELINES}?status=failed",
    "pipelines, failed, of a workflow and a branch": f"{PIPELINES}?status=failed&workflow=workflow-3&branch=main",
    "pipelines of a webhook that there is not": f"{PIPELINES}?webhook=none",
    "a pipeline": f"{PIPELINES}{{event}}/",
    "events": EVENTS,
    "events, a quarter of a year ago": f"{EVENTS}?received_before={A_QUARTER_AGO}",
    "events, failed": f"{EVENTS}?status=failed",
    "events of a project": f"{EVENTS}?project=project-{{number}}",
    "events, failed, of a workflow and a branch": f"{EVENTS}?status=failed&workflow=workflow-3&branch=main",
    "events of a webhook that there is not": f"{EVENTS}?webhook=none",
    "events by words that many hold": f"{EVENTS}?q=orchard",
    "events by words that few hold": f"{EVENTS}?q=change+{{number}}",
    "events by words that none holds": f"{EVENTS}?q=submarine",
    "events by commit": f"{EVENTS}?revision={{commit}}",
    "events, the longest first": f"{EVENTS}?ordering=-duration",
    "search for a pipeline": "/admin/find/?q=%23{number}",
    "search for a commit": "/admin/find/?q={commit}",
    "search for a project": "/admin/find/?q=PROJECT-{number}",
    "search for words": "/admin/find/?q=change+{number}",
    "search for a number that there is not": "/admin/find/?q=999999999",
    "search for words that there are not": "/admin/find/?q=submarine",
    "events since": f"{EVENTS}newer/?received_after=1h",
    "suggestions of branches": f"{EVENTS}suggestions/?column=branch&start=feature/1",
    "an event": f"{EVENTS}{{event}}/change/",
    "a project": "/admin/projects/github/acme/project-0/",
    "flaky jobs": "/admin/flaky/",
    "insights": "/admin/insights/",
    "insights, a quarter of a year": "/admin/insights/?window=90d",
    "insights of a workflow": f"/admin/insights/workflow/?{BUSIEST}",
    "insights of a workflow, a quarter of a year": f"/admin/insights/workflow/?{BUSIEST}&window=90d",
    "insights in the API, all workflows": "/api/insights/workflows?window=30d&limit=5000",
    "insights in the API, a workflow, a quarter of a year": f"/api/insights/workflows?{BUSIEST}&window=90d",
    "insights in the API, its branch, a quarter of a year": f"/api/insights/workflows?{BUSIEST}&window=90d&branch=main",
    "insights in the API, its jobs": f"/api/insights/jobs?{BUSIEST}",
    "insights in the API, its days, a quarter of a year": f"/api/insights/timeseries?{BUSIEST}&window=90d",
    "insights in the API, recoveries": "/api/insights/recoveries?window=30d",
    "deliveries": DELIVERIES,
    "deliveries, refused": f"{DELIVERIES}?outcome=unverified,malformed",
    "a delivery": f"{DELIVERIES}{{delivery}}/change/",
    "replay of a delivery, to be confirmed": f"{DELIVERIES}replay/?ids={{delivery}}",
    "replay of all refused deliveries, to be confirmed": f"{DELIVERIES}replay/matching/?verified=false",
    "retention": f"{DELIVERIES}prune/",
    "tokens": "/admin/logs/apitoken/",
    "users": "/admin/auth/user/",
}


def wait_until_followed(database):
    """Wait until the watch has judged all branches and new commits, which would take time from what is measured."""
    for name in ("follow", "flaky"):
        first_check = f"SELECT count(*) FROM logs_watchtask WHERE name = '{name}' AND last_finished_at IS NOT NULL"
        wait_until(lambda sql=first_check: database.query(sql)[0][0], f"the task {name} has ended once", HOUR_SECONDS)


class Site:
    """A server with a log of a size."""

    def __init__(self, engine, folder, events):
        self.events = events
        self.database = engine.new_database(folder)
        self.server = Server(folder, site_environment(folder) | self.database.environment | UNLIMITED)
        self.witness = psycopg.connect(self.database.url, autocommit=True)

    def fill(self):
        """Make the log and count its rollups."""
        seconds = fill(self.database.url, self.events)
        say(f"{self.events:,} events filled in {seconds:.0f} s; counting them")
        started = time.monotonic()
        command = [sys.executable, "manage.py", "rollup"]
        subprocess.run(command, cwd=PROJECT, env=self.server.environment, check=True, timeout=HOUR_SECONDS)
        say(f"counted in {time.monotonic() - started:.0f} s; the database has {self.database.size_bytes():,} bytes")

    def start(self):
        """Serve, with somebody signed in."""
        self.cookie = manage(self.server.environment, "shell", "--no-imports", "-c", SIGN_IN).split()[-1]
        self.server.start()
        self.server.wait_until_serving()
        wait_until_followed(self.database)

    def end(self):
        """Stop serving."""
        self.witness.close()
        self.server.end()

    def forget_figures(self):
        """Make the next dashboard read its figures."""
        self.witness.execute(FORGET)

    def milliseconds(self, url, random):
        """Ask for a page once, and return how long it took.

        Raises:
            RuntimeError: the answer was not 200.
        """
        event = random.randint(max(1, self.events - 90_000), self.events)
        delivery = random.randint(1, min(self.events, 90_000))
        number = random.randint(0, 199)
        commit = f"{random.getrandbits(32):08x}"
        target = url.format(event=event, delivery=delivery, number=number, commit=commit)
        with Connection(self.server.port, timeout_seconds=60) as connection:
            answer = connection.exchange(request_bytes("GET", target, {"Cookie": f"sessionid={self.cookie}"}))
        if answer.status != 200:
            raise RuntimeError(f"{target} was answered {answer.status}")
        return answer.seconds * 1_000


def main():
    """Measure, print the table, and exit."""
    options = parse_arguments()
    with tempfile.TemporaryDirectory(prefix="webhooklog-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with closing(PostgreSQLEngine(folder, site_environment(folder))) as engine:
            sites = [Site(engine, folder / str(size), size) for size in (options.short, options.long)]
            for site in sites:
                Path(folder / str(site.events)).mkdir()
                site.fill()
            slow = measure_all(sites, options)
    sys.exit(f"too slow: {', '.join(slow)}" if slow else 0)


def measure_all(sites, options):
    """Print a row for each page, and return the names of those that were too slow."""
    slow = []
    try:
        for site in sites:
            site.start()
        say(f"| page | {' | '.join(f'{site.events:,}: p50, p95 ms' for site in sites)} |\n|---|---|---|")
        for name, url in PAGES.items():
            figures = measure(sites, url, options, is_forgetful=name.endswith(COUNTED_ANEW))
            say(f"| {name} | {' | '.join(f'{p50:.1f}, {p95:.1f}' for p50, p95 in figures)} |")
            if figures[-1][1] >= _limit_of(name):
                slow.append(name)
    finally:
        for site in sites:
            site.end()
    return slow


def _limit_of(name):
    return INSIGHTS_LIMIT_MILLISECONDS if name.startswith(INSIGHTS) else LIMIT_MILLISECONDS


def measure(sites, url, options, *, is_forgetful):
    """Ask each site for a page in turns, and return the median and the 95th percentile of each."""
    random, times = Random(options.seed), {site.events: [] for site in sites}
    for number in range(WARM_UP + options.requests):
        for site in sites:
            if is_forgetful:
                site.forget_figures()
            taken = site.milliseconds(url, random)
            if number >= WARM_UP:
                times[site.events].append(taken)
    return [(statistics.median(taken), statistics.quantiles(taken, n=20)[-1]) for taken in times.values()]


def parse_arguments():
    """Return the options."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.bench_admin", description=__doc__)
    parser.add_argument("--short", type=int, default=10_000, metavar="N", help="events of the short log")
    parser.add_argument("--long", type=int, default=5_000_000, metavar="N", help="events of the long log")
    parser.add_argument("--requests", type=int, default=40, metavar="N", help="how often each page is asked for")
    parser.add_argument("--seed", type=int, default=1, help="the same seed asks for the same pages")
    return parser.parse_args()


if __name__ == "__main__":
    main()
