"""The rows of the list of pipelines."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from logs.circleci.vocabulary import Tone, tone_of
from logs.insights.pipelines import Pipeline, State, WorkflowRun, group_by_workflow, judge
from logs.models import WorkflowEvent
from logs.reading.pipelines import MAX_EVENTS, key_of, read_events

MAX_SHOWN = 30  # Events of a pipeline. Rendering 25 pipelines with more would be slow.


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A pipeline in the list."""

    pipeline: Pipeline
    received_at: datetime  # When its newest matching event arrived: the list is in this order.
    count: int  # The number of its workflows' ends and jobs.
    failed: int  # How many of them failed.
    runs: list[WorkflowRun]  # Up to MAX_SHOWN events; workflows and failed jobs take precedence.
    dots: list[list[tuple[Tone, str]]]  # The tone and the title of each run and its jobs, by run.
    has_more: bool  # Whether events are left out of these.


def read_rows(newest: Sequence[WorkflowEvent]) -> list[Row]:
    """Return the pipelines of these events, in their order, in one query."""
    found = read_events(newest)
    # Retention may have removed a pipeline meanwhile.
    return [_row(event, found[key_of(event)]) for event in newest if key_of(event) in found]


def _row(newest: WorkflowEvent, events: list[WorkflowEvent]) -> Row:
    runs = group_by_workflow(events[:MAX_SHOWN])
    return Row(
        pipeline=judge(events[:MAX_EVENTS]),
        received_at=newest.received_at,
        count=len(events[:MAX_EVENTS]),
        failed=sum(tone_of(event.status) is Tone.BAD for event in events[:MAX_EVENTS]),
        runs=runs,
        dots=[list(_dots(run)) for run in runs],
        has_more=len(events) > MAX_SHOWN,
    )


def _dots(run: WorkflowRun) -> Iterator[tuple[Tone, str]]:
    if run.workflow_id and not run.end:
        yield State.UNFINISHED.tone, f"{run.name}: {State.UNFINISHED}"
    for event in run.ends + run.jobs:
        yield tone_of(event.status), f"{event.job or event.workflow or event.event_id}: {event.status}"
