"""The endpoints for state changes and standings."""

from django.http import HttpResponse
from rest_framework.request import Request

from logs.api.negotiation import FirstRenderer
from logs.api.serializers.standings import ChangeSerializer, StandingSerializer
from logs.api.views.base import PagedListView, ReadingView
from logs.feeds.cctray import cctray_of
from logs.feeds.choosing import read_branches, read_choice
from logs.http.full_urls import home_url
from logs.models import Feed, Standing, StateChange
from logs.permissions import VIEW_EVENTS
from logs.reading.pages import CHANGE_ORDERS, STANDING_ORDERS
from logs.reading.standing_filters import ChangeFilterSet, StandingFilterSet


class ChangeListView(PagedListView):
    """Lists the changes between good and bad, the newest first."""

    name = "Changes"
    required_permissions = [VIEW_EVENTS]
    queryset = StateChange.objects.for_lists()
    serializer_class = ChangeSerializer
    filterset_class = ChangeFilterSet
    orders = CHANGE_ORDERS
    export_name = "changes"


class StandingListView(PagedListView):
    """Lists the state of each workflow on each branch, the one with the newest run first."""

    name = "Standings"
    required_permissions = [VIEW_EVENTS]
    queryset = Standing.objects.judged().for_lists()
    serializer_class = StandingSerializer
    filterset_class = StandingFilterSet
    orders = STANDING_ORDERS
    export_name = "standings"


class CCTrayView(ReadingView):
    """Returns the state of branches for build monitors that sign in; those that cannot use a feed."""

    required_permissions = [VIEW_EVENTS]
    content_negotiation_class = FirstRenderer  # Monitors accept anything, or ask for a type of their own.
    parameters = ["project", "workflow", "branch", "branches"]

    def get(self, request: Request) -> HttpResponse:
        """Return the document."""
        branches = read_branches(read_choice(Feed(), request.query_params))
        return HttpResponse(cctray_of(branches, home_url(request)), content_type="application/xml")
