"""The list of events in the admin."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import reverse
from django.utils.translation import gettext as _

from logs import conf
from logs.admin.links import changed, chips, other_filters, span_chips, without
from logs.admin.lists import ListAdmin
from logs.circleci.vocabulary import BAD_STATUSES, EventType
from logs.models import WorkflowEvent
from logs.reading.filters import EventFilterSet
from logs.reading.finding import event_of_id, list_filters
from logs.reading.pages import EVENT_ORDERS

SHOWN_COLUMNS = tuple(
    field.name for field in WorkflowEvent._meta.concrete_fields if field.name not in ("project_id", "organization")
)
SEARCHED = ("q", "revision", "pipeline", "workflow_id", "pipeline_id")
FIELDS = frozenset({"project", "workflow", "branch", "author", "webhook"})


class EventListAdmin(ListAdmin):
    """Lists events."""

    filterset_class = EventFilterSet
    orders = EVENT_ORDERS
    row_template = "logs/admin/lists/event_row.html"
    suggested_columns = ("project", "workflow", "branch", "author")
    form_fields = FIELDS.union(SEARCHED)
    export_url_name = "logs:events"

    def rows(self) -> QuerySet[WorkflowEvent]:
        """Return all events."""
        return WorkflowEvent.objects.only(*SHOWN_COLUMNS)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Redirect a search to the matching event or filters, or show the list."""
        self._require_permission(request)
        if text := request.GET.get("search", "").replace("\x00", "").strip():
            if event := event_of_id(text):
                return HttpResponseRedirect(reverse("admin:logs_workflowevent_change", args=[event.pk]))
            kept = without(request.GET, "search", "cursor", *SEARCHED)
            return HttpResponseRedirect(f"?{changed(kept, **list_filters(text)).urlencode()}")
        return super().changelist_view(request, extra_context)

    def context(self, query: QueryDict) -> dict[str, Any]:
        """Return the filters and their choices."""
        searched = next((name for name in SEARCHED if name in query), "q")
        return {
            "groups": [
                (_("Status"), chips(query, "status", _statuses())),
                (_("Type"), chips(query, "event_type", _event_types())),
                (_("Received"), span_chips(query)),
            ],
            "search_text": ("#" if searched == "pipeline" else "") + query.get(searched, ""),
            "webhook_names": [webhook.name for webhook in conf.webhooks()],
            "other_filters": other_filters(query, shown=FIELDS.union(SEARCHED, ["status", "event_type"])),
        }


def _statuses() -> dict[str, str]:
    return {
        "": _("All"),
        ",".join(BAD_STATUSES): _("Any failure"),
        "success": _("Succeeded"),
        "canceled": _("Canceled"),
        "on_hold": _("On hold"),
    }


def _event_types() -> dict[str, str]:
    return {
        "": _("All"),
        EventType.WORKFLOW_COMPLETED: _("Workflows"),
        EventType.JOB_COMPLETED: _("Jobs"),
    }
