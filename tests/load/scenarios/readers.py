"""Read a long log while events arrive: by pages and in streams each event once, and streams in bounded memory."""

import csv
import gzip
import io
import itertools
import json
import re
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

from logs.circleci import samples
from logs.circleci.payload import read_event
from logs.circleci.samples.run import random_id
from tests.load.engines import EVENTS, manage
from tests.load.senders import Load
from tests.load.wire import HOST, Broken, Connection, request_bytes

PATH = "/fetch-webhooks-logs"
LIMIT = 500
SENDERS = 4
PAUSE_SECONDS = 0.02  # Between two events of one sender.
CIRCLECI_WAITS_SECONDS = 10.0

BEGINNING = samples.REFERENCE_TIME - timedelta(days=300)
KINDS = 500  # Of events; the history repeats them.
PERIOD = 10_000  # Rows of the history; the first ones of each period share a moment, and fill more than a page.
SHARING_A_MOMENT = 2 * LIMIT
BATCH = 50_000  # Rows inserted at once.

GROWTH_MAX_MIB = {"short": 40.0, "full": 50.0}  # Of a worker. All events of the short form in memory are over 50.
SAMPLE_SECONDS = 0.5
WARM_UP_EXPORTS = 16  # At once, so that each worker has some of them.
# About a hundred in either form: many would take memory that an export of everything could then use unseen.
FEW = f"&status=failed&received_before={BEGINNING + timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A question, as a reader asks it and as the witness does, and the order of the answer."""

    query: str = ""
    where: str = "TRUE"
    column: str = "received_at"
    descending: bool = True


