"""The figures of a workflow's jobs, from the jobs of its newest runs.

There are no hourly sums of jobs: a job seldom runs twice in an hour with the same status and duration, and the sums
would therefore be about as long as the log.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from logs.circleci.vocabulary import EventType
from logs.insights.figures import Figures, figures_of
from logs.insights.selecting import Selection
from logs.insights.windows import SORTED_NEWEST_FIRST
from logs.models import Workflow, WorkflowEvent

MOST_RUNS = 1_000
READ_TOGETHER = 500  # Runs.


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job and the figures of its runs."""

    name: str
    figures: Figures


@dataclass(frozen=True, kw_only=True)
class JobFigures:
    """The figures of a workflow's jobs."""

    jobs: list[Job]  # In the order of their names.
    runs: int  # How many runs of the workflow the jobs belong to.
    since: datetime | None  # When the first of these runs arrived; None without runs.
    has_more: bool  # Whether older runs of the window were left out.


def read_jobs(selection: Selection, workflow: Workflow) -> JobFigures:
    """Return the exact figures of the jobs of a workflow's newest MOST_RUNS selected runs."""
    runs = WorkflowEvent.objects.filter(
        selection.window.of_events, event_type=EventType.WORKFLOW_COMPLETED, **selection.columns
    )
    newest = list(runs.order_by(*SORTED_NEWEST_FIRST).values_list("workflow_id", "received_at")[: MOST_RUNS + 1])
    read = newest[:MOST_RUNS]
    ids = [workflow_id for workflow_id, _ in read if workflow_id]
    return JobFigures(
        jobs=_read_figures(workflow.project_slug, ids),
        runs=len(read),
        since=read[-1][1] if read else None,
        has_more=len(newest) > len(read),
    )


def _read_figures(project_slug: str, workflow_ids: list[str]) -> list[Job]:
    jobs: defaultdict[str, list[tuple[str, float | None, datetime]]] = defaultdict(list)
    for start in range(0, len(workflow_ids), READ_TOGETHER):
        events = WorkflowEvent.objects.filter(workflow_id__in=workflow_ids[start : start + READ_TOGETHER]).order_by()
        columns = ("event_type", "project_slug", "job", "status", "duration_seconds", "received_at")
        for event_type, slug, job, *run in events.values_list(*columns):
            # Tested here: PostgreSQL might otherwise read all events of the project, and ids are found by their index.
            if event_type == EventType.JOB_COMPLETED and slug == project_slug:
                jobs[job].append(tuple(run))
    return [Job(name=name, figures=figures) for name in sorted(jobs) if (figures := figures_of(jobs[name]))]
