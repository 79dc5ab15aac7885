"""How each workflow fares: its runs, its success rate, how long it takes, and which are the slowest.

A workflow is known by its project's slug and its own name; a project that was renamed keeps its slug.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import NamedTuple

from django.db.models import Max, Q, QuerySet, Sum

from logs.circleci.vocabulary import BAD_STATUSES, GOOD_STATUSES, Tone
from logs.insights.buckets import quantile
from logs.insights.periods import Period
from logs.insights.rates import Compared, success_rate
from logs.insights.totals import Bar, bars_of
from logs.models import HourlyWorkflow

SHOWN = 15
SHOWN_SLOWEST = 5
FEWEST_FOR_MEAN = 3

GOOD, BAD = (Q(status__in=statuses) for statuses in (GOOD_STATUSES, BAD_STATUSES))

Key = tuple[str, str]


class Sums(NamedTuple):
    """What the runs of a workflow come to in a period."""

    project_slug: str
    project: str
    workflow: str
    runs: int
    good: int
    bad: int
    timed: int  # Finished runs of which it is known how long they took,
    seconds: float  # and how long they did, together.

    @property
    def key(self) -> Key:
        """What tells it from other workflows."""
        return self.project_slug, self.workflow

    @property
    def mean_seconds(self) -> float:
        """How long a finished run took on average."""
        return self.seconds / self.timed if self.timed else 0.0


@dataclass(frozen=True, kw_only=True)
class WorkflowFigures:
    """A row of the table of workflows."""

    sums: Sums
    success_rate: Compared
    median_seconds: Compared
    bars: list[Bar]

    @property
    def bad_bars(self) -> int:
        """In how many parts of the period a run failed."""
        return sum(bar.counts[Tone.BAD] > 0 for bar in self.bars)


@dataclass
class Finished:
    """The finished runs of a workflow in a stretch of time."""

    good: int = 0
    bad: int = 0
    buckets: Counter[int] = field(default_factory=Counter)  # How many took how long, where that is known.

    def add(self, status: str, bucket: int | None, count: int) -> None:
        """Count runs of a status that took about the same time."""
        if status in GOOD_STATUSES:
            self.good += count
        else:
            self.bad += count
        if bucket is not None:
            self.buckets[bucket] += count


def read_sums(period: Period) -> list[Sums]:
    """Sum up each workflow that ran in a period, the one with the most runs first."""
    timed = (GOOD | BAD) & Q(duration_bucket__isnull=False)
    rows = (
        HourlyWorkflow.objects.filter(period.present)
        .values("project_slug", "workflow")
        .annotate(
            project=Max("project"),
            runs=Sum("count"),
            good=Sum("count", filter=GOOD, default=0),
            bad=Sum("count", filter=BAD, default=0),
            timed=Sum("count", filter=timed, default=0),
            seconds=Sum("seconds", filter=timed, default=0.0),
        )
        .order_by("-runs", "project_slug", "workflow")
    )
    # A tuple each, because there may be thousands.
    return [Sums._make(row) for row in rows.values_list(*Sums._fields)]


def slowest(sums: Iterable[Sums]) -> list[Sums]:
    """Return those that take longest on average, the slowest first; one that hardly ran is left out."""
    often = (each for each in sums if each.timed >= FEWEST_FOR_MEAN)
    return sorted(often, key=lambda each: each.mean_seconds, reverse=True)[:SHOWN_SLOWEST]


def look_closer(period: Period, sums: list[Sums]) -> list[WorkflowFigures]:
    """Look closer at the first of the given workflows."""
    shown = sums[:SHOWN]
    if not shown:
        return []
    rows = HourlyWorkflow.objects.filter(
        reduce(or_, (Q(project_slug=slug, workflow=workflow) for slug, workflow in (each.key for each in shown)))
    )
    finished, bars = _read_finished(period, rows), _read_bars(period, rows)
    return [_figures(each, *finished[each.key], bars_of(period, bars[each.key])) for each in shown]


def _figures(sums: Sums, now: Finished, before: Finished, bars: list[Bar]) -> WorkflowFigures:
    return WorkflowFigures(
        sums=sums,
        success_rate=Compared(now=success_rate(now.good, now.bad), before=success_rate(before.good, before.bad)),
        median_seconds=Compared(now=quantile(now.buckets, 0.5), before=quantile(before.buckets, 0.5)),
        bars=bars,
    )


def _read_finished(period: Period, rows: QuerySet[HourlyWorkflow]) -> defaultdict[Key, tuple[Finished, Finished]]:
    """Return the finished runs of each workflow in a period and in the time before."""
    finished: defaultdict[Key, tuple[Finished, Finished]] = defaultdict(lambda: (Finished(), Finished()))
    counted = (
        rows.filter(GOOD | BAD, hour__gte=period.compared_since)
        .values_list("project_slug", "workflow", "status", "duration_bucket")
        .annotate(
            now=Sum("count", filter=period.present, default=0), before=Sum("count", filter=period.past, default=0)
        )
    )
    for slug, workflow, status, bucket, now, before in counted:
        present, past = finished[slug, workflow]
        present.add(status, bucket, now)
        past.add(status, bucket, before)
    return finished


def _read_bars(period: Period, rows: QuerySet[HourlyWorkflow]) -> defaultdict[Key, defaultdict[int, Counter[Tone]]]:
    bars: defaultdict[Key, defaultdict[int, Counter[Tone]]]
    bars = defaultdict(lambda: defaultdict(Counter))
    counted = (
        rows.filter(period.present)
        .values_list("project_slug", "workflow", period.bar_number)
        .annotate(good=Sum("count", filter=GOOD, default=0), bad=Sum("count", filter=BAD, default=0), all=Sum("count"))
    )
    for slug, workflow, number, good, bad, every in counted:
        ends = bars[slug, workflow][number]
        ends[Tone.GOOD] += good
        ends[Tone.BAD] += bad
        ends[Tone.STOPPED] += every - good - bad
    return bars
