"""The URLs of the endpoints, with and without a trailing slash: a redirect would drop the body of a POST."""

from django.urls import re_path

from logs.api.receiving import ReceiveWebhookView
from logs.api.schema.views import DocsView, SchemaView
from logs.api.views.deliveries import DeliveryBodyView, DeliveryDetailView, DeliveryListView, DeliveryReplayView
from logs.api.views.events import EventDetailView, EventListView
from logs.api.views.home import HomeView
from logs.api.views.insights import (
    FlakyJobsView,
    JobsView,
    PipelineView,
    RecoveriesView,
    SeriesView,
    WorkflowsView,
)
from logs.api.views.standings import CCTrayView, ChangeListView, StandingListView
from logs.api.views.stream import DeliveryStreamView

app_name = "logs"

# An event's id is any text without NUL, which PostgreSQL rejects even in a query.
# fmt: off
receiving = [
    re_path(r"^log-circleci-webhook/?\Z",                        ReceiveWebhookView.as_view(), name="receive"),
    re_path(r"^log-circleci-webhook/(?P<webhook>[-a-zA-Z0-9_]+)/?\Z",
                                                                 ReceiveWebhookView.as_view(), name="receive-webhook"),
]
urlpatterns = [
    *receiving,
    re_path(r"^(?:admin)?\Z",                                    HomeView.as_view(),           name="home"),
    re_path(r"^fetch-webhooks-logs/?\Z",                         EventListView.as_view(),      name="events"),
    re_path(r"^fetch-webhooks-logs/(?P<event_id>[^\x00]+?)/?\Z", EventDetailView.as_view(),    name="event"),
    re_path(r"^deliveries/?\Z",                                  DeliveryListView.as_view(),   name="deliveries"),
    re_path(r"^deliveries/stream/?\Z",                           DeliveryStreamView.as_view(), name="delivery-stream"),
    re_path(r"^deliveries/(?P<pk>[0-9]{1,18})/?\Z",              DeliveryDetailView.as_view(), name="delivery"),
    re_path(r"^deliveries/(?P<pk>[0-9]{1,18})/body/?\Z",         DeliveryBodyView.as_view(),   name="delivery-body"),
    re_path(r"^deliveries/(?P<pk>[0-9]{1,18})/replay/?\Z",       DeliveryReplayView.as_view(), name="delivery-replay"),
    re_path(r"^api/changes/?\Z",                                 ChangeListView.as_view(),     name="changes"),
    re_path(r"^api/standings/?\Z",                               StandingListView.as_view(),   name="standings"),
    re_path(r"^api/insights/workflows/?\Z",                      WorkflowsView.as_view(),      name="workflows"),
    re_path(r"^api/insights/jobs/?\Z",                           JobsView.as_view(),           name="jobs"),
    re_path(r"^api/insights/timeseries/?\Z",                     SeriesView.as_view(),         name="series"),
    re_path(r"^api/insights/recoveries/?\Z",                     RecoveriesView.as_view(),     name="recoveries"),
    re_path(r"^api/insights/flaky-jobs/?\Z",                     FlakyJobsView.as_view(),      name="flaky-jobs"),
    re_path(r"^api/insights/pipelines/(?P<pipeline_id>[^/\x00]+)/?\Z",
                                                                 PipelineView.as_view(),       name="pipeline"),
    re_path(r"^cc\.xml/?\Z",                                     CCTrayView.as_view(),         name="cctray"),
    re_path(r"^api/schema/?\Z",                                  SchemaView.as_view(),         name="schema"),
    re_path(r"^api/docs/?\Z",                                    DocsView.as_view(),           name="docs"),
]
# fmt: on
