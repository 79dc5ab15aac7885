"""The figures of a project for the last two weeks, read in a fixed number of queries, whatever the size of the log."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from django.db.models import F, Sum

from logs.circleci.vocabulary import FINISHED_STATUSES, EventType, Tone
from logs.insights.charts import HasBars
from logs.insights.dashboard import Coverage, read_coverage
from logs.insights.flaky import Flaky, flaky_failures, flaky_of, read_flakes
from logs.insights.periods import Period, last_two_weeks
from logs.insights.rates import success_rate, success_rate_without
from logs.insights.totals import Bar, bars_of
from logs.insights.watching import WatchState, read_watch
from logs.insights.workflows import FEWEST_FOR_MEAN, read_workflow_bars
from logs.models import HourlyWorkflow, RollupState, Standing, Workflow, WorkflowEvent
from logs.replica import reading_connection

MOST_EVENTS = 2_000  # The newest events of the project, among which its slowest jobs are found.
MOST_EVENTS_FOR_RUNS = 500
MOST_STANDINGS = 200
SHOWN_RUNS = 10
SHOWN_WORKFLOWS = 15
SHOWN_SLOWEST = 5
JOB_COLUMNS = ("workflow", "job", "duration_seconds", "event_type", "status")

# With the newest events as a table. If they were keys (pk IN …), PostgreSQL might read all events to join them.
_SLOWEST = f"""
    SELECT workflow, job, COUNT(*), AVG(duration_seconds) FROM ({{newest}}) AS newest
    WHERE event_type = %s AND status IN ({", ".join(["%s"] * len(FINISHED_STATUSES))})
    AND duration_seconds IS NOT NULL GROUP BY workflow, job ORDER BY 4 DESC, workflow, job
