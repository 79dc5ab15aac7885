"""An event's run: the workflows of its pipeline, each with its jobs, as far as the log has their events."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from django.db.models import Case, Value, When

from logs.circleci.vocabulary import BAD_STATUSES, EventType
from logs.models import WorkflowEvent

MAX_EVENTS = 100


@dataclass(slots=True, kw_only=True)
class WorkflowRun:
    """A workflow's run in a pipeline."""

    name: str
    is_rerun: bool  # Whether a workflow of this name ran earlier in the pipeline.
    ends: list[WorkflowEvent] = field(default_factory=list)  # The workflow's own events; empty until it ends.
    jobs: list[WorkflowEvent] = field(default_factory=list)


def run_of(event: WorkflowEvent) -> tuple[list[WorkflowRun], bool]:
    """Return the workflow runs of an event's pipeline, and whether some of the pipeline's events are left out."""
    # Failed events come first: the limit must not drop them.
    failed_first = Case(When(status__in=BAD_STATUSES, then=Value(0)), default=Value(1))
    others = list(event.of_same_pipeline().order_by(failed_first, "received_at", "pk")[: MAX_EVENTS + 1])
    return group_by_workflow([event, *others[:MAX_EVENTS]]), len(others) > MAX_EVENTS


def group_by_workflow(events: Iterable[WorkflowEvent]) -> list[WorkflowRun]:
    """Group events by workflow ID; groups and events are in order of arrival."""
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
