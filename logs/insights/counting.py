"""Update the rollups: recount hours with new events, and count hours that were never counted.

Each hour is counted in its own transaction, which also records the progress, so counting may stop at any time. Several
processes may count at once: each locks the only row of `RollupState` while it counts an hour.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import chain, islice, pairwise
from typing import TypeVar

from django.db import DatabaseError, connection, transaction
from django.db.models import Max, Min
from django.db.models.functions import TruncHour
from django.utils import timezone

from logs.insights.days import missing_days, sum_day
from logs.insights.sums import CountedHour, drop_idle_workflows, drop_sums, newest_of_older_release, recount
from logs.models import HourlyStatus, RollupState, WorkflowEvent
from logs.models.events import SETTLED_AFTER
from logs.models.written import LogEnd, events_written_after, log_end
from logs.replica import on_primary
from logs.times import HOUR, hour_of
from logs.transactions import LOCK_PAUSE_SECONDS

logger = logging.getLogger(__name__)

MAX_AGE = timedelta(minutes=1)
MAX_HOURS_OF_A_PAGE = 6
# A log with at most this many events is counted each time a page is shown. All in one hour hold SQLite's write lock for
# 0.1 seconds.
SMALL_LOG = 3_000

COUNTED_AGAIN_FOR = timedelta(days=91)  # The longest named window of the insights, and a day to spare.
WORK_SECONDS = 0.1  # On SQLite, the time between pauses for waiting writers.

Step = TypeVar("Step")


class CountedElsewhere(Exception):
    """Another process is counting now."""


def coverage() -> tuple[datetime, datetime] | None:
    """Return the first counted hour and the time up to which all has been counted; None before the first count."""
    return RollupState.objects.values_list("counted_from", "counted_until").first()


def is_stale(age: timedelta = MAX_AGE) -> bool:
    """Return whether the last count is missing or older than `age`, or whether the clock has been set back since."""
    known, now = coverage(), timezone.now()
    return known is None or not now - age <= known[1] <= now + SETTLED_AFTER


@on_primary()
def refresh_if_stale() -> None:
    """Before a page is shown, count new events in at most MAX_HOURS_OF_A_PAGE hours; log database errors.

    The figures of a small log include every event. Those of a large log may be MAX_AGE old, because counting its
    current hour takes long.
    """
    try:
        is_small = WorkflowEvent.objects.order_by()[: SMALL_LOG + 1].count() <= SMALL_LOG
        if is_stale() or (is_small and has_uncounted()):
            steps = chain(refresh(), backfill()) if is_small else refresh()
            for _ in islice(steps, MAX_HOURS_OF_A_PAGE):
                pass
    except CountedElsewhere:
        pass
    except DatabaseError:
        logger.warning("the rollups could not be refreshed", exc_info=True)


def has_uncounted() -> bool:
    """Return whether the log has events that were not counted, even if the last count was just now.

    On PostgreSQL, this misses an event that was committed late, with a lower key; `is_stale` finds it a minute later.
    """
    state, end = RollupState.objects.first(), log_end()
    if state is None or state.complete_until < state.counted_until:
        return True
    counted = (state.last_event, state.last_delivery, state.last_attempt)
    if None not in counted and counted != (end.event, end.delivery, end.attempt):
        return True
    return WorkflowEvent.objects.filter(received_at__lt=state.counted_from).exists()


def refresh() -> Iterator[CountedHour]:
    """Recount each hour with an event written since the last count; yield each hour after its commit.

    Hours are ordered by their first uncounted write. When the caller stops, everything written before the next hour's
    first uncounted write has been counted and does not have to be read again.

    Raises:
        CountedElsewhere: another process is counting.
    """
    now = timezone.now()
    state, end = _begin(now), log_end()
    completed_until = state.complete_until
    # At most now: a timestamp from a clock that was ahead must not stop the counting until that time.
    since = _first_written(state, min(state.counted_until, now) - SETTLED_AFTER)
    is_in_order = since == state.counted_until - SETTLED_AFTER
    changed = WorkflowEvent.objects.filter(changed_at__gte=since).order_by()
    due = list(
        changed.values_list(TruncHour("received_at", tzinfo=UTC))
        .annotate(first=Min("changed_at"), last=Max("changed_at"))
        .order_by("first")
    )
    for number, ((hour, *_), (_, next_written_at, _)) in enumerate(pairwise([*due, (now, now, now)]), 1):
        with _locked_state() as state:
            if state.complete_until > completed_until and not has_uncounted():
                return  # Another process has counted everything meanwhile.
            counted = recount(hour)
            _set_counted(state, min(next_written_at + SETTLED_AFTER, now), end)
            # Hours written to within SETTLED_AFTER were counted before; they are recounted in case of late commits.
            counted_before = state.complete_until if is_in_order else since
            if all(last < counted_before for *_, last in due[number:]):
                state.complete_until = now
            state.save()
            completed_until = state.complete_until
        yield counted
    if not due:
        with _locked_state() as state:
            _set_counted(state, now, end)
            state.complete_until = now
            state.save()


def _first_written(state: RollupState, since: datetime) -> datetime:
    """Return the earliest time at which an uncounted event was written, or `since` if that is earlier.

    Events written after the last count can have times before `since` if a host's clock was set back or is behind.
    """
    if state.last_event is None or state.last_delivery is None or state.last_attempt is None:
        return since
    end = LogEnd(event=state.last_event, delivery=state.last_delivery, attempt=state.last_attempt)
    earlier = WorkflowEvent.objects.filter(changed_at__lt=since, pk__in=events_written_after(end))
    first: datetime | None = earlier.aggregate(first=Min("changed_at"))["first"]
    return first or since


def _set_counted(state: RollupState, until: datetime, end: LogEnd) -> None:
    """Record that all events written up to `until`, and before the log's `end`, have been counted."""
    state.counted_until = until
    state.last_event, state.last_delivery, state.last_attempt = end.event, end.delivery, end.attempt


