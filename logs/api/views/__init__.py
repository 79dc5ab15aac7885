"""The endpoints: CircleCI's on one side, its readers' on the other."""

from logs.api.views.deliveries import DeliveryBodyView, DeliveryDetailView, DeliveryListView, DeliveryReplayView
from logs.api.views.events import EventDetailView, EventListView
from logs.api.views.home import HomeView
from logs.api.views.receiving import ReceiveWebhookView
from logs.api.views.streaming import DeliveryStreamView

__all__ = [
    "DeliveryBodyView",
    "DeliveryDetailView",
    "DeliveryListView",
    "DeliveryReplayView",
    "DeliveryStreamView",
    "EventDetailView",
    "EventListView",
    "HomeView",
    "ReceiveWebhookView",
]
