"""Figures for workflows: runs, success rates and durations, and the slowest workflows."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from django.db.models import Q, QuerySet, Sum

from logs.circleci.vocabulary import BAD_STATUSES, GOOD_STATUSES, Tone
from logs.insights.buckets import quantile
from logs.insights.periods import Period
from logs.insights.rates import Compared, success_rate
from logs.insights.totals import Bar, bars_of
from logs.models import HourlyWorkflow, Workflow

SHOWN = 15
SHOWN_SLOWEST = 5
FEWEST_FOR_MEAN = 3

GOOD, BAD = (Q(status__in=statuses) for statuses in (GOOD_STATUSES, BAD_STATUSES))


@dataclass(frozen=True, kw_only=True)
class SlowWorkflow:
    """One of the slowest workflows."""

    workflow: Workflow
    runs: int  # Finished runs with a known duration.
    mean_seconds: float


@dataclass(frozen=True, kw_only=True)
class WorkflowFigures:
    """A row in the workflows table."""

    workflow: Workflow
    runs: int
    bad: int  # Failed runs.
    success_rate: Compared
    median_seconds: Compared
    bars: list[Bar]

    @property
    def bad_bars(self) -> int:
        """The number of bars with a failed run."""
        return sum(bar.counts[Tone.BAD] > 0 for bar in self.bars)


@dataclass(frozen=True, kw_only=True)
class Workflows:
    """The busiest and the slowest workflows of a period."""

    busiest: list[WorkflowFigures]  # Most runs first.
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


def read_workflows(period: Period, sums: QuerySet[HourlyWorkflow]) -> Workflows:
    """Return the figures of the workflows that ran in a period, by their hourly sums."""
    busiest, slowest = _read_busiest(period, sums), _read_slowest(period, sums)
    known = Workflow.objects.in_bulk([pk for pk, *_ in busiest + slowest])
    rows = HourlyWorkflow.objects.filter(workflow__in=[pk for pk, _ in busiest[:SHOWN]])
    finished, bars = _read_finished(period, rows), read_workflow_bars(period, rows)
    return Workflows(
        busiest=[_figures(known[pk], runs, *finished[pk], bars_of(period, bars[pk])) for pk, runs in busiest[:SHOWN]],
        has_more=len(busiest) > SHOWN,
        slowest=[SlowWorkflow(workflow=known[pk], runs=runs, mean_seconds=mean) for pk, runs, mean in slowest],
    )


def _read_busiest(period: Period, sums: QuerySet[HourlyWorkflow]) -> list[tuple[int, int]]:
    """Return the keys and run counts of the SHOWN + 1 busiest workflows."""
    runs = sums.filter(period.present).values_list("workflow_id").annotate(runs=Sum("count"))
    return list(runs.order_by("-runs", "workflow_id")[: SHOWN + 1])


def _read_slowest(period: Period, sums: QuerySet[HourlyWorkflow]) -> list[tuple[int, int, float]]:
    """Return keys, run counts and mean durations for the slowest workflows with at least FEWEST_FOR_MEAN timed runs."""
    timed = sums.filter(period.present, GOOD | BAD, duration_bucket__isnull=False)
    means = timed.values_list("workflow_id").annotate(runs=Sum("count"), mean=Sum("seconds") / Sum("count"))
    return list(means.filter(runs__gte=FEWEST_FOR_MEAN).order_by("-mean", "workflow_id")[:SHOWN_SLOWEST])


def _figures(workflow: Workflow, runs: int, now: Finished, before: Finished, bars: list[Bar]) -> WorkflowFigures:
    return WorkflowFigures(
        workflow=workflow,
        runs=runs,
        bad=now.bad,
        success_rate=Compared(now=success_rate(now.good, now.bad), before=success_rate(before.good, before.bad)),
        median_seconds=Compared(now=quantile(now.buckets, 0.5), before=quantile(before.buckets, 0.5)),
        bars=bars,
    )


def _read_finished(period: Period, rows: QuerySet[HourlyWorkflow]) -> defaultdict[int, tuple[Finished, Finished]]:
    """Return each workflow's finished runs in a period and in the previous period."""
    finished: defaultdict[int, tuple[Finished, Finished]] = defaultdict(lambda: (Finished(), Finished()))
    counted = (
        rows.filter(GOOD | BAD, hour__gte=period.compared_since)
        .values_list("workflow_id", "status", "duration_bucket")
        .annotate(
            now=Sum("count", filter=period.present, default=0), before=Sum("count", filter=period.past, default=0)
        )
    )
    for pk, status, bucket, now, before in counted:
        present, past = finished[pk]
        present.add(status, bucket, now)
        past.add(status, bucket, before)
    return finished


def read_workflow_bars(
    period: Period, rows: QuerySet[HourlyWorkflow]
) -> defaultdict[int, defaultdict[int, Counter[Tone]]]:
    """Return the runs in a period by their tone: good, bad or stopped; keyed by workflow and by bar number."""
    bars: defaultdict[int, defaultdict[int, Counter[Tone]]]
    bars = defaultdict(lambda: defaultdict(Counter))
    counted = (
        rows.filter(period.present)
        .values_list("workflow_id", period.bar_number)
        .annotate(good=Sum("count", filter=GOOD, default=0), bad=Sum("count", filter=BAD, default=0), all=Sum("count"))
    )
    for pk, number, good, bad, every in counted:
        ends = bars[pk][number]
        ends[Tone.GOOD] += good
        ends[Tone.BAD] += bad
        ends[Tone.STOPPED] += every - good - bad
    return bars
