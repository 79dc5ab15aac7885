"""Deliveries in the admin."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path

from logs.admin.deliveries.list import DeliveryListAdmin
from logs.admin.deliveries.page import delivery_context
from logs.admin.deliveries.prune import prune_view
from logs.admin.deliveries.replay import replay_view
from logs.admin.inspector import RowPageAdmin
from logs.http.downloads import body_response
from logs.models import Delivery
from logs.permissions import VIEW_BODIES, VIEW_DELIVERIES


@admin.register(Delivery)
class DeliveryAdmin(DeliveryListAdmin, RowPageAdmin):
    """Shows what arrived, newest first, with its outcome and the reason for it."""

    page_template = "logs/admin/delivery_page.html"

    def get_urls(self) -> list[URLPattern]:
        """Return the addresses of the list and the rows, and before them those of what operators do."""
        view = self.admin_site.admin_view
        own = [
            path("replay/", view(self.replay_view), name="logs_delivery_replay"),
            path("prune/", view(self.prune_view), name="logs_delivery_prune"),
            path("<int:pk>/body/", view(self.body_view), name="logs_delivery_body"),
        ]
        return own + super().get_urls()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        """Leave the bodies out: only a download reads one."""
        return Delivery.objects.for_lists()

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Return all that is known of a delivery."""
        return delivery_context(request, row)

    def replay_view(self, request: HttpRequest) -> HttpResponse:
        """Replay deliveries, after a confirmation."""
        return replay_view(self, request)

    def prune_view(self, request: HttpRequest) -> HttpResponse:
        """Apply the rules of retention, after a confirmation."""
        return prune_view(self, request)

    def body_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Hand out a delivery's bytes.

        Raises:
            PermissionDenied: the user may not see them.
        """
        if not (request.user.has_perm(VIEW_DELIVERIES) and request.user.has_perm(VIEW_BODIES)):
            raise PermissionDenied
        delivery = self.get_object(request, str(pk))
        if delivery is None:
            return self.told_as_gone(request, str(pk))
        return body_response(delivery)
