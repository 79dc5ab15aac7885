"""Notifications in the admin: the list, the pages and their URLs."""

from functools import partial
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, path

from logs.admin.inspector import OwnListAdmin, RowPageAdmin
from logs.admin.notifications.actions import ACTIONS, action_view
from logs.admin.notifications.list import list_context
from logs.admin.notifications.page import notification_context
from logs.admin.notifications.shown import with_subjects
from logs.models import Notification


@admin.register(Notification)
class NotificationAdmin(OwnListAdmin, RowPageAdmin):
    """Shows notifications; operators send them again or drop them."""

    page_template = "logs/admin/notification_page.html"

    def get_urls(self) -> list[URLPattern]:
        """Return the URLs of the actions, then the URLs of the list and the rows."""
        view = self.admin_site.admin_view
        actions = [
            path(
                f"<int:pk>/{name}/",
                view(partial(action_view, self, perform=perform)),
                name=f"logs_notification_{name}",
            )
            for name, perform in ACTIONS.items()
        ]
        return actions + super().get_urls()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Notification]:
        """Return the notifications with their channels and subjects."""
        return with_subjects(Notification.objects.select_related("channel", "merged_into"))

    def list_context(self, request: HttpRequest) -> dict[str, Any]:
        """Return a page of notifications."""
        return list_context(request)

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Return the context of a notification's page."""
        return notification_context(request, row)
