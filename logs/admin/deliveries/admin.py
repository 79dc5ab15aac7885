"""Deliveries in the admin: the list, the pages and their URLs."""

from functools import partial
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
from logs.admin.deliveries.replay_matching import replay_matching_view
from logs.admin.deliveries.try_secret import try_view
from logs.admin.inspector import RowPageAdmin
from logs.http.downloads import body_response
from logs.models import Delivery
from logs.permissions import VIEW_BODIES, VIEW_DELIVERIES


@admin.register(Delivery)
class DeliveryAdmin(DeliveryListAdmin, RowPageAdmin):
    """Shows deliveries, newest first, with their outcomes and reasons."""

    page_template = "logs/admin/delivery_page.html"

    def get_urls(self) -> list[URLPattern]:
        """Return the URLs of the operators' actions, then the URLs of the list and the rows."""
        view = self.admin_site.admin_view
        own = [
            path("replay/", view(partial(replay_view, self)), name="logs_delivery_replay"),
            path("replay/matching/", view(partial(replay_matching_view, self)), name="logs_delivery_replay_matching"),
            path("prune/", view(partial(prune_view, self)), name="logs_delivery_prune"),
            path("<int:pk>/body/", view(self.body_view), name="logs_delivery_body"),
            path("<int:pk>/try-secret/", view(partial(try_view, self)), name="logs_delivery_try_secret"),
        ]
        return own + super().get_urls()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        """Return the deliveries without their bodies: only a page or a download loads a body."""
        return Delivery.objects.for_lists()

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Return the context of a delivery's page."""
        return {**delivery_context(request, row), **self.trail(request, row)}

    def body_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Return a delivery's bytes as a download.

        Raises:
            PermissionDenied: the user may not view bodies.
        """
        if not (request.user.has_perm(VIEW_DELIVERIES) and request.user.has_perm(VIEW_BODIES)):
            raise PermissionDenied
        delivery = self.get_object(request, str(pk))
        if delivery is None:
            return self.redirect_from_missing(request, str(pk))
        return body_response(delivery)