"""  # noqa: S608 - placeholders only


@dataclass(frozen=True, kw_only=True)
class WorkflowRates(HasBars):
    """The finished runs of a workflow."""

    workflow: Workflow
    runs: int
    good: int
    bad: int
    success_rate: float | None  # None if no run has finished, or if not all are counted.
    rate_without_flakes: float | None  # None also if it is unknown how many of them were flaky.


@dataclass(frozen=True, kw_only=True)
class SlowJob:
    """One of the slowest jobs."""

    workflow: str
    job: str
    runs: int
    mean_seconds: float


@dataclass(frozen=True, kw_only=True)
class ProjectFigures:
    """What the log says about a project."""

    slug: str
    name: str
    period: Period
    watch: WatchState
    coverage: Coverage | None  # None: nothing has been counted yet.
    standings: list[Standing]  # Default branches first, then those that are broken.
    has_more_standings: bool
    workflows: list[WorkflowRates]  # Most runs first.
    has_more_workflows: bool
    slowest: list[SlowJob]
    job_runs: int  # How many finished runs of jobs `slowest` is based on.
    flaky: Flaky
    last_runs: list[WorkflowEvent]


def find_project(slug: str) -> str | None:
    """Return the last name of a project, or its slug if it has no name; None if the log has no such project."""
    newest = WorkflowEvent.objects.filter(project_slug=slug).newest_first()
    # Sums and standings outlive the events that retention removes.
    for rows in (newest, Workflow.objects.filter(project_slug=slug), Standing.objects.filter(project_slug=slug)):
        # Not first(), which would order them by their keys: PostgreSQL might search all rows in that order.
        for name in rows.values_list("project", flat=True)[:1]:
            return str(name) or slug
    return None


def read_project(slug: str, name: str, now: datetime) -> ProjectFigures:
    """Return all figures of a project."""
    period, watch, state = last_two_weeks(now), read_watch(), RollupState.objects.first()
    coverage = read_coverage(period, state) if state else None
    flakes, standings = read_flakes(now, project_slug=slug), _read_standings(slug)
    flaky = flaky_of(flakes)
    is_counted = coverage is not None and coverage.has_period and coverage.is_current
    are_flakes_known = is_counted and watch.is_finding_flakes and not flaky.has_more
    flaky_runs = flaky_failures(flakes, period.since) if are_flakes_known else None
    workflows = _read_workflows(slug, period, flaky_runs, is_counted=is_counted)
    slowest = _read_slowest(slug, period)
    return ProjectFigures(
        slug=slug,
        name=name,
        period=period,
        watch=watch,
        coverage=coverage,
        standings=sorted(
            standings[:MOST_STANDINGS], key=lambda each: (not each.is_on_default_branch, each.tone != Tone.BAD)
        ),
        has_more_standings=len(standings) > MOST_STANDINGS,
        workflows=workflows[:SHOWN_WORKFLOWS],
        has_more_workflows=len(workflows) > SHOWN_WORKFLOWS,
        slowest=[each for each in slowest if each.runs >= FEWEST_FOR_MEAN][:SHOWN_SLOWEST],
        job_runs=sum(each.runs for each in slowest),
        flaky=flaky,
        last_runs=_read_last_runs(slug),
    )


def _read_standings(slug: str) -> list[Standing]:
    """Return the standings with the newest runs, at most one more than MOST_STANDINGS.

    Their `last_received_at` is when the last run arrived; None if the log no longer has it.
    """
    rows = Standing.objects.judged().filter(project_slug=slug, last_run_at__isnull=False)
    newest = rows.annotate(last_received_at=F("last__received_at")).order_by("-last_run_at", "-pk")
    return list(newest[: MOST_STANDINGS + 1])


def _read_workflows(
    slug: str, period: Period, flaky: dict[str, int | None] | None, *, is_counted: bool
) -> list[WorkflowRates]:
    """Return the busiest workflows, at most one more than SHOWN_WORKFLOWS, in three queries."""
    hours = HourlyWorkflow.objects.filter(period.present)
    of_project = hours.filter(workflow__in=Workflow.objects.filter(project_slug=slug))
    busiest = of_project.values_list("workflow_id").annotate(runs=Sum("count")).order_by("-runs", "workflow_id")
    runs = dict(busiest[: SHOWN_WORKFLOWS + 1])
    known = Workflow.objects.in_bulk(list(runs))
    bars = read_workflow_bars(period, HourlyWorkflow.objects.all(), runs)
    return [
        _rates(
            known[pk],
            bars_of(period, bars[pk]),
            None if flaky is None else flaky.get(known[pk].name, 0),
            is_counted=is_counted,
        )
        for pk in runs
    ]


def _rates(workflow: Workflow, bars: list[Bar], flaky: int | None, *, is_counted: bool) -> WorkflowRates:
    counts = sum((bar.counts for bar in bars), Counter[Tone]())
    good, bad = counts[Tone.GOOD], counts[Tone.BAD]
    return WorkflowRates(
        workflow=workflow,
        runs=counts.total(),
        good=good,
        bad=bad,
        success_rate=success_rate(good, bad) if is_counted else None,
        rate_without_flakes=success_rate_without(good, bad, flaky),
        bars=bars,
    )


def _read_slowest(slug: str, period: Period) -> list[SlowJob]:
    """Return all jobs with finished runs among the newest events, the slowest first."""
    newest = WorkflowEvent.objects.filter(project_slug=slug, received_at__gte=period.since).newest_first()
    sql, values = newest.values_list(*JOB_COLUMNS)[:MOST_EVENTS].query.sql_with_params()
    with reading_connection().cursor() as cursor:
        cursor.execute(_SLOWEST.format(newest=sql), [*values, EventType.JOB_COMPLETED, *FINISHED_STATUSES])
        rows = cursor.fetchall()
    return [SlowJob(workflow=workflow, job=job, runs=runs, mean_seconds=mean) for workflow, job, runs, mean in rows]


def _read_last_runs(slug: str) -> list[WorkflowEvent]:
    """Return the last runs among the newest events, in two queries."""
    newest = WorkflowEvent.objects.filter(project_slug=slug).newest_first()
    kinds = newest.values_list("pk", "event_type")[:MOST_EVENTS_FOR_RUNS]
    keys = [pk for pk, kind in kinds if kind == EventType.WORKFLOW_COMPLETED][:SHOWN_RUNS]
    return list(WorkflowEvent.objects.filter(pk__in=keys).newest_first())