READINGS = {
    "newest first": Reading(),
    "oldest first": Reading(query="ordering=received_at", descending=False),
    "longest first": Reading(query="ordering=-duration", column="duration_seconds"),
    "failed": Reading(query="status=failed", where="status = 'failed'"),
    # No index leads to these, so that pages are short.
    "unverified, by API": Reading(query="trigger=api&verified=false", where="\"trigger\" = 'api' AND NOT verified"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """A format to export everything in."""

    name: str
    query: str
    ids_of: Any  # Takes lines, and yields the events' ids.
    is_compressed: bool = False  # On its way.


# fmt: off
EXPORTS = [
    Export(name="CSV", query="format=csv", ids_of=lambda lines: (row["id"] for row in csv.DictReader(lines))),
    Export(name="JSON lines, compressed", query="format=ndjson", is_compressed=True,
           ids_of=lambda lines: (json.loads(line)["id"] for line in lines)),
]
# fmt: on


def run(stage):
    """Follow the pages of a long log, then export a longer one; honest senders go on all the while."""
    random = stage.random("history")
    kinds = [asdict(read_event(samples.encode(samples.random_event(random)))) for _ in range(KINDS)]
    history = _history(random, kinds)
    with stage.site(API_REQUESTS_PER_MINUTE="0") as site:
        client = Client(site.server.port, _token(site.server.environment))
        _fill(stage, site.database, history, stage.choose(short=5_000, full=100_000))
        with _senders(stage, site, "pages"):
            _follow_all(stage, site, client)
        _fill(stage, site.database, history, stage.choose(short=20_000, full=1_000_000))
        # What the pages took for good would hide what an export takes.
        site.server.kill()
        site.server.start()
        site.server.wait_until_serving()
        with _senders(stage, site, "exports"):
            _export_all(stage, site, client)
        stage.report.require("tracebacks in the server's log", len(site.server.tracebacks()), equal=0)


def _history(random, kinds):
    """Yield rows without end, in the order of arrival; about half of them share the moment of the one before."""
    moment = BEGINNING
    for number in itertools.count():
        if number % PERIOD > SHARING_A_MOMENT and random.random() < 0.5:
            moment += timedelta(seconds=random.uniform(0, 30))
        seconds = round(random.uniform(0, 900), 1)
        yield random.choice(kinds) | {
            "event_id": random_id(random),
            "happened_at": moment - timedelta(seconds=1),
            "received_at": moment,
            "duration_seconds": seconds if seconds > 10 else None,
            "verified": random.random() > 0.02,
        }


def _fill(stage, database, history, count):
    """Let the log hold so many events."""
    for start in range(len(_ids_there(database)), count, BATCH):
        stage.tell(f"filling the log, {start} of {count}")
        database.insert(EVENTS, list(itertools.islice(history, min(BATCH, count - start))))


def _ids_there(database, where="TRUE"):
    return {event_id for (event_id,) in database.query(f"SELECT event_id FROM {EVENTS} WHERE {where}")}


def _token(environment):
    """Return a token of somebody who may read."""
    password = {"DJANGO_SUPERUSER_PASSWORD": "nobody-signs-in-with-it"}
    manage(environment | password, "createsuperuser", "--noinput", "--username=reader", "--email=reader@acme.example")
    return manage(environment, "create_token", "reader", "--name=torture").strip()


@contextmanager
def _senders(stage, site, purpose):
    """Let honest senders write all the while, and require that each was answered in time."""
    port, seed = site.server.port, f"{stage.seed} {purpose}"
    with Load(port, connections=SENDERS, seed=seed, pause_seconds=PAUSE_SECONDS, retry=False) as load:
        yield
    account, report = load.account, stage.report
    on_time = sum(a.status == 201 and a.seconds <= CIRCLECI_WAITS_SECONDS for a in account.attempts)
    report.require(f"{purpose}: events written meanwhile", on_time, at_least=1)
    report.require(f"{purpose}: deliveries without a 201 within 10 s", len(account.attempts) - on_time, equal=0)
    report.note(f"{purpose}: slowest delivery, s", account.slowest_seconds())


class Client:
    """Reads the log by a token."""

    def __init__(self, port, token):
        self._port = port
        self._headers = {"authorization": f"Bearer {token}"}

    def follow(self, query):
        """Return the answers along ``Link``: to the last page, to one that was seen, or to one that is not 200.

        Raises:
            RuntimeError: there was no answer.
        """
        path, answers = f"{PATH}?limit={LIMIT}&{query}".rstrip("&"), {}
        with Connection(self._port) as connection:
            while path and path not in answers:
                try:
                    answers[path] = connection.exchange(request_bytes("GET", path, self._headers))
                except Broken as error:
                    raise RuntimeError(f"{path}: {error}") from error
                path = _next_path(answers[path])
        return list(answers.values())

    @contextmanager
    def export(self, export, filters=""):
        """Give an export as a file of text.

        Raises:
            RuntimeError: it was not answered 200, or broke off.
        """
        headers = self._headers | ({"accept-encoding": "gzip"} if export.is_compressed else {})
        try:
            with closing(HTTPConnection(HOST, self._port, timeout=60)) as connection:
                connection.request("GET", f"{PATH}?{export.query}{filters}", headers=headers)
                answer = connection.getresponse()
                if answer.status != 200:
                    raise RuntimeError(f"{export.name}: answered {answer.status}")
                plain = gzip.GzipFile(fileobj=answer) if export.is_compressed else answer
                yield io.TextIOWrapper(plain, encoding="utf-8", newline="")
        except (OSError, EOFError, HTTPException) as error:
            raise RuntimeError(f"{export.name}: {error!r}") from error


def _next_path(answer):
    found = re.search(r'<([^>]*)>; rel="next"', answer.headers.get("Link", ""))
    return found and "{0.path}?{0.query}".format(urlsplit(found[1]))


def _follow_all(stage, site, client):
    report, faults, slowest = stage.report, Counter(), 0.0
    for name, reading in READINGS.items():
        stage.tell(f"following the pages, {name}")
        there = _ids_there(site.database, reading.where)
        answers = client.follow(reading.query)
        rows = [row for answer in answers if answer.status == 200 for row in json.loads(answer.body)]
        report.note(f"{name}: events there before", len(there))
        report.note(f"{name}: pages", len(answers))
        report.note(f"{name}: events seen", len(rows))
        slowest = max(slowest, *(answer.seconds for answer in answers))
        found = _missed_and_doubled(there, Counter(row["id"] for row in rows))
        found["out of order"] = _count_disorder(rows, reading)
        found["answers other than 200"] = sum(answer.status != 200 for answer in answers)
        _add_faults(faults, found, name, report)
    report.note("pages: slowest, s", slowest)
    for what, count in faults.items():
        report.require(f"pages: {what}", count, equal=0)


def _missed_and_doubled(there, seen):
    """Return how many of the ids that were there before a reading are not in it, and how many ids are in it twice."""
    return {
        "missed: there before, but not seen": len(there - seen.keys()),
        "doubled: seen more than once": sum(count > 1 for count in seen.values()),
    }


def _add_faults(faults, found, name, report):
    faults.update(found)
    if any(found.values()):
        report.remark(f"{name}: {found}")


def _count_disorder(rows, reading):
    keys = [_key(row[reading.column]) for row in rows]
    pairs = itertools.pairwise(keys if reading.descending else reversed(keys))
    return sum(key < next_key for key, next_key in pairs)


def _key(value):
    """Return what orders a column's values; a missing one is less than any other."""
    if isinstance(value, str):
        return datetime.fromisoformat(value)
    return -1.0 if value is None else value


def _export_all(stage, site, client):
    _warm_up(client)
    report, faults, before = stage.report, Counter(), site.server.worker_memory_mib()
    for export in EXPORTS:
        stage.tell(f"exporting {export.name}")
        there, arrived, started = _ids_there(site.database), Counter(), time.monotonic()
        with _watched_memory(site.server, before) as growth, client.export(export) as lines:
            seen = Counter(export.ids_of(_counted(lines, arrived)))
        report.note(f"{export.name}: events there before", len(there))
        report.note(f"{export.name}: events received", seen.total())
        report.note(f"{export.name}: bytes", arrived["bytes"])
        report.note(f"{export.name}: seconds", time.monotonic() - started)
        growth_max_mib = stage.choose(**GROWTH_MAX_MIB)
        report.require(f"{export.name}: growth of a worker, MiB", growth[0], at_most=growth_max_mib)
        _add_faults(faults, _missed_and_doubled(there, seen), export.name, report)
    for what, count in faults.items():
        report.require(f"exports: {what}", count, equal=0)
    report.note("exports: memory of the workers before, MiB", " / ".join(f"{mib:.0f}" for mib in before.values()))


def _warm_up(client):
    """Export a little over several connections at once, so that code and caches are in each worker's memory."""

    def export_little(number):
        with client.export(EXPORTS[number % len(EXPORTS)], FEW) as lines:
            lines.read()

    with ThreadPoolExecutor(WARM_UP_EXPORTS) as pool:
        list(pool.map(export_little, range(WARM_UP_EXPORTS)))


def _counted(lines, arrived):
    for line in lines:
        arrived["bytes"] += len(line.encode())
        yield line


@contextmanager
def _watched_memory(server, before):
    """Sample the workers' memory; give a list whose one number is by how many MiB a worker has grown at most."""
    growth, stop = [0.0], threading.Event()

    def watch():
        while not stop.wait(SAMPLE_SECONDS):
            now = server.worker_memory_mib()
            growth[0] = max(growth[0], *(mib - before.get(pid, 0) for pid, mib in now.items()))

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        try:
            yield growth
        finally:
            stop.set()
    watching.result()
