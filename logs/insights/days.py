"""The sums of complete days: with them, a week's figures need a row per workflow and day, however often it ran.

They are a cache. A day that is not summed is read by its hours, and counting an hour again removes its day.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from operator import or_

from django.db.models import Q, Sum

from logs.circleci.vocabulary import BAD_STATUSES, FINISHED_STATUSES, GOOD_STATUSES
from logs.models import DailyWorkflow, HourlyWorkflow, SummedDay
from logs.times import DAY, day_of

SUMMED_FOR = timedelta(days=15)  # The dashboard compares a week with the week before.


@dataclass(frozen=True, kw_only=True)
class Span:
    """A span of whole hours, and how to read it."""

    since: datetime
    until: datetime
    days: dict[datetime, int]  # The keys of the summed days in it, by their beginnings.

    @property
    def hours(self) -> Q:
        """Filter for the hourly sums of the rest."""
        gaps, start = [], self.since
        for day in sorted(self.days):
            gaps.append((start, day))
            start = day + DAY
        gaps.append((start, self.until))
        return reduce(or_, (Q(hour__gte=begin, hour__lt=end) for begin, end in gaps if begin < end), Q(hour=None))


def read_spans(*bounds: tuple[datetime, datetime]) -> list[Span]:
    """Return spans of whole hours with their summed days, in one query."""
    first, last = min(since for since, _ in bounds), max(until for _, until in bounds)
    known = dict(SummedDay.objects.filter(began_at__gte=first, began_at__lt=last).values_list("began_at", "pk"))
    return [
        Span(
            since=since,
            until=until,
            days={day: key for day, key in known.items() if since <= day and day + DAY <= until},
        )
        for since, until in bounds
    ]


def are_current(spans: Iterable[Span]) -> bool:
    """Return whether the spans' days are still summed: if not, what was read with them may lack a day."""
    keys = {key for span in spans for key in span.days.values()}
    return not keys or SummedDay.objects.filter(pk__in=keys).count() == len(keys)


def missing_days(first_counted: datetime, now: datetime) -> list[datetime]:
    """Return the complete days that are not summed, the newest first.

    Args:
        first_counted: the first counted hour.
        now: the current time.
    """
    today = day_of(now)
    oldest = max(today - SUMMED_FOR, day_of(first_counted - timedelta(microseconds=1)) + DAY)
    known = set(SummedDay.objects.filter(began_at__gte=oldest).values_list("began_at", flat=True))
    days = (today - number * DAY for number in range(1, SUMMED_FOR // DAY + 1))
    return [day for day in days if day >= oldest and day not in known]


def sum_day(began_at: datetime) -> None:
    """Add up a day's hours, and drop days that are too old to be read; must be called in a transaction."""
    SummedDay.objects.filter(began_at__lt=began_at - SUMMED_FOR).delete()
    day = SummedDay.objects.create(began_at=began_at)
    hours = HourlyWorkflow.objects.filter(hour__gte=began_at, hour__lt=began_at + DAY)
    found: defaultdict[int, DailyWorkflow] = defaultdict(
        lambda: DailyWorkflow(day=day, runs=0, good=0, bad=0, timed=0, seconds=0.0, buckets=Counter())
    )
    rows = hours.values_list("workflow_id", "status", "duration_bucket").annotate(Sum("count"), Sum("seconds"))
    for key, status, bucket, count, seconds in rows:
        workflow = found[key]
        workflow.workflow_id = key
        workflow.runs += count
        workflow.good += count if status in GOOD_STATUSES else 0
        workflow.bad += count if status in BAD_STATUSES else 0
        if bucket is not None and status in FINISHED_STATUSES:
            workflow.timed += count
            workflow.seconds += seconds
            workflow.buckets[bucket] += count
    DailyWorkflow.objects.bulk_create(found.values())


def drop_days(*, since: datetime, until: datetime) -> None:
    """Remove the sums of the days with any of these hours."""
    SummedDay.objects.filter(began_at__gte=day_of(since), began_at__lt=until).delete()
