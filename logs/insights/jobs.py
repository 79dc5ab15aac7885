"""The figures of a workflow's jobs, from the jobs of its newest runs.

Jobs have no hourly sums. A job seldom runs twice in an hour with the same status and duration, so the sums would have
about as many rows as the log.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from logs.circleci.vocabulary import EventType
from logs.insights.figures import Figures, Run, figures_of
from logs.insights.selecting import Selection
from logs.insights.windows import SORTED_NEWEST_FIRST
from logs.models import Workflow, WorkflowEvent

MOST_RUNS = 1_000
READ_TOGETHER = 250  # Runs.
MOST_EVENTS = 12_500  # Of these runs: 50 each.
COLUMNS = ("event_type", "project_slug", "job", "status", "duration_seconds", "received_at")


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
    has_more: bool  # Whether older runs of the window, or jobs of runs with very many, were left out.


def read_jobs(selection: Selection, workflow: Workflow) -> JobFigures:
    """Return the exact figures of the jobs of a workflow's newest MOST_RUNS selected runs."""
    runs = selection.runs.order_by(*SORTED_NEWEST_FIRST)
    newest = list(runs.values_list("workflow_id", "received_at")[: MOST_RUNS + 1])
    read = newest[:MOST_RUNS]
    jobs, is_cut = _read_jobs(workflow.project_slug, list(dict.fromkeys(key for key, _ in read if key)))
    return JobFigures(
        jobs=[Job(name=name, figures=figures) for name in sorted(jobs) if (figures := figures_of(jobs[name]))],
        runs=len(read),
        since=read[-1][1] if read else None,
        has_more=is_cut or len(newest) > len(read),
    )


def _read_jobs(project_slug: str, workflow_ids: list[str]) -> tuple[dict[str, list[Run]], bool]:
    """Return the runs of each job of some workflows, and whether a workflow had too many jobs to read all."""
    jobs: defaultdict[str, list[Run]] = defaultdict(list)
    is_cut = False
    for start in range(0, len(workflow_ids), READ_TOGETHER):
        events = WorkflowEvent.objects.filter(workflow_id__in=workflow_ids[start : start + READ_TOGETHER]).order_by()
        rows = list(events.values_list(*COLUMNS)[: MOST_EVENTS + 1])
        is_cut = is_cut or len(rows) > MOST_EVENTS
        for event_type, slug, job, *run in rows[:MOST_EVENTS]:
            # Tested here: PostgreSQL might otherwise read all events of the project, and ids are found by their index.
            if event_type == EventType.JOB_COMPLETED and slug == project_slug:
                jobs[job].append((run[0], run[1], run[2]))
    return jobs, is_cut
