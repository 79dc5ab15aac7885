"""Kill the primary under load and promote its synchronous standby: nothing acknowledged is lost, and all goes on."""

import dataclasses
import json
import tempfile
import threading
import time
from base64 import b64decode
from contextlib import closing, suppress
from pathlib import Path

from tests.load.account import audit, digest, require_statuses
from tests.load.engines import DELIVERIES, PostgreSQLEngine
from tests.load.listeners import token
from tests.load.scenarios.database import probe, without_retry_after
from tests.load.scenarios.watches import BranchLoad, expected_changes, noted_changes
from tests.load.standby import Pair
from tests.load.wire import Broken, Connection, request_bytes, wait_until

CONNECTIONS = 16
PAUSE_SECONDS = 0.02  # Between two runs of a branch.
AWAY_SECONDS = 1
FIRST_201_SECONDS = 5.0
RETRY_SECONDS = 0.1


class Listener:
    """A client of the stream, which repeats what failed and goes on from its last cursor."""

    def __init__(self, port, key):
        self.keys, self.bodies = [], set()
        self.failures = 0
        self._port, self._headers = port, {"authorization": f"Bearer {key}"}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._listen)
        self._cursor = None

    def __enter__(self):
        with Connection(self._port, timeout_seconds=40) as connection:
            self._ask(connection, "now", wait_seconds=0)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()

    def _listen(self):
        with Connection(self._port, timeout_seconds=40) as connection:
            while not self._end.is_set():
                self._ask(connection, self._cursor, wait_seconds=1)

    def _ask(self, connection, after, wait_seconds):
        path, answer = f"/deliveries/stream?after={after}&wait={wait_seconds}", None
        with suppress(Broken):
            answer = connection.exchange(request_bytes("GET", path, self._headers))
        if answer is None or answer.status != 200:
            self.failures += 1
            self._end.wait(RETRY_SECONDS)
            return
        batch = json.loads(answer.body)
        self.keys += [delivery["id"] for delivery in batch["deliveries"]]
        self.bodies |= {digest(b64decode(delivery["body_base64"])) for delivery in batch["deliveries"]}
        self._cursor = batch["cursor"]


def run(stage):
    """Swap the servers' roles by failovers under one load, and audit the log, the changes and the stream."""
    if not isinstance(stage.engine, PostgreSQLEngine):
        stage.report.remark("not on SQLite, which has no standby.")
        return
    stage.tell("building the standby")
    with (
        tempfile.TemporaryDirectory(prefix="webhooklog-failover-", ignore_cleanup_errors=True) as name,
        closing(Pair(Path(name), stage.engine)) as pair,
    ):
        _fail_over(dataclasses.replace(stage, engine=pair), pair)


def _fail_over(stage, pair):
    report = stage.report
    with (
        stage.site(API_REQUESTS_PER_MINUTE="0") as site,
        Listener(site.server.port, token(site.server.environment)) as listener,
    ):
        load = BranchLoad(site.server.port, connections=CONNECTIONS, seed=stage.seed, pause_seconds=PAUSE_SECONDS)
        with load:
            _swap(stage, pair, site, load.account)
        stage.tell("waiting for the watch and the listener")
        account = load.account
        report.require("answered 503 meanwhile", account.statuses()[503], at_least=1)
        report.require("503 without Retry-After", without_retry_after(account), equal=0)
        report.require("slowest 503, s", account.slowest_seconds(503), at_most=2.0)
        require_statuses(account, report, allowed={200, 201, 503})
        report.require("tracebacks in the server's log", len(site.server.tracebacks()), equal=0)
        audit(account, site.database, report)
        _compare_changes(report, site.database)
        _compare_stream(report, site.database, account, listener)


def _swap(stage, pair, site, account):
    count, outages = stage.choose(short=1, full=10), []
    time.sleep(1)
    for number in range(count):
        stage.tell(f"failover {number + 1} of {count}")
        if number:
            pair.add_standby()
            time.sleep(1)
        outages.append(_one_failover(pair, site, account))
    report = stage.report
    report.note("failovers", count)
    others = sum(probes != (200, 503) for probes, *_ in outages)
    report.require("probes while away other than healthz 200, readyz 503", others, equal=0)
    slowest = max(first for _, first, _ in outages)
    report.require("longest from the promotion to the first 201, s", slowest, at_most=FIRST_201_SECONDS)
    report.note("longest from the promotion to the next state change, s", max(change for *_, change in outages))


def _one_failover(pair, site, account):
    """Return the probes' statuses while the primary is away, and the seconds to the first 201 and state change."""
    pair.primary.kill()
    time.sleep(AWAY_SECONDS)
    probes = probe(site.server.port, "/healthz"), probe(site.server.port, "/readyz")
    promoting = time.monotonic()
    pair.promote()
    noted = len(noted_changes(site.database))
    wait_until(lambda: account.first_logged_after(promoting) is not None, "a 201 after the promotion")
    wait_until(lambda: len(noted_changes(site.database)) > noted, "the watch notes a change")
    return probes, account.first_logged_after(promoting), time.monotonic() - promoting


def _compare_changes(report, database):
    """Require that the watch records each change of state once."""
    expected = expected_changes(database)
    with suppress(TimeoutError):
        wait_until(lambda: len(noted_changes(database)) >= len(expected), "the last change is noted")
    noted = noted_changes(database)
    report.require("state changes", len(expected), at_least=CONNECTIONS)
    report.require("state changes missing", len(set(expected) - set(noted)), equal=0)
    report.require("state changes too many", len(noted) - len(expected), equal=0)


def _compare_stream(report, database, account, listener):
    """Require that the stream showed each stored delivery once, in order, and each acknowledged event."""
    stored = [key for (key,) in database.query(f"SELECT id FROM {DELIVERIES} ORDER BY id")]
    with suppress(TimeoutError):
        wait_until(lambda: len(listener.keys) >= len(stored), "the stream shows the last delivery")
    report.note("requests of the stream that failed and were repeated", listener.failures)
    report.require("deliveries of the stream, in order and once", len(listener.keys), equal=len(stored))
    report.require("deliveries of the stream that differ from the log", int(listener.keys != stored), equal=0)
    missing = sum(account.sent[event_id] not in listener.bodies for event_id in account.acknowledged)
    report.require("acknowledged events that the stream did not show", missing, equal=0)
