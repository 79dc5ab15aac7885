"""The watch's tasks. This is the only module that knows all features that work in the background."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from threading import Event
from typing import Any

from django.conf import settings
from django.db import transaction

from logs.insights.counters import count_new
from logs.insights.counting import CountedElsewhere, backfill, count_again, coverage, refresh, sum_days, with_pauses
from logs.models.watch import ALARMS, FLAKY, FOLLOW, SOURCES
from logs.notifications import alarms, outbox, reminding
from logs.notifications.dispatching import Dispatcher
from logs.notifications.events import EventFollower
from logs.retention import delete_in_batches, rules
from logs.standings.flakes import FlakeFinder, drop_old_flakes
from logs.standings.following import Follower, drop_idle_standings
from logs.standings.judging import Judgement
from logs.standings.silence import SilenceCheck
from logs.standings.sources import SourceReader, drop_idle_sources
from logs.watch.leases import Lease

PRUNED_TOGETHER = 1_000  # Rows per transaction.
COUNTED_AGAIN_SECONDS = 5  # At a time.
REST = 19  # How many times as long as a count the pause after it is.


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Work that is repeated.

    `run` works in short steps. What a step has done stays done if the next one is never taken.
    """

    name: str
    run: Callable[[Lease], Iterator[object]]
    interval: timedelta = timedelta(days=1)
    at: time_of_day | None = None  # The time of day in UTC, for a daily task.
    wake: Event | None = None  # Set it to start the task early.
    stop: Callable[[Callable[[], Any]], None] = lambda _: None  # Is called with `beat` when the watch ends.

    def is_due(self, lease: Lease, now: datetime) -> bool:
        """Return whether the task should start now. Times in the future, before the clock was set back, do not count.

        A daily task that was interrupted starts again; one that has never ended waits (`Job`).
        """
        if self.wake and self.wake.is_set():
            return True
        if self.at is None:
            return lease.started_at is None or not timedelta(0) <= now - lease.started_at < self.interval
        if lease.finished_at is None:
            return False
        today = datetime.combine(now.astimezone(UTC), self.at, UTC)
        latest = today if today <= now else today - self.interval
        return not latest <= lease.finished_at <= now


def all_tasks() -> list[Task]:
    """Return the tasks that this site's settings ask for."""
    sending, reading = Sending(), Reading()
    tasks = [
        Task(name=FOLLOW, run=Follower(sending.enqueue).check, interval=timedelta(seconds=1)),
        Task(name="events", run=EventFollower(sending.start_soon).check, interval=timedelta(seconds=5)),
        Task(name="remind", run=sending.remind, interval=timedelta(minutes=1)),
        Task(name="send", run=sending.run, interval=timedelta(seconds=5), wake=sending.wake, stop=sending.stop),
        Task(name=SOURCES, run=reading.read_sources, interval=timedelta(seconds=10)),
        Task(name="counters", run=reading.count, interval=timedelta(minutes=10), wake=reading.wake),
        Task(name="silence", run=SilenceCheck().check, interval=timedelta(minutes=1)),
        Task(name=ALARMS, run=sending.check_alarms, interval=timedelta(minutes=1)),
        Task(name=FLAKY, run=FlakeFinder().check, interval=timedelta(seconds=10)),
        Task(name="rollup", run=Counting().run, interval=timedelta(minutes=1)),
        Task(name="forget", run=_forget, interval=timedelta(hours=1)),
    ]
    if settings.PRUNE_AT:
        tasks.append(Task(name="prune", run=_prune, at=settings.PRUNE_AT))
    return tasks


class Sending:
    """Adds notifications to the outbox and sends them."""

    def __init__(self) -> None:
        self._dispatcher = Dispatcher()
        self.wake = self._dispatcher.wake

    def enqueue(self, judgements: list[Judgement]) -> None:
        """Add notifications for some branches."""
        if outbox.enqueue(judgements):
            self.start_soon()

    def start_soon(self) -> None:
        """Send what was added as soon as the transaction is committed."""
        transaction.on_commit(self.wake.set)

    def remind(self, lease: Lease) -> Iterator[object]:
        """Add the reminders that are due."""
        for is_due in reminding.remind(lease):
            if is_due:
                self.wake.set()
            yield None

    def check_alarms(self, lease: Lease) -> Iterator[object]:
        """Open and close alarms; the messages about them are sent at once."""
        if alarms.check(lease):
            self.wake.set()
        yield None

    def run(self, lease: Lease) -> Iterator[object]:
        """Start to send what waits."""
        self.wake.clear()
        self._dispatcher.send_due()
        yield None

    def stop(self, beat: Callable[[], Any]) -> None:
        """Wait until the messages in flight are sent."""
        self._dispatcher.stop(beat)


class Reading:
    """Reads new deliveries for the sources, and then counts them for /metrics."""

    def __init__(self) -> None:
        self._sources = SourceReader()
        self.wake = Event()

    def read_sources(self, lease: Lease) -> Iterator[object]:
        """Update the sources. Only if there are deliveries, count them: an idle watch executes few statements."""
        for _ in self._sources.check(lease):
            self.wake.set()
            yield None

    def count(self, lease: Lease) -> Iterator[object]:
        """Count new deliveries, and new events, which a replay adds without a delivery."""
        self.wake.clear()
        yield from count_new()


class Counting:
    """Counts events for the dashboard, as `manage.py rollup` does, at most a twentieth of the time.

    Each count reads the whole current hour, and on SQLite it delays deliveries meanwhile.
    """

    def __init__(self) -> None:
        self._next_at = 0.0
        self._complete_from: datetime | None = None  # The first counted hour when no older hour was left to be counted.
        self._counted_again_on: date | None = None  # The day on which no hour of an older release was left.
        self._summed_on: date | None = None  # The day on which no earlier day was left to be summed.

    def run(self, lease: Lease) -> Iterator[object]:
        """Count the hours whose events have changed, hours that were never counted, and those of older releases."""
        started = time.monotonic()
        if started < self._next_at:
            return
        with suppress(CountedElsewhere):
            for counted in with_pauses(refresh()):
                self._complete_from = self._summed_on = None
                yield counted
            # After `rollup --anew`, there is another first hour.
            if self._complete_from is None or self._complete_from != _counted_from():
                yield from with_pauses(backfill())
                self._complete_from = _counted_from()
            today = datetime.now(UTC).date()
            if self._counted_again_on != today:
                for counted in with_pauses(count_again()):
                    yield counted
                    if time.monotonic() - started > COUNTED_AGAIN_SECONDS:
                        break  # Or new events would not be counted for long.
                else:
                    self._counted_again_on = today
                self._summed_on = None
            if self._summed_on != today:
                yield from with_pauses(sum_days())
                self._summed_on = today
        self._next_at = time.monotonic() + REST * (time.monotonic() - started)


def _counted_from() -> datetime | None:
    known = coverage()
    return known and known[0]


def _forget(lease: Lease) -> Iterator[object]:
    """End idle incidents, and drop what is no longer used: idle standings and sources, old flakes and messages."""
    yield from reminding.end_resting(lease)  # First: it needs the standings.
    yield from drop_idle_standings()
    yield from drop_idle_sources()
    yield from drop_old_flakes()
    outbox.expire_overdue()
    yield from outbox.delete_old()
    yield from alarms.delete_old()


def _prune(lease: Lease) -> Iterator[object]:
    """Apply retention, as `manage.py prune` does."""
    for rule in rules():
        if rule.limit:
            yield from delete_in_batches(rule.rows, size=PRUNED_TOGETHER)
