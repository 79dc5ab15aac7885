"""The endpoints for events."""

from django.shortcuts import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from logs.api.serializers.log import EventDetailSerializer, WorkflowEventSerializer
from logs.api.views.base import PagedListView, ReadingView
from logs.models import WorkflowEvent
from logs.permissions import VIEW_EVENTS
from logs.reading.filters import EventFilterSet
from logs.reading.pages import EVENT_ORDERS


class EventListView(PagedListView):
    """Lists events, newest first."""

    name = "Events"
    required_permissions = [VIEW_EVENTS]
    queryset = WorkflowEvent.objects.all()
    serializer_class = WorkflowEventSerializer
    filterset_class = EventFilterSet
    orders = EVENT_ORDERS
    export_name = "events"


class EventDetailView(ReadingView):
    """Shows one event by its CircleCI id, with its payload, its deliveries and the other events of its pipeline."""

    name = "Event"
    required_permissions = [VIEW_EVENTS]

    def get(self, request: Request, event_id: str) -> Response:
        """Return the event; parts that the user may not view, or that retention has removed, are null."""
        event = get_object_or_404(WorkflowEvent, event_id=event_id)
        return Response(EventDetailSerializer(event, context={"request": request}).data)
