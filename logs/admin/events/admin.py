"""Events in the admin."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from logs.admin.events.list import EventListAdmin
from logs.admin.events.page import event_context
from logs.admin.inspector import RowPageAdmin
from logs.models import WorkflowEvent


@admin.register(WorkflowEvent)
class WorkflowEventAdmin(EventListAdmin, RowPageAdmin):
    """Shows events, newest first, and a page for each."""

    page_template = "logs/admin/event_page.html"

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Return the context of an event's page."""
        return {**event_context(request, row), **self.trail(request, row)}
