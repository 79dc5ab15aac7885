"""The addresses of the endpoints, each with and without a trailing slash, so that a POST never meets a redirect."""

from django.urls import re_path

from logs.api.views import EventDetailView, EventListView, ReceiveWebhookView

app_name = "logs"

# An event's id is any text but NUL, which PostgreSQL refuses even to look for.
# fmt: off
urlpatterns = [
    re_path(r"^log-circleci-webhook/?\Z",                         ReceiveWebhookView.as_view(), name="receive"),
    re_path(r"^log-circleci-webhook/(?P<webhook>[-\w]+)/?\Z",     ReceiveWebhookView.as_view(), name="receive-webhook"),
    re_path(r"^fetch-webhooks-logs/?\Z",                          EventListView.as_view(),      name="events"),
    re_path(r"^fetch-webhooks-logs/(?P<event_id>[^\x00]+?)/?\Z", EventDetailView.as_view(),    name="event"),
]
# fmt: on
