"""Send one event many times at once, and the versions of one in any order: one row each, the newest version."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from logs.circleci.samples import REFERENCE_TIME
from logs.circleci.samples.run import random_id
from tests.load.account import Account, require_statuses
from tests.load.engines import DELIVERIES, EVENTS
from tests.load.senders import signed_event
from tests.load.wire import Connection

CONNECTIONS = 64
MOST_STORED_DUPLICATES = 20  # The first and the newest ten; older ones are deleted at each tenth.
STORED_DUPLICATES = f"SELECT COUNT(*) FROM {DELIVERIES} WHERE outcome = 'duplicate' GROUP BY event_id"
VERSIONS = 8  # Of one cancelled workflow: the first, and one for each job that stopped after it.


def run(stage):
    """Play both halves on one site, and look at the rows."""
    count = stage.choose(short=30, full=1_000)
    random = stage.random("events")
    same = [[signed_event(random)] * CONNECTIONS for _ in range(count)]
    versions = [_versions_of_one_event(random) for _ in range(count)]
    with stage.site() as site:
        account = Account()
        _send_at_once(site.server.port, same, account)
        stage.tell("sending versions in random order")
        _send_at_once(site.server.port, _shuffled_rounds(random, versions), account)
        newest = {event.event_id: event.happened_at for events in same + versions for event in events[-1:]}
        _look_at_rows(stage.report, site.database, account, newest)
        stage.report.note("times the same event was sent over 64 connections at once", count)
        stage.report.note(f"workflows whose {VERSIONS} versions were sent in random order", count)
        stage.report.note("slowest answer, s", account.slowest_seconds())
        require_statuses(account, stage.report, allowed={200, 201})


def _versions_of_one_event(random):
    """Return the versions of a cancelled workflow, oldest first: each tells of a longer duration."""
    workflow_id = random_id(random)
    return [
        signed_event(
            random,
            status="canceled",
            workflow_id=workflow_id,
            duration_seconds=float(number),
            happened_at=REFERENCE_TIME + timedelta(seconds=number),
        )
        for number in range(VERSIONS)
    ]


def _shuffled_rounds(random, versions):
    """Return rounds that each hold all versions of several events, in random order."""
    rounds = []
    for start in range(0, len(versions), CONNECTIONS // VERSIONS):
        together = [event for events in versions[start : start + CONNECTIONS // VERSIONS] for event in events]
        random.shuffle(together)
        rounds.append(together)
    return rounds


def _send_at_once(port, rounds, account):
    """Send each round's events at one moment, each over a connection of its own."""
    barrier = threading.Barrier(CONNECTIONS)

    def send_share(number):
        with Connection(port) as connection:
            for events in rounds:
                barrier.wait(timeout=60)
                if number < len(events):
                    account.send(events[number], connection)

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(send_share, range(CONNECTIONS)))


def _look_at_rows(report, database, account, newest):
    rows = database.query(f"SELECT event_id, happened_at FROM {EVENTS}")
    counts = Counter(event_id for event_id, _ in rows)
    shown = {event_id: _aware(happened_at) for event_id, happened_at in rows}
    outcomes = dict(database.query(f"SELECT outcome, COUNT(*) FROM {DELIVERIES} GROUP BY outcome"))
    report.note("requests sent", len(account.attempts))
    report.require("events without a row", len(newest.keys() - counts.keys()), equal=0)
    report.require("events with more than one row", sum(count > 1 for count in counts.values()), equal=0)
    stale = sum(shown.get(event_id) != happened_at for event_id, happened_at in newest.items())
    report.require("rows that do not show the newest version", stale, equal=0)
    report.require("deliveries that say logged", outcomes.get("logged", 0), equal=len(newest))
    # Of an event's duplicates the log stores a few and counts all.
    ((duplicates,),) = database.query(f"SELECT SUM(duplicates) FROM {EVENTS}")
    bringing = sum(outcomes.get(outcome, 0) for outcome in ("logged", "updated"))
    report.require("deliveries stored or counted", bringing + duplicates, equal=len(account.attempts))
    most = max(count for (count,) in database.query(STORED_DUPLICATES))
    report.require("most stored duplicates of an event", most, at_most=MOST_STORED_DUPLICATES)


def _aware(happened_at):
    """Return a time as the witness read it; SQLite's is text in UTC."""
    moment = datetime.fromisoformat(str(happened_at))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
