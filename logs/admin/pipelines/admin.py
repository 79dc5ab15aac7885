"""Pipelines in the admin: a list with one row for each, and a page for each."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, QueryDict
from django.urls import reverse
from django.utils.translation import gettext as _

from logs.admin.events.list import EventListAdmin
from logs.admin.inspector import RowPageAdmin
from logs.admin.lists import page_links
from logs.admin.pipelines.page import pipeline_context
from logs.admin.pipelines.rows import MAX_SHOWN, read_rows
from logs.exceptions import InvalidQuery
from logs.models import WorkflowEvent
from logs.reading.cursors import Reading
from logs.reading.pipelines import read_page

PAGE_SIZE = 25


class PipelineAdmin(EventListAdmin, RowPageAdmin):
    """Shows the pipelines that have an event matching the filters, and a page for the pipeline of an event."""

    change_list_template = "logs/admin/lists/pipelines.html"
    row_template = "logs/admin/lists/pipeline_row.html"
    page_template = "logs/admin/pipeline_page.html"

    def rows(self) -> QuerySet[WorkflowEvent]:
        """Return all events with the columns that identify their pipelines."""
        return WorkflowEvent.objects.only("received_at", "project_slug", "pipeline_id")

    def context(self, query: QueryDict) -> dict[str, Any]:
        """Return the title, the filters and their choices."""
        return super().context(query) | {"title": _("Pipelines"), "max_shown": MAX_SHOWN}

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Return the context of a pipeline's page."""
        return {**pipeline_context(row), **self.way_back(request.GET.get("list", ""))}

    def list_url(self) -> str:
        """Return the URL of the list."""
        return reverse("admin:pipelines")

    def _reading(self, query: QueryDict) -> Reading:
        if "ordering" in query:
            raise InvalidQuery("Pipelines are always listed newest first; remove ordering.", "invalid_ordering")
        return super()._reading(query)

    def _shown(self, query: QueryDict) -> dict[str, Any]:
        reading = self._reading(query)
        page, newest = read_page(reading, PAGE_SIZE)
        return {"rows": read_rows(newest), **page_links(query, reading, page)}


# Not registered: the model has pages of its own. The site is a WebhooklogAdminSite, which the stubs do not know.
_pages = PipelineAdmin(WorkflowEvent, admin.site)
admin.site.add_page("pipelines/", _pages.changelist_view, name="pipelines")  # type: ignore[attr-defined]
admin.site.add_page("pipelines/<str:object_id>/", _pages.change_view, name="pipeline")  # type: ignore[attr-defined]
