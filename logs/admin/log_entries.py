"""The admin's own log: who did what, when and why."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.core.paginator import Paginator
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from logs.admin.inspector import InspectorAdmin
from logs.templatetags.display import moment

MAX_LISTED = 10_000


class BoundedPaginator(Paginator):  # type: ignore[type-arg]  # It takes no type at run time.
    """Counts no further than the newest entries, whose pages anybody would turn."""

    @cached_property
    def count(self) -> int:
        """How many entries are listed."""
        return int(self.object_list[:MAX_LISTED].count())  # type: ignore[attr-defined]  # It is a queryset.


@admin.register(LogEntry)
class LogEntryAdmin(InspectorAdmin):
    """Shows the newest entries; each row keeps its own history, so that older ones are found at their rows."""

    list_display = ["at", "user", "row", "message"]
    list_select_related = ["user", "content_type"]
    ordering = ["-pk"]  # As they were written: nothing indexes the time.
    sortable_by = ()
    list_per_page = 100
    paginator = BoundedPaginator
    fields = ["at", "user", "content_type", "row", "action_flag", "message"]

    def get_readonly_fields(self, request: HttpRequest, obj: LogEntry | None = None) -> Any:
        """Show everything as text."""
        return self.fields

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """List the entries, under what they are."""
        return super().changelist_view(request, {"title": _("Admin's log")} | (extra_context or {}))

    @admin.display(description=_("when"))
    def at(self, entry: LogEntry) -> SafeString | str:
        """Show when it was done."""
        return moment(entry.action_time)

    @admin.display(description=_("what"))
    def row(self, entry: LogEntry) -> SafeString | str:
        """Link to the row that was changed, where it has a page."""
        url = None if entry.is_deletion() else entry.get_admin_url()
        return format_html('<a href="{}">{}</a>', url, entry.object_repr) if url else entry.object_repr

    @admin.display(description=_("change and reason"))
    def message(self, entry: LogEntry) -> str:
        """Show what was done, and the reason given."""
        return entry.get_change_message()
