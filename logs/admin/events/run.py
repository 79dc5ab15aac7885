"""A run: the workflows of one pipeline, each with its jobs, as far as their events are in the log."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from django.db.models import Case, Value, When

from logs.circleci.vocabulary import BAD_STATUSES, EventType
from logs.models import WorkflowEvent

MAX_EVENTS = 100


@dataclass(slots=True, kw_only=True)
class WorkflowRun:
    """One workflow's run in a pipeline."""

    name: str
    is_rerun: bool  # Whether a workflow of the same name ran before it in the pipeline.
    ends: list[WorkflowEvent] = field(default_factory=list)  # The events of its end; none where it has not ended yet.
    jobs: list[WorkflowEvent] = field(default_factory=list)


def run_of(event: WorkflowEvent) -> tuple[list[WorkflowRun], bool]:
    """Return the runs of an event's pipeline, and whether there are more events than are shown."""
    # The failed ones first, so that none of them is left out.
    failed_first = Case(When(status__in=BAD_STATUSES, then=Value(0)), default=Value(1))
    others = list(event.of_same_pipeline().order_by(failed_first, "received_at", "pk")[: MAX_EVENTS + 1])
    return group_by_workflow([event, *others[:MAX_EVENTS]]), len(others) > MAX_EVENTS


def group_by_workflow(events: Iterable[WorkflowEvent]) -> list[WorkflowRun]:
    """Group events by the workflow's id, both groups and events in the order of their arrival."""
    runs: dict[str, WorkflowRun] = {}
    names: set[str] = set()
    for event in sorted(events, key=lambda event: (event.received_at, event.pk)):
        if event.workflow_id not in runs:
            is_rerun = event.workflow in names and bool(event.workflow)
            runs[event.workflow_id] = WorkflowRun(name=event.workflow, is_rerun=is_rerun)
            names.add(event.workflow)
        run = runs[event.workflow_id]
        (run.jobs if event.event_type == EventType.JOB_COMPLETED else run.ends).append(event)
    return list(runs.values())
