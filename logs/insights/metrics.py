"""Figures for /metrics: the runs of the busiest workflows, and the default branches that are broken."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from django.db.models import Sum

from logs.circleci.vocabulary import EventType, Tone, tone_of
from logs.conf import is_default_branch
from logs.insights.counters import OTHER, known_status
from logs.insights.periods import Period
from logs.models import HourlyStatus, HourlyWorkflow, Standing, Workflow
from logs.models.standings import RESTING_AFTER

MAX_BRANCHES_READ = 2_000  # Broken ones and good ones each. Only some of them are default branches.

BranchKey = tuple[str, str, str, str]  # The project's name and slug, the workflow, the branch.
OTHER_BRANCHES = (OTHER, OTHER, OTHER, OTHER)


@dataclass(kw_only=True)
class Runs:
    """The runs of a workflow in a period; "other" adds up all workflows but the busiest."""

    project: str = OTHER
    project_slug: str = OTHER
    workflow: str = OTHER
    statuses: Counter[str] = field(default_factory=Counter)
    durations: Counter[int] = field(default_factory=Counter)  # Finished runs, by duration bucket; empty for "other".


def read_runs(period: Period, most: int) -> list[Runs]:
    """Return the runs of the `most` busiest workflows, then those of all others, in four queries."""
    rows = HourlyWorkflow.objects.filter(period.present)
    totals = rows.values_list("workflow_id").annotate(runs=Sum("count")).order_by("-runs", "workflow_id")
    # A client could invent a project called "other": its series would appear twice, and Prometheus would reject both.
    busiest = Workflow.objects.filter(pk__in=[pk for pk, _ in totals[:most]]).exclude(project_slug=OTHER)
    runs = {each.pk: Runs(project=each.project, project_slug=each.project_slug, workflow=each.name) for each in busiest}
    others = Runs(statuses=_count_all(period))
    sums = rows.filter(workflow__in=list(runs)).values_list("workflow_id", "status", "duration_bucket")
    for pk, status, bucket, count in sums.annotate(Sum("count")):
        runs[pk].statuses[known_status(status)] += count
        others.statuses[known_status(status)] -= count
        if bucket is not None and tone_of(status) in (Tone.GOOD, Tone.BAD):
            runs[pk].durations[bucket] += count
    others.statuses = +others.statuses  # A count between two of these queries could leave less than nothing.
    return [*runs.values(), others]


def _count_all(period: Period) -> Counter[str]:
    """Return the number of all runs in a period by status."""
    rows = HourlyStatus.objects.filter(period.present, event_type=EventType.WORKFLOW_COMPLETED)
    counts: Counter[str] = Counter()
    for status, count in rows.values_list("status").annotate(Sum("count")):
        counts[known_status(status)] += count
    return counts


def read_branches(now: datetime, most: int) -> dict[BranchKey, int]:
    """Return 1 for each workflow that is broken on a default branch, and 0 for each that is not, in two queries.

    At most `most` of them: broken ones first, then those that ran last. "other" has the number of further broken ones.
    Workflows without a run for RESTING_AFTER are omitted.
    """
    broken = _default_branches(now, Tone.BAD)
    good = islice(_default_branches(now, Tone.GOOD), most)
    found = [*((key, 1) for key in broken), *((key, 0) for key in good)]
    return dict(found[:most]) | {OTHER_BRANCHES: sum(value for _, value in found[most:])}


def _default_branches(now: datetime, tone: Tone) -> Iterator[BranchKey]:
    """Yield the workflows on default branches with a tone, latest run first."""
    recent = Standing.objects.filter(tone=tone, last_run_at__gte=now - RESTING_AFTER).exclude(project_slug=OTHER)
    rows = recent.order_by("-last_run_at", "-pk").values_list("project", "project_slug", "workflow", "branch")
    return (row for row in rows[:MAX_BRANCHES_READ] if is_default_branch(row[1], row[3]))
