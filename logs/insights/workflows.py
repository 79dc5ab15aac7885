"""Figures for workflows: runs, success rates and durations, and the slowest workflows."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.db.models import Case, F, Q, QuerySet, Sum, When

from logs.circleci.vocabulary import BAD_STATUSES, GOOD_STATUSES, Tone
from logs.insights.buckets import quantile
from logs.insights.charts import HasBars
from logs.insights.days import Span, are_current, read_spans
from logs.insights.periods import Period
from logs.insights.rates import Compared, success_rate
from logs.insights.totals import Bar, bars_of
from logs.models import DailyWorkflow, HourlyWorkflow, Workflow
from logs.replica import reading_connection

SHOWN = 15
SHOWN_SLOWEST = 5
FEWEST_FOR_MEAN = 3

GOOD, BAD = (Q(status__in=statuses) for statuses in (GOOD_STATUSES, BAD_STATUSES))

_BUSIEST = f"""
    SELECT workflow_id, SUM(runs) FROM ({{sums}}) AS sums GROUP BY workflow_id ORDER BY 2 DESC, 1 LIMIT {SHOWN + 1}
"""  # noqa: S608 - numbers only
_SLOWEST = f"""
    SELECT workflow_id, SUM(timed), SUM(spent) / SUM(timed) FROM ({{sums}}) AS sums GROUP BY workflow_id
    HAVING SUM(timed) >= {FEWEST_FOR_MEAN} ORDER BY 3 DESC, 1 LIMIT {SHOWN_SLOWEST}
"""  # noqa: S608


@dataclass(frozen=True, kw_only=True)
class SlowWorkflow:
    """One of the slowest workflows."""

    workflow: Workflow
    runs: int  # Finished runs with a known duration.
    mean_seconds: float


@dataclass(frozen=True, kw_only=True)
class BusyWorkflow(HasBars):
    """A row in the workflows table."""

    workflow: Workflow
    runs: int
    bad: int  # Failed runs.
    success_rate: Compared
    median_seconds: Compared


@dataclass(frozen=True, kw_only=True)
class Workflows:
    """The busiest and the slowest workflows of a period."""

    busiest: list[BusyWorkflow]  # Most runs first.
    has_more: bool
    slowest: list[SlowWorkflow]


@dataclass
class Finished:
    """The finished runs of a workflow in a period."""

    good: int = 0
    bad: int = 0
    buckets: Counter[int] = field(default_factory=Counter)  # Runs with a known duration, by duration bucket.

    def add(self, status: str, bucket: int | None, count: int) -> None:
        """Add the count of runs with one status and duration bucket; `bucket` is None if the duration is unknown."""
        if status in GOOD_STATUSES:
            self.good += count
        else:
            self.bad += count
        if bucket is not None:
            self.buckets[bucket] += count

    def add_day(self, good: int, bad: int, buckets: Mapping[str, int]) -> None:
        """Add the counts of a day."""
        self.good += good
        self.bad += bad
        self.buckets.update({int(bucket): count for bucket, count in buckets.items()})


def read_workflows(period: Period, workflows: QuerySet[Workflow] | None = None) -> Workflows:
    """Return the figures of the workflows that ran in a period, of all or only of these."""
    present, past = read_spans((period.since, period.until), (period.compared_since, period.compared_until))
    found = _read_workflows(period, workflows, present, past)
    if are_current([present, past]):
        return found
    # An hour of these days has just been counted again.
    return _read_workflows(period, workflows, replace(present, days={}), replace(past, days={}))


def _read_workflows(period: Period, workflows: QuerySet[Workflow] | None, present: Span, past: Span) -> Workflows:
    busiest, slowest = _fetch(_BUSIEST, present, workflows), _fetch(_SLOWEST, present, workflows)
    known = Workflow.objects.in_bulk([pk for pk, *_ in busiest + slowest])
    keys = [pk for pk, _ in busiest[:SHOWN]]
    finished = _read_finished(period, keys, present, past)
    bars = read_workflow_bars(period, HourlyWorkflow.objects.all(), keys)
    return Workflows(
        busiest=[_figures(known[pk], runs, *finished[pk], bars_of(period, bars[pk])) for pk, runs in busiest[:SHOWN]],
        has_more=len(busiest) > SHOWN,
        slowest=[SlowWorkflow(workflow=known[pk], runs=runs, mean_seconds=mean) for pk, runs, mean in slowest],
    )


def _fetch(statement: str, span: Span, workflows: QuerySet[Workflow] | None) -> list[Any]:
    """Return the rows of a statement that groups a span's sums by workflow."""
    is_timed = (GOOD | BAD) & Q(duration_bucket__isnull=False)
    hours = HourlyWorkflow.objects.filter(span.hours).values(
        "workflow_id",
        runs=F("count"),
        timed=Case(When(is_timed, then=F("count")), default=0),
        spent=Case(When(is_timed, then=F("seconds")), default=0.0),
    )
    days = DailyWorkflow.objects.filter(day__in=span.days.values()).values(
        "workflow_id", "runs", "timed", spent=F("seconds")
    )
    parts = [rows if workflows is None else rows.filter(workflow__in=workflows) for rows in (hours, days)]
    compiled = [rows.query.sql_with_params() for rows in (parts if span.days else parts[:1])]
    with reading_connection().cursor() as cursor:
        cursor.execute(
            statement.format(sums=" UNION ALL ".join(sql for sql, _ in compiled)),
            [value for _, values in compiled for value in values],
        )
        rows: list[Any] = cursor.fetchall()
    return rows


