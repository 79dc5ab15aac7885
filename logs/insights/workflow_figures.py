"""The figures of workflows in a window: of many workflows from hourly sums, of one branch from its runs."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import IntegerField, Max, Min, QuerySet, Sum
from django.db.models.functions import Cast

from logs.circleci.vocabulary import FINISHED_STATUSES
from logs.exceptions import InvalidQuery
from logs.insights.buckets import seconds_of
from logs.insights.figures import Durations, Figures, Recoveries, Run, figures_of
from logs.insights.recoveries import Breakage, read_breakages, sum_recoveries
from logs.insights.selecting import Selection
from logs.models import HourlyWorkflow, Workflow
from logs.replica import reading_connection

MOST_RUNS = 5_000  # The newest runs of a branch; older ones are left out.

# The buckets of each workflow's durations, with the number of runs up to and including each. Reading 90,000 buckets
# into Python would take longer than everything else together.
_QUANTILES = """
    SELECT workflow_id, MAX(finished), MIN(duration_bucket),
        MIN(CASE WHEN 2 * passed >= finished THEN duration_bucket END),
        MIN(CASE WHEN 20 * passed >= 19 * finished THEN duration_bucket END),
        MAX(duration_bucket)
    FROM (
        SELECT workflow_id, duration_bucket,
            SUM(runs) OVER (PARTITION BY workflow_id ORDER BY duration_bucket) AS passed,
            SUM(runs) OVER (PARTITION BY workflow_id) AS finished
        FROM ({buckets}) AS buckets
    ) AS counted
    GROUP BY workflow_id
