"""The verdict on a pipeline, made from its events without a database. The order in which they arrived does not matter.

A workflow can run several times in a pipeline: a rerun has a workflow ID of its own. Of the runs with the same name,
the one that stopped last decides.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from logs.circleci.vocabulary import EventType, Tone, tone_of
from logs.models import WorkflowEvent
from logs.models.events import Origin


class State(StrEnum):
    """The state of a workflow or pipeline, the worst first: a pipeline has the worst state of its workflows."""

    FAILED = "failed"
    FAILING = "failing"  # A job failed, and the log has no end of its workflow.
    UNFINISHED = "unfinished"  # The log has no end of the workflow: it is running, or its event was not received.
    CANCELED = "canceled"
    ON_HOLD = "on_hold"
    UNKNOWN = "unknown"  # CircleCI has not documented the workflow's status.
    SUCCEEDED = "succeeded"

    @property
    def tone(self) -> Tone:
        """What the state means to the operator."""
        return TONES[self]


# fmt: off
TONES = {
    State.FAILED:     Tone.BAD,
    State.FAILING:    Tone.BAD,
    State.UNFINISHED: Tone.WAITING,
    State.CANCELED:   Tone.STOPPED,
    State.ON_HOLD:    Tone.WAITING,
    State.UNKNOWN:    Tone.UNKNOWN,
    State.SUCCEEDED:  Tone.GOOD,
}
STATES = {  # Of a finished workflow or job, by the tone of its status.
    Tone.BAD:     State.FAILED,
    Tone.STOPPED: State.CANCELED,
    Tone.WAITING: State.ON_HOLD,
    Tone.UNKNOWN: State.UNKNOWN,
    Tone.GOOD:    State.SUCCEEDED,
}
# fmt: on
SEVERITY = {state: severity for severity, state in enumerate(reversed(State))}


@dataclass(slots=True, kw_only=True)
class WorkflowRun:
    """A workflow's run in a pipeline."""

    workflow_id: str  # "" for jobs without a workflow.
    name: str
    is_rerun: bool = False  # Whether a workflow of this name ran earlier in the pipeline.
    ends: list[WorkflowEvent] = field(default_factory=list)  # The workflow's own events; empty until it ends.
    jobs: list[WorkflowEvent] = field(default_factory=list)

    @property
    def end(self) -> WorkflowEvent | None:
        """The event that ended the run; None if the log has no such event."""
        ends = (event for event in reversed(self.ends) if event.event_type == EventType.WORKFLOW_COMPLETED)
        return next(ends, None)

    @property
    def state(self) -> State:
        """The state of the run."""
        if self.end:
            return _state_of(self.end)
        if not self.workflow_id:  # Such jobs have no workflow that could end.
            return _worst(map(_state_of, self.jobs), default=State.UNKNOWN)
        return State.FAILING if self.failed_jobs else State.UNFINISHED

    @property
    def failed_jobs(self) -> list[str]:
        """The names of the failed jobs."""
        return sorted({job.job for job in self.jobs if tone_of(job.status) is Tone.BAD})

    @property
    def url(self) -> str:
        """The URL of the run in CircleCI; "" if unknown."""
        return next((event.url for event in self.ends + self.jobs if event.url), "")

    @property
    def stopped_at(self) -> datetime:
        """When the run stopped; when its last job did if the log has no end."""
        return _stopped_at(self.end) if self.end else max(map(_stopped_at, self.ends + self.jobs))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """A pipeline and its verdict."""

    about: WorkflowEvent  # The event with the pipeline's branch and commit: the newest one that counts.
    runs: list[WorkflowRun]  # All runs, in the order of time.
    deciding: list[WorkflowRun]  # One run of each workflow, the worst first.
    reruns: int
    is_proven: bool  # Whether CircleCI signed the events that decide, or they were read from its API.

    @property
    def state(self) -> State:
        """The verdict."""
        return self.deciding[0].state

    @property
    def notable(self) -> list[WorkflowRun]:
        """The deciding runs that did not succeed; all of them if all succeeded."""
        return [run for run in self.deciding if run.state is not State.SUCCEEDED] or self.deciding


def judge(events: Sequence[WorkflowEvent]) -> Pipeline:
    """Return the pipeline that consists of these events, at least one.

    Once the log has a proven event of the pipeline, events that are not proven decide nothing: any client can send
    them.
    """
    proven = [event for event in events if event.verified or event.origin == Origin.API]
    counted = proven or events
    by_name = defaultdict(list)
    for run in group_by_workflow(counted):
        by_name[run.name, "" if run.name else run.workflow_id].append(run)
    # Of two runs that stopped at the same time, the worse one decides: a failure is never hidden.
    deciding = [max(runs, key=lambda run: (run.stopped_at, SEVERITY[run.state])) for runs in by_name.values()]
    return Pipeline(
        about=max(counted, key=lambda event: (event.received_at, event.event_id)),
        runs=group_by_workflow(events),
        deciding=sorted(deciding, key=lambda run: (-SEVERITY[run.state], run.name)),
        reruns=sum(map(len, by_name.values())) - len(by_name),
        is_proven=bool(proven),
    )


def group_by_workflow(events: Iterable[WorkflowEvent]) -> list[WorkflowRun]:
    """Group events by workflow ID; groups and events are in the order in which they stopped."""
    runs: dict[str, WorkflowRun] = {}
    names: set[str] = set()
    for event in sorted(events, key=lambda event: (_stopped_at(event), event.event_id)):
        if event.workflow_id not in runs:
            is_rerun = bool(event.workflow) and event.workflow in names
            run = WorkflowRun(workflow_id=event.workflow_id, name=event.workflow, is_rerun=is_rerun)
            runs[event.workflow_id] = run
            names.add(event.workflow)
        run = runs[event.workflow_id]
        (run.jobs if event.event_type == EventType.JOB_COMPLETED else run.ends).append(event)
    return list(runs.values())


def _state_of(event: WorkflowEvent) -> State:
    return STATES[tone_of(event.status)]


def _worst(states: Iterable[State], *, default: State) -> State:
    return max(states, key=lambda state: SEVERITY[state], default=default)


def _stopped_at(event: WorkflowEvent) -> datetime:
    return event.stopped_at or event.happened_at or event.received_at
