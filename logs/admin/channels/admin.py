"""Channels in the admin: the list, the pages and their URLs."""

from functools import partial
from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path

from logs.admin.channels.actions import ACTIONS, action_view
from logs.admin.channels.list import channel_rows
from logs.admin.channels.page import channel_context
from logs.admin.channels.settings import add_view, settings_view
from logs.admin.inspector import OwnListAdmin, RowPageAdmin
from logs.models import Channel
from logs.permissions import ADD_CHANNELS, CHANGE_CHANNELS


@admin.register(Channel)
class ChannelAdmin(OwnListAdmin, RowPageAdmin):
    """Shows, adds and changes channels; they can be disabled but not deleted."""

    page_template = "logs/admin/channel_page.html"

    def get_urls(self) -> list[URLPattern]:
        """Return the URLs of the settings and the actions, then the URLs of the list and the rows."""
        view = self.admin_site.admin_view
        settings = path("<int:pk>/settings/", view(partial(settings_view, self)), name="logs_channel_settings")
        actions = [
            path(
                f"<int:pk>/{name}/",
                view(partial(action_view, self, action=action)),
                name=f"logs_channel_{name}",
            )
            for name, action in ACTIONS.items()
        ]
        return [settings, *actions, *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Channel]:
        """Return the channels with the users who added and changed them."""
        return Channel.objects.select_related("created_by", "changed_by")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may add channels."""
        return request.user.has_perm(ADD_CHANNELS)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return whether the user may change channels."""
        return request.user.has_perm(CHANGE_CHANNELS)

    def list_context(self, request: HttpRequest) -> dict[str, Any]:
        """Return all channels."""
        return {"rows": channel_rows(), "may_add": self.has_add_permission(request)}

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Offer the kinds of channels, or the form for one."""
        return add_view(self, request)

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Return the context of a channel's page."""
        return channel_context(request, row)
