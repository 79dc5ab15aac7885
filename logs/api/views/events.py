"""The endpoints of events."""

import json
from typing import Any

from django.shortcuts import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from logs.api.permissions import may
from logs.api.serializers import DeliverySerializer, WorkflowEventSerializer
from logs.api.views.reading import PagedListView, ReadingView
from logs.circleci.payload import parse_payload
from logs.exceptions import PayloadMalformed
from logs.models import WorkflowEvent
from logs.permissions import VIEW_BODIES, VIEW_DELIVERIES, VIEW_EVENTS
from logs.reading.filters import EventFilterSet
from logs.reading.pages import EVENT_ORDERS

MAX_RELATED = 100


class EventListView(PagedListView):
    """Lists events, newest first."""

    required_permissions = [VIEW_EVENTS]
    queryset = WorkflowEvent.objects.all()
    serializer_class = WorkflowEventSerializer
    filterset_class = EventFilterSet
    orders = EVENT_ORDERS
    export_name = "events"


class EventDetailView(ReadingView):
    """Shows one event by CircleCI's id, with its payload, its pipeline's other events and its deliveries."""

    required_permissions = [VIEW_EVENTS]

    def get(self, request: Request, event_id: str) -> Response:
        """Return the event; what the user may not see of it, and what retention has removed, is null."""
        event = get_object_or_404(WorkflowEvent, event_id=event_id)
        return Response(
            WorkflowEventSerializer(event).data
            | {
                "payload": _payload(event) if may(request, VIEW_BODIES) else None,
                "pipeline_events": WorkflowEventSerializer(event.of_same_pipeline()[:MAX_RELATED], many=True).data,
                "deliveries": _deliveries(event) if may(request, VIEW_DELIVERIES) else None,
                "duplicates": event.duplicates or 0,
            }
        )


def _payload(event: WorkflowEvent) -> Any:
    delivery = event.deliveries.of_shown_version()
    if delivery is None:
        return None
    try:
        text = json.dumps(parse_payload(bytes(delivery.body)), ensure_ascii=False)
    except PayloadMalformed:  # Kept by an older version of webhooklog, which could read it.
        return None
    # A lone surrogate, which JSON can spell, cannot be sent in UTF-8.
    return json.loads(text.encode("utf-8", "replace"))


def _deliveries(event: WorkflowEvent) -> Any:
    newest = event.deliveries.newest_first().defer("body")
    return DeliverySerializer(newest[:MAX_RELATED], many=True).data