def _figures(workflow: Workflow, runs: int, now: Finished, before: Finished, bars: list[Bar]) -> BusyWorkflow:
    return BusyWorkflow(
        workflow=workflow,
        runs=runs,
        bad=now.bad,
        success_rate=Compared(now=success_rate(now.good, now.bad), before=success_rate(before.good, before.bad)),
        median_seconds=Compared(now=quantile(now.buckets, 0.5), before=quantile(before.buckets, 0.5)),
        bars=bars,
    )


def _read_finished(
    period: Period, keys: Sequence[int], present: Span, past: Span
) -> defaultdict[int, tuple[Finished, Finished]]:
    """Return the finished runs of some workflows in a period and in the previous period."""
    finished: defaultdict[int, tuple[Finished, Finished]] = defaultdict(lambda: (Finished(), Finished()))
    counted = (
        HourlyWorkflow.objects.filter(GOOD | BAD, present.hours | past.hours, workflow__in=keys)
        .values_list("workflow_id", "status", "duration_bucket")
        .annotate(
            now=Sum("count", filter=period.present, default=0), before=Sum("count", filter=period.past, default=0)
        )
    )
    for pk, status, bucket, now, before in counted:
        for some, count in zip(finished[pk], (now, before), strict=True):
            some.add(status, bucket, count)
    for index, span in enumerate((present, past)):
        days = DailyWorkflow.objects.filter(day__in=span.days.values(), workflow__in=keys)
        for pk, good, bad, buckets in days.values_list("workflow_id", "good", "bad", "buckets"):
            finished[pk][index].add_day(good, bad, buckets)
    return finished


def read_workflow_bars(
    period: Period, rows: QuerySet[HourlyWorkflow], keys: Iterable[int]
) -> defaultdict[int, defaultdict[int, Counter[Tone]]]:
    """Return some workflows' runs in a period by tone: good, bad or stopped; keyed by workflow and by bar number."""
    bars: defaultdict[int, defaultdict[int, Counter[Tone]]]
    bars = defaultdict(lambda: defaultdict(Counter))
    counted = (
        # A subquery: given the keys themselves, PostgreSQL may read these hours of all workflows.
        rows.filter(period.present, workflow__in=Workflow.objects.filter(pk__in=keys))
        .values_list("workflow_id", period.bar_number)
        .annotate(good=Sum("count", filter=GOOD, default=0), bad=Sum("count", filter=BAD, default=0), all=Sum("count"))
    )
    for pk, number, good, bad, every in counted:
        ends = bars[pk][number]
        ends[Tone.GOOD] += good
        ends[Tone.BAD] += bad
        ends[Tone.STOPPED] += every - good - bad
    return bars
