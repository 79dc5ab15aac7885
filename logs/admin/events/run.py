"""An event's pipeline: its workflows, each with its jobs, as far as the log has their events."""

from typing import Any

from logs.circleci.vocabulary import BAD_STATUSES
from logs.insights.flaky import flaky_among
from logs.insights.pipelines import judge
from logs.models import WorkflowEvent
from logs.reading.pipelines import MAX_EVENTS, key_of, read_events


def run_context(event: WorkflowEvent) -> dict[str, Any]:
    """Return the context of the templates that show an event's pipeline, in at most two queries."""
    found = read_events([event]).get(key_of(event), []) if event.pipeline_id else [event]
    shown = found[:MAX_EVENTS]
    if event not in shown:
        shown.append(event)
    return {
        "pipeline": judge(shown),
        "flaky": flaky_among(shown, of=event),
        "run_count": len(shown),
        "max_in_run": MAX_EVENTS,
        "has_more_in_run": len(found) > MAX_EVENTS,
        "bad_statuses": ",".join(BAD_STATUSES),
    }