def backfill() -> Iterator[CountedHour]:
    """Count the hours before the first counted hour, newest first; yield each hour after its commit.

    Raises:
        CountedElsewhere: another process is counting.
    """
    _begin(timezone.now())
    while counted := _count_older():
        yield counted


def count_again() -> Iterator[CountedHour]:
    """Recount the hours that a release without today's columns counted, newest first; yield each after its commit.

    Raises:
        CountedElsewhere: another process has called `forget`.
    """
    now = timezone.now()
    since, hour = now - COUNTED_AGAIN_FOR, now
    while older := newest_of_older_release(since=since, until=hour):
        hour = older
        with _locked_state():
            counted = recount(hour)
        yield counted


def sum_days() -> Iterator[None]:
    """Add up the complete days of the last two weeks that are not summed; yield after each commit.

    Raises:
        CountedElsewhere: another process has called `forget`.
    """
    known, now = coverage(), timezone.now()
    for day in missing_days(known[0], now) if known else []:
        with _locked_state() as state:
            if day in missing_days(state.counted_from, now):
                sum_day(day)
        yield


def forget() -> None:
    """Mark all hours as not counted; each hour's sums stay until `backfill` recounts the hour."""
    RollupState.objects.all().delete()


def hours_to_count() -> int:
    """Return the number of hours between the oldest event and the first counted hour, for a progress bar."""
    known = coverage()
    oldest = WorkflowEvent.objects.order_by("received_at", "pk").values_list("received_at", flat=True).first()
    return max(0, (known[0] - hour_of(oldest)) // HOUR) if known and oldest else 0


def with_pauses(steps: Iterator[Step]) -> Iterator[Step]:
    """Yield each step; on SQLite, which has one writer at a time, pause regularly so that deliveries can be written."""
    rested_at = time.monotonic()
    for counted in steps:
        yield counted
        if connection.vendor == "sqlite" and time.monotonic() - rested_at > WORK_SECONDS:
            time.sleep(LOCK_PAUSE_SECONDS)
            rested_at = time.monotonic()


def _begin(now: datetime) -> RollupState:
    """Return the state, created without counted hours the first time; raise CountedElsewhere if it is locked."""
    with transaction.atomic(durable=True):
        known = RollupState.objects.select_for_update(skip_locked=True).first()
        if known is not None:
            return known
        # The primary key lets only one of two simultaneous processes create the row. `refresh` also finds the current
        # hour's events, so a page can show them before `rollup` has run.
        begun = hour_of(now)
        nothing = {"counted_from": begun + HOUR, "counted_until": begun, "complete_until": begun}
        state, is_new = RollupState.objects.get_or_create(pk=1, defaults=nothing)
        if not is_new:
            raise CountedElsewhere
    return state


@contextmanager
def _locked_state() -> Iterator[RollupState]:
    """Open a transaction in which no other process counts; wait for any process that is counting.

    Raises:
        CountedElsewhere: another process has called `forget`.
    """
    with transaction.atomic(durable=True):
        state = RollupState.objects.select_for_update().first()
        if state is None:
            raise CountedElsewhere
        yield state


def _count_older() -> CountedHour | None:
    with _locked_state() as state:
        older = WorkflowEvent.objects.filter(received_at__lt=state.counted_from).newest_first()
        newest = older.values_list("received_at", flat=True).first()
        if newest is None:
            _finish(state)
            return None
        hour = hour_of(newest)
        drop_sums(since=hour + HOUR, until=state.counted_from)
        counted = recount(hour)
        state.counted_from = hour
        state.save()
    return counted


def _finish(state: RollupState) -> None:
    """Drop the sums of events that no longer exist; keep the sums of events that retention deleted."""
    drop_sums(until=state.counted_from)
    drop_idle_workflows()
    oldest = HourlyStatus.objects.aggregate(hour=Min("hour"))["hour"] or hour_of(timezone.now())
    if oldest < state.counted_from:
        state.counted_from = oldest
        state.save()
