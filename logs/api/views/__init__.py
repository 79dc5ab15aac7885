"""The endpoints for readers."""

from logs.api.views.deliveries import DeliveryBodyView, DeliveryDetailView, DeliveryListView, DeliveryReplayView
from logs.api.views.events import EventDetailView, EventListView
from logs.api.views.home import HomeView
from logs.api.views.stream import DeliveryStreamView

__all__ = [
    "DeliveryBodyView",
    "DeliveryDetailView",
    "DeliveryListView",
    "DeliveryReplayView",
    "DeliveryStreamView",
    "EventDetailView",
    "EventListView",
    "HomeView",
]
