"""The figures of one workflow over time."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import F, IntegerField, QuerySet, Sum

from logs.circleci.vocabulary import BAD_STATUSES, FINISHED_STATUSES, GOOD_STATUSES
from logs.insights.buckets import quantile
from logs.insights.periods import BarNumber
from logs.insights.windows import Window
from logs.models import HourlyWorkflow
from logs.times import DAY, HOUR

STEPS = {"hour": HOUR, "day": DAY}
MOST_POINTS = 800


@dataclass(frozen=True, kw_only=True)
class Point:
    """The runs of a workflow in a step of a window."""

    since: datetime
    total_runs: int
    successful_runs: int
    failed_runs: int
    median: int | None  # Seconds, accurate to within 3%; None if no finished run has a known duration.
    p95: int | None


def read_series(sums: QuerySet[HourlyWorkflow], window: Window, step_name: str) -> tuple[list[Point], bool]:
    """Return a point for each step of a window, and whether older steps than the newest MOST_POINTS were left out.

    Args:
        sums: of one workflow, or of several together.
        window: their window.
        step_name: a name in STEPS. The first step starts with the window.
    """
    step = STEPS[step_name]
    left_out = max(0, -(-window.length // step) - MOST_POINTS)
    newest = Window(since=window.since + left_out * step, until=window.until)
    return read_points(sums.filter(newest.of_sums), newest, step), bool(left_out)


def read_points(sums: QuerySet[HourlyWorkflow], window: Window, step: timedelta) -> list[Point]:
    """Return a point for each step of a window, the oldest first, in one query; a step is at least an hour."""
    since, seconds = int(window.since.timestamp()), int(step.total_seconds())
    number = BarNumber(F("hour"), since=since, length=seconds, output_field=IntegerField())
    statuses: defaultdict[int, Counter[str]] = defaultdict(Counter)
    buckets: defaultdict[int, Counter[int]] = defaultdict(Counter)
    for at, status, bucket, count in sums.values_list(number, "status", "duration_bucket").annotate(Sum("count")):
        statuses[at][status] += count
        if bucket is not None and status in FINISHED_STATUSES:
            buckets[at][bucket] += count
    return [
        Point(
            since=window.since + at * step,
            total_runs=statuses[at].total(),
            successful_runs=sum(statuses[at][status] for status in GOOD_STATUSES),
            failed_runs=sum(statuses[at][status] for status in BAD_STATUSES),
            median=_whole(quantile(buckets[at], 0.5)),
            p95=_whole(quantile(buckets[at], 0.95)),
        )
        for at in range(-(-window.length // step))
    ]


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds)
