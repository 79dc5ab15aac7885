"""The context of an event's page, limited to what the user may view."""

from typing import Any

from django.http import HttpRequest
from django.utils.safestring import SafeString

from logs.admin.body import show_body
from logs.admin.curl import curl_for
from logs.admin.events.code_host import code_host_links
from logs.admin.events.run import run_context
from logs.admin.events.timeline import timeline_of
from logs.admin.pipelines.sentence import clause_of
from logs.circleci.vocabulary import EventType, Tone, tone_of
from logs.insights.pipelines import Pipeline
from logs.models import Delivery, WorkflowEvent
from logs.models.deliveries import DeliveryQuerySet
from logs.permissions import REPLAY, VIEW_BODIES, VIEW_DELIVERIES

SHOWN_DELIVERIES = 50


def event_context(request: HttpRequest, event: WorkflowEvent) -> dict[str, Any]:
    """Return the context of an event's page; the number of queries is fixed."""
    may = request.user.has_perm
    may_see_deliveries, may_see_bodies = may(VIEW_DELIVERIES), may(VIEW_BODIES)
    versions, has_more_versions = _versions(event)
    shown = versions[0] if versions else None
    body = show_body(bytes(shown.body)) if shown and may_see_bodies else None
    run = run_context(event)
    received_at = shown.received_at if shown and may_see_deliveries else event.received_at
    return {
        "event": event,
        "what_ended": " › ".join(filter(None, [event.workflow, event.job])) or event.event_id,
        "timeline": timeline_of(event, body.document if body else None, received_at=received_at),
        "shown": shown,
        "body": body,
        "curl": curl_for(request, shown) if shown and body else "",
        "code_host": code_host_links(event, shown),
        "may_see_deliveries": may_see_deliveries,
        "may_see_bodies": may_see_bodies,
        "may_replay": may(REPLAY),
        "versions": versions,
        "has_more_versions": has_more_versions,
        "what_failed": _what_failed(event, run["pipeline"]),
        **run,
        **(_deliveries(event) if may_see_deliveries else {}),
    }


def _what_failed(event: WorkflowEvent, pipeline: Pipeline) -> SafeString | str:
    """Return which jobs of a failed workflow failed; "" if the log has none, and for any other event."""
    if event.event_type != EventType.WORKFLOW_COMPLETED or tone_of(event.status) is not Tone.BAD:
        return ""
    run = next(run for run in pipeline.runs if event in run.ends)
    return clause_of(run) if run.failed_jobs else ""


def _versions(event: WorkflowEvent) -> tuple[list[Delivery], bool]:
    """Return the newest deliveries with versions of an event, the shown version first, and whether there are more."""
    return _first(_bodiless(event).versions())


def _deliveries(event: WorkflowEvent) -> dict[str, Any]:
    deliveries, has_more = _first(_bodiless(event).newest_first())
    return {"deliveries": deliveries, "has_more_deliveries": has_more}


def _bodiless(event: WorkflowEvent) -> DeliveryQuerySet:
    return event.deliveries.defer("body")


def _first(deliveries: DeliveryQuerySet) -> tuple[list[Delivery], bool]:
    found = list(deliveries[: SHOWN_DELIVERIES + 1])
    return found[:SHOWN_DELIVERIES], len(found) > SHOWN_DELIVERIES
