"""The timeline of an event: its timestamps in their expected order."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from logs.circleci.payload import time_at
from logs.circleci.vocabulary import EventType
from logs.models import WorkflowEvent
from logs.times import duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step of the timeline."""

    label: str
    at: datetime
    since_last: str  # The time since the previous step; "" for the first, negative if clocks differ.


def timeline_of(event: WorkflowEvent, document: dict[str, object] | None, *, received_at: datetime) -> list[Step]:
    """Return the steps whose times are known.

    Args:
        event: the event.
        document: its payload; None, to use only the event's columns, if it was removed or the user may not view it.
        received_at: when the shown version arrived.
    """
    is_job = event.event_type == EventType.JOB_COMPLETED
    started_path, started_label = (
        ("job.started_at", _("Job started")) if is_job else ("workflow.created_at", _("Workflow created"))
    )
    payload = document or {}
    times = [
        (_("Pipeline created"), time_at(payload, "pipeline.created_at")),
        (started_label, time_at(payload, started_path) or _start_by_duration(event)),
        (_("Stopped"), event.stopped_at),
        (_("Happened"), event.happened_at),
        (_("Received"), received_at),
    ]
    return _steps([(label, at) for label, at in times if at])


def _start_by_duration(event: WorkflowEvent) -> datetime | None:
    if event.stopped_at is None or event.duration_seconds is None:
        return None
    return event.stopped_at - timedelta(seconds=event.duration_seconds)


def _steps(times: list[tuple[str, datetime]]) -> list[Step]:
    steps: list[Step] = []
    for label, at in times:
        seconds = (at - steps[-1].at).total_seconds() if steps else None
        steps.append(Step(label=label, at=at, since_last=_signed(seconds)))
    return steps


def _signed(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{'−' if seconds < 0 else '+'}{duration(abs(seconds))}"
