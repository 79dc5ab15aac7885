"""The audit log in the admin: who did what, when and why."""

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
from logs.templatetags.display import timestamp

MAX_LISTED = 10_000


class BoundedPaginator(Paginator):  # type: ignore[type-arg]  # It takes no type at run time.
    """Counts only the newest entries: counting all of them would read the whole table."""

    @cached_property
    def count(self) -> int:
        """The number of listed entries."""
        return int(self.object_list[:MAX_LISTED].count())  # type: ignore[attr-defined]  # It is a queryset.


@admin.register(LogEntry)
class LogEntryAdmin(InspectorAdmin):
    """Lists the newest entries; older entries remain in the history of their rows."""

    list_display = ["at", "user", "row", "message"]
    list_select_related = ["user", "content_type"]
    ordering = ["-pk"]  # In order of insertion: the time has no index.
    sortable_by = ()
    list_per_page = 100
    paginator = BoundedPaginator
    fields = ["at", "user", "content_type", "row", "action_flag", "message"]

    def get_readonly_fields(self, request: HttpRequest, obj: LogEntry | None = None) -> Any:
        """Show everything as text."""
        return self.fields

    @admin.display(description=_("time"))
    def at(self, entry: LogEntry) -> SafeString | str:
        """Show when the action was performed."""
        return timestamp(entry.action_time)

    @admin.display(description=_("row"))
    def row(self, entry: LogEntry) -> SafeString | str:
        """Link to the changed row if it has a page."""
        url = None if entry.is_deletion() else entry.get_admin_url()
        return format_html('<a href="{}">{}</a>', url, entry.object_repr) if url else entry.object_repr

    @admin.display(description=_("change and reason"))
    def message(self, entry: LogEntry) -> str:
        """Show the action and its reason."""
        return entry.get_change_message()