"""


@dataclass(frozen=True, kw_only=True)
class WorkflowFigures:
    """A workflow and the figures of its runs."""

    workflow: Workflow
    figures: Figures
    recoveries: Recoveries


# What a list of workflows can be sorted by.
# fmt: off
ORDERS: dict[str, Callable[[WorkflowFigures], Any]] = {
    "total_runs":     lambda each: each.figures.total_runs,
    "failed_runs":    lambda each: each.figures.failed_runs,
    "success_rate":   lambda each: each.figures.success_rate,
    "throughput":     lambda each: each.figures.throughput,
    "median_seconds": lambda each: each.figures.durations.median if each.figures.durations else None,
    "p95_seconds":    lambda each: each.figures.durations.p95 if each.figures.durations else None,
    "mttr":           lambda each: each.recoveries.mttr,
    "workflow":       lambda each: each.workflow.name,
}
# fmt: on
DEFAULT_ORDERING = "-total_runs"


def check_ordering(ordering: str) -> None:
    """Reject an unknown ordering.

    Raises:
        InvalidQuery: its name is not in ORDERS.
    """
    if ordering.removeprefix("-") not in ORDERS:
        names = ", ".join(f"{each}, -{each}" for each in ORDERS)
        raise InvalidQuery(f"ordering must be one of: {names}.", "invalid_ordering")


def sort_workflows(found: Iterable[WorkflowFigures], ordering: str) -> list[WorkflowFigures]:
    """Return workflows in an order; those that lack the figure to sort by come last.

    Args:
        found: the workflows.
        ordering: a name in ORDERS, with a minus sign for descending order.

    Raises:
        InvalidQuery: the ordering is invalid.
    """
    check_ordering(ordering)
    figure = ORDERS[ordering.removeprefix("-")]
    by_name = sorted(found, key=lambda each: (each.workflow.project_slug, each.workflow.name))
    known = [each for each in by_name if figure(each) is not None]
    return [
        *sorted(known, key=figure, reverse=ordering.startswith("-")),
        *(each for each in by_name if figure(each) is None),
    ]


def read_workflow_figures(selection: Selection) -> list[WorkflowFigures]:
    """Return the figures of the selected workflows that ran, from hourly sums; a selected branch is ignored.

    Of default branches, hours that an older release counted are left out.
    """
    figures = read_figures(selection.sums)
    breakages = _breakages_by_workflow(selection)
    return [
        WorkflowFigures(
            workflow=workflow,
            figures=figures[workflow.pk],
            recoveries=sum_recoveries(breakages[workflow.project_slug, workflow.name]),
        )
        for workflow in selection.workflows
        if workflow.pk in figures
    ]


def read_branch_figures(selection: Selection) -> tuple[list[WorkflowFigures], bool]:
    """Return the exact figures of the selected workflows on a branch, and whether older runs were left out.

    The figures are those of the newest MOST_RUNS runs of all these workflows.
    """
    runs = selection.runs.newest_first().values_list(
        "project_slug", "workflow", "project", "status", "duration_seconds", "received_at"
    )
    newest = list(runs[: MOST_RUNS + 1])
    projects: dict[tuple[str, str], str] = {}  # The names in the newest runs.
    rows: defaultdict[tuple[str, str], list[Run]] = defaultdict(list)
    for slug, workflow, project, status, seconds, received_at in newest[:MOST_RUNS]:
        projects.setdefault((slug, workflow), project)
        rows[slug, workflow].append((status, seconds, received_at))
    breakages = _breakages_by_workflow(selection)
    found = [
        WorkflowFigures(
            workflow=Workflow(project_slug=slug, project=projects[slug, workflow], name=workflow),
            figures=figures,
            recoveries=sum_recoveries(breakages[slug, workflow]),
        )
        for (slug, workflow), some in rows.items()
        if (figures := figures_of(some))
    ]
    return found, len(newest) > MOST_RUNS


def read_run_figures(selection: Selection) -> Figures | None:
    """Return the exact figures of the newest MOST_RUNS runs of the selected workflow and branch; None without a run."""
    return figures_of(
        selection.runs.newest_first().values_list("status", "duration_seconds", "received_at")[:MOST_RUNS]
    )


def _breakages_by_workflow(selection: Selection) -> defaultdict[tuple[str, str], list[Breakage]]:
    breakages: defaultdict[tuple[str, str], list[Breakage]] = defaultdict(list)
    for each in read_breakages(selection).rows:
        breakages[each.project_slug, each.workflow].append(each)
    return breakages


def read_figures(sums: QuerySet[HourlyWorkflow]) -> dict[int, Figures]:
    """Return the figures of each workflow, in two queries."""
    statuses: defaultdict[int, Counter[str]] = defaultdict(Counter)
    hours: defaultdict[int, list[datetime]] = defaultdict(list)
    seconds: Counter[int] = Counter()  # Of finished runs.
    rows = sums.values_list("workflow_id", "status").annotate(Sum("count"), Min("hour"), Max("hour"), Sum("seconds"))
    for key, status, count, first, last, total in rows:
        statuses[key][status] += count
        hours[key] += [first, last]
        seconds[key] += total if status in FINISHED_STATUSES else 0
    quantiles = _read_quantiles(sums) if statuses else {}
    return {
        key: Figures(
            statuses=statuses[key],
            first_at=min(hours[key]),
            last_at=max(hours[key]),
            durations=_durations(seconds[key], *quantiles[key]) if key in quantiles else None,
        )
        for key in statuses
    }


def _read_quantiles(sums: QuerySet[HourlyWorkflow]) -> dict[int, tuple[int, ...]]:
    """Return the number of each workflow's finished runs, and the buckets of their durations' quantiles."""
    # A sum of integers is a bigint in PostgreSQL, and a sum of those a numeric, which is slow.
    timed = sums.filter(status__in=FINISHED_STATUSES, duration_bucket__isnull=False)
    buckets = timed.values("workflow_id", "duration_bucket").annotate(runs=Cast(Sum("count"), IntegerField()))
    sql, values = buckets.query.sql_with_params()
    with reading_connection().cursor() as cursor:
        cursor.execute(_QUANTILES.format(buckets=sql), values)
        return {key: tuple(quantiles) for key, *quantiles in cursor.fetchall()}


def _durations(seconds: float, runs: int, *buckets: int) -> Durations:
    least, median, p95, greatest = (round(seconds_of(bucket)) for bucket in buckets)
    # The mean is exact, the others are not.
    mean = min(max(round(seconds / runs), least), greatest)
    return Durations(min=least, mean=mean, median=median, p95=p95, max=greatest)
