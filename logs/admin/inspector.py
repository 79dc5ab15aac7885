"""What the admin's pages share: they show and never change."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from logs.times import EMPTY


class InspectorAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # It takes no type at run time.
    """Shows rows to those who may view them; nobody may add, change or delete one."""

    empty_value_display = EMPTY
    # Counting all rows beside the filtered ones would read the whole table.
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Allow the page's own filters only: any other could scan the table, or break on a regular expression."""
        own = {getattr(choice, "parameter_name", choice) for choice in self.list_filter}
        return lookup.removesuffix("__exact") in own

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody adds rows by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody changes what has happened."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody deletes a single row; retention does, by age."""
        return False


class RowPageAdmin(InspectorAdmin):
    """Shows each row on a page of its own making, in place of Django's form."""

    page_template: str

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Return what the template needs."""
        raise NotImplementedError

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show a row to those who may view it; of one that is gone, say so, as Django does.

        Raises:
            PermissionDenied: the user may not view it, or wants to change it.
        """
        row = self.get_object(request, unquote(object_id))
        if request.method not in ("GET", "HEAD") or not self.has_view_permission(request, row):
            raise PermissionDenied
        if row is None:
            return self.told_as_gone(request, object_id)
        context = {
            **self.admin_site.each_context(request),
            "title": str(row),
            "opts": self.opts,
            "original": row,
            **self.page_context(request, row),
        }
        return TemplateResponse(request, self.page_template, context)

    def told_as_gone(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Say that there is no such row, and lead to the first page, as Django does."""
        answer: HttpResponse = self._get_obj_does_not_exist_redirect(  # type: ignore[attr-defined]  # Not in the stubs.
            request, self.opts, object_id
        )
        return answer
