"""Decide when a source is silent: it should have sent events by now, judged by its own rhythm of the last four weeks.

Each stretch is the time since the last delivery, moved back by some weeks and by up to an hour either way, because the
clocks may have changed. A source is silent only if it sent enough events in every stretch.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Q, Sum
from django.utils import timezone

from logs import conf
from logs.models import HourlyLag, Source, SourceState, WatchTask
from logs.models.watch import SOURCES
from logs.times import HOUR, hour_of
from logs.transactions import durable_transaction

WEEK = timedelta(weeks=1)
WEEKS = (1, 2, 3, 4)
SHIFTS = (-HOUR, timedelta(0), HOUR)
HISTORY = WEEK * len(WEEKS)  # Before a source has a history of this length, its silence is not judged.
LEAST_SILENT = 8  # Events in each stretch. Fewer could be chance.
LEAST_LATE = 3
BATCH_SIZE = 50

Hours = Mapping[datetime, int]  # The events of each hour, by the hour's beginning.
Stretch = tuple[datetime, datetime]  # The beginnings of its first hour and of the first hour after it.


def stretches(last_delivery_at: datetime, now: datetime) -> list[Stretch]:
    """Return the twelve stretches that correspond to the time since a source's last delivery.

    Only whole hours count. Events are counted by the hour, and part of an hour must never cause an alarm.
    """
    first, end = hour_of(last_delivery_at) + HOUR, hour_of(now)
    moves = [shift - week * WEEK for week in WEEKS for shift in SHIFTS]
    return [(first + move, end + move) for move in moves]


def state_of_quiet(last_delivery_at: datetime, now: datetime, hours: Hours) -> SourceState:
    """Return whether a source is silent, late or neither.

    Args:
        last_delivery_at: when its last delivery arrived.
        now: until when it has been quiet.
        hours: its events in the stretches; an hour without an entry has none.
    """
    least = min(_count(hours, stretch) for stretch in stretches(last_delivery_at, now))
    if least >= LEAST_SILENT:
        return SourceState.SILENT
    return SourceState.LATE if least >= LEAST_LATE else SourceState.UP


def judged_from(source: Source) -> datetime | None:
    """Return when a source has enough history for its silence to be judged; None if it has no signed event."""
    return source.first_event_at + HISTORY if source.project_slug and source.first_event_at else None


def is_judged(source: Source, now: datetime) -> bool:
    """Return whether a source has enough history for its silence to be judged."""
    since = judged_from(source)
    return since is not None and since <= now


def find_too_quiet(sources: Collection[Source], now: datetime) -> set[int]:
    """Return the primary keys of the sources that are Up, but had too few events in one of the last four weeks.

    One query. Do not pass more sources than a page shows.
    """
    up = {_key(source): source.pk for source in sources if source.state == SourceState.UP}
    end = hour_of(now)
    weeks = {f"week_{week}": Q(hour__gte=end - week * WEEK, hour__lt=end - (week - 1) * WEEK) for week in WEEKS}
    webhooks, slugs = {webhook for webhook, _ in up}, {slug for _, slug in up}
    sums = HourlyLag.objects.filter(
        webhook__in=webhooks, project_slug__in=slugs, hour__gte=end - HISTORY, hour__lt=end
    ).values_list("webhook", "project_slug")
    counts = sums.annotate(**{name: Sum("count", filter=week, default=0) for name, week in weeks.items()})
    busy = {(webhook, slug) for webhook, slug, *found in counts if min(found) >= LEAST_SILENT}
    return {pk for key, pk in up.items() if key not in busy}


class SilenceCheck:
    """Judges the sources that have been quiet for an hour, repeatedly.

    The result changes only when an hour ends, so each source is judged once per hour.
    """

    def __init__(self) -> None:
        self._judged: dict[int, Stretch] = {}  # Each source's hours of silence when it was last judged.

    def check(self, lease: object) -> Iterator[None]:
        """Update the states of the quiet sources; yield after each batch."""
        now = read_until()
        if now is None:
            return
        quiet = {source: stretches(source.last_delivery_at, now) for source in _quiet_sources(now)}
        due = [source for source, found in quiet.items() if self._judged.get(source.pk) != found[0]]
        for start in range(0, len(due), BATCH_SIZE):
            batch = due[start : start + BATCH_SIZE]
            _judge(batch, now, _read_hours({source: quiet[source] for source in batch}))
            yield
        self._judged = {source.pk: found[0] for source, found in quiet.items()}


def read_until() -> datetime | None:
    """Return the time until which all deliveries are known; None if there is no such time.

    After a break of the watch, the deliveries of the break must be read before anything counts as silent.
    """
    finished_at = WatchTask.objects.filter(name=SOURCES).values_list("last_finished_at", flat=True).first()
    return finished_at and min(finished_at, timezone.now())


def _quiet_sources(now: datetime) -> list[Any]:
    """Return the sources of configured webhooks that may be silent, but do not count as silent yet."""
    names = [webhook.name for webhook in conf.webhooks() if webhook.is_signed]
    judged = Source.objects.filter(webhook__in=names, first_event_at__lte=now - HISTORY).exclude(project_slug="")
    quiet = judged.filter(last_delivery_at__lte=now - HOUR).exclude(state=SourceState.SILENT)
    return list(quiet.order_by("pk"))


def _judge(sources: Sequence[Any], now: datetime, hours: Mapping[tuple[str, str], Hours]) -> None:
    states = {source: state_of_quiet(source.last_delivery_at, now, hours[_key(source)]) for source in sources}
    # Only a delivery makes a new source Up.
    changed = {
        source: state
        for source, state in states.items()
        if state == SourceState.SILENT or source.state not in (state, SourceState.NEW)
    }
    if not changed:
        return
    with durable_transaction():
        for source, state in changed.items():
            # Unless another process has read a delivery meanwhile.
            same = Source.objects.filter(pk=source.pk, last_delivery_at=source.last_delivery_at)
            same.update(state=state, state_since=timezone.now())


def _read_hours(wanted: Mapping[Source, Sequence[Stretch]]) -> defaultdict[tuple[str, str], dict[datetime, int]]:
    """Return the events of some sources by source and hour, in one query that reads little more than the stretches."""
    hours: defaultdict[tuple[str, str], dict[datetime, int]] = defaultdict(dict)
    ranges = [
        Q(webhook=source.webhook, project_slug=source.project_slug, hour__gte=first, hour__lt=end)
        for source, some in wanted.items()
        for first, end in _merged(some)
    ]
    if ranges:
        sums = HourlyLag.objects.filter(reduce(or_, ranges)).values_list("webhook", "project_slug", "hour")
        for webhook, project_slug, hour, count in sums.annotate(Sum("count")):
            hours[webhook, str(project_slug)][hour] = count
    return hours


def _merged(some: Sequence[Stretch]) -> Iterator[Stretch]:
    """Yield the stretches, those that overlap as one."""
    first, end = min(some)
    for next_first, next_end in sorted(some):
        if next_first > end:
            yield first, end
            first = next_first
        end = next_end
    yield first, end


def _key(source: Source) -> tuple[str, str]:
    return source.webhook, source.project_slug


def _count(hours: Hours, stretch: Stretch) -> int:
    first, end = stretch
    return sum(count for hour, count in hours.items() if first <= hour < end)
