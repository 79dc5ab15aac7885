"""The endpoints for state changes and standings."""

from logs.api.standings import ChangeSerializer, StandingSerializer
from logs.api.views.base import PagedListView
from logs.models import Standing, StateChange
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
