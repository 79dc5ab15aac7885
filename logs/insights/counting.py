"""Keep the rollups: count what was written since the last time, and go back to what was never counted.

Each hour is counted in a transaction of its own, which also notes how far the counting has come, so that it may be
stopped at any time. Several processes may count at once: they lock the one row of `RollupState` for each hour.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

from django.db import DatabaseError, connection, transaction
from django.db.models import Max, Min
from django.db.models.functions import TruncHour
from django.utils import timezone

from logs.insights.standings import add_standings, update_standings
from logs.insights.sums import HOUR, CountedHour, arrived_in, drop_idle_workflows, drop_sums, hour_of, recount
from logs.models import HourlyStatus, RollupState, Standing, WorkflowEvent
from logs.models.events import SETTLED_AFTER
from logs.models.written import LogEnd, events_written_after, log_end
from logs.transactions import LOCK_PAUSE_SECONDS

logger = logging.getLogger(__name__)

MAX_AGE = timedelta(minutes=1)
MAX_HOURS_OF_A_PAGE = 6

WORK_SECONDS = 0.1  # On SQLite, from one pause for waiting writers to the next.


class CountedElsewhere(Exception):
    """Another process is counting at this moment."""


def coverage() -> tuple[datetime, datetime] | None:
    """Return the first hour that is counted, and until when everything is; None before the first time."""
    return RollupState.objects.values_list("counted_from", "counted_until").first()


def is_stale(age: timedelta = MAX_AGE) -> bool:
    """Whether the last count is older than `age`, there was none, or the clock has been set back since."""
    known, now = coverage(), timezone.now()
    return known is None or not now - age <= known[1] <= now + SETTLED_AFTER


def refresh_if_stale() -> None:
    """Count for a page what was written in the meantime, within bounds; what fails is logged, and the page goes on."""
    try:
        if is_stale():
            for _ in islice(refresh(), MAX_HOURS_OF_A_PAGE):
                pass
    except CountedElsewhere:
        pass
    except DatabaseError:
        logger.warning("the rollups could not be refreshed", exc_info=True)


def refresh() -> Iterator[CountedHour]:
    """Count each hour anew of which an event was written since the last time; yield each, once it is committed.

    The hours come in the order in which they were written to first, so that all that was written before the next one is
    counted and need not be looked at again, wherever the caller stops.

    Raises:
        CountedElsewhere: another process is at it.
    """
    now = timezone.now()
    state, end = _begin(now), log_end()
    # Not later than now: a clock that was wrong must not stop the counting until then.
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
            counted = recount(hour)
            update_standings(arrived_in(hour).filter(changed_at__gte=since))
            _set_counted(state, min(next_written_at + SETTLED_AFTER, now), end)
            # The hours of the margin were counted before; they are looked at again for what was committed late.
            counted_before = state.complete_until if is_in_order else since
            if all(last < counted_before for *_, last in due[number:]):
                state.complete_until = now
            state.save()
        yield counted
    if not due:
        with _locked_state() as state:
            _set_counted(state, now, end)
            state.complete_until = now
            state.save()


def _first_written(state: RollupState, since: datetime) -> datetime:
    """Return the earliest time at which an uncounted event was written, or `since` if that is earlier.

    Events that are written later can have times before `since`, if a clock was set back or another host's is slow.
    """
    if state.last_event is None or state.last_delivery is None or state.last_attempt is None:
        return since
    end = LogEnd(event=state.last_event, delivery=state.last_delivery, attempt=state.last_attempt)
    earlier = WorkflowEvent.objects.filter(changed_at__lt=since, pk__in=events_written_after(end))
    first: datetime | None = earlier.aggregate(first=Min("changed_at"))["first"]
    return first or since


def _set_counted(state: RollupState, until: datetime, end: LogEnd) -> None:
    """Record that all events written up to a time, and before an end of the log, are counted."""
    state.counted_until = until
    state.last_event, state.last_delivery, state.last_attempt = end.event, end.delivery, end.attempt


def backfill() -> Iterator[CountedHour]:
    """Count the hours before the first one that is counted, the newest first; yield each, once it is committed.

    Raises:
        CountedElsewhere: another process is at it.
    """
    _begin(timezone.now())
    while counted := _count_older():
        yield counted


def forget() -> None:
    """Begin anew: all hours are still to be counted; the sums of each stay until `backfill` comes to it."""
    with transaction.atomic(durable=True):
        RollupState.objects.all().delete()
        Standing.objects.all().delete()


def hours_to_count() -> int:
    """Return how many hours lie between the oldest event and the first hour that is counted; for a progress bar."""
    known = coverage()
    oldest = WorkflowEvent.objects.order_by("received_at", "pk").values_list("received_at", flat=True).first()
    return max(0, (known[0] - hour_of(oldest)) // HOUR) if known and oldest else 0


def with_pauses(steps: Iterator[CountedHour]) -> Iterator[CountedHour]:
    """Yield the same, with pauses in which deliveries can be written where the database has one writer at a time."""
    rested_at = time.monotonic()
    for counted in steps:
        yield counted
        if connection.vendor == "sqlite" and time.monotonic() - rested_at > WORK_SECONDS:
            time.sleep(LOCK_PAUSE_SECONDS)
            rested_at = time.monotonic()


def _begin(now: datetime) -> RollupState:
    """Return the state; the first time, make one by which all hours that have begun are still to be counted.

    Raises:
        CountedElsewhere: another process is at it.
    """
    with transaction.atomic(durable=True):
        known = RollupState.objects.select_for_update(skip_locked=True).first()
        if known is not None:
            return known
        # Of two that begin at once, the primary key lets one make the row. The current hour's events are found by
        # `refresh` too, so that a page can show them before anybody has run the command.
        begun = hour_of(now)
        nothing = {"counted_from": begun + HOUR, "counted_until": begun, "complete_until": begun}
        state, is_new = RollupState.objects.get_or_create(pk=1, defaults=nothing)
        if not is_new:
            raise CountedElsewhere
    return state


@contextmanager
def _locked_state() -> Iterator[RollupState]:
    """Open a transaction in which nobody else counts, waiting for who does.

    Raises:
        CountedElsewhere: another process begins anew.
    """
    with transaction.atomic(durable=True):
        state = RollupState.objects.select_for_update().first()
        if state is None:
            raise CountedElsewhere
        yield state


def _count_older() -> CountedHour | None:
    with _locked_state() as state:
        older = WorkflowEvent.objects.filter(received_at__lt=state.counted_from).newest_first()
        moment = older.values_list("received_at", flat=True).first()
        if moment is None:
            _finish(state)
            return None
        hour = hour_of(moment)
        drop_sums(since=hour + HOUR, until=state.counted_from)
        counted = recount(hour)
        add_standings(arrived_in(hour))
        state.counted_from = hour
        state.save()
    return counted


def _finish(state: RollupState) -> None:
    """Drop what was counted of events that are gone, save those that retention has removed: their sums stay."""
    drop_sums(until=state.counted_from)
    drop_idle_workflows()
    oldest = HourlyStatus.objects.aggregate(hour=Min("hour"))["hour"] or hour_of(timezone.now())
    if oldest < state.counted_from:
        state.counted_from = oldest
        state.save()
