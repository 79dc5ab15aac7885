"""The base classes of the admin's pages, which show rows and never change them."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.functional import Promise

from logs.times import EMPTY


class InspectorAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # It takes no type at run time.
    """Shows rows to users with the permission to view them; rows cannot be added, changed or deleted."""

    empty_value_display = EMPTY
    # Counting all rows in addition to the filtered rows would read the whole table.
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Allow only the page's own filters: others could scan the table or contain an invalid regular expression."""
        own = {getattr(choice, "parameter_name", choice) for choice in self.list_filter}
        return lookup.removesuffix("__exact") in own

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Deny adding rows by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Deny changing recorded rows."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Deny deleting single rows; retention deletes by age."""
        return False


class RevocableAdmin(InspectorAdmin):
    """Lists keys that are shown once, when they are created, and are never changed; deleting one revokes it."""

    actions = None
    revoke_title: str | Promise
    revoked_message: str | Promise  # With the key's name as %s.

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Show the same on a key's page as in the list."""
        return self.list_display

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Ask whether to revoke a key, then revoke it."""
        return super().delete_view(request, object_id, {"title": self.revoke_title})

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: int) -> HttpResponse:
        """Return to the list, or to the dashboard if the user may not view it."""
        self.message_user(request, str(self.revoked_message) % obj_display, messages.SUCCESS)
        changelist = f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"
        return HttpResponseRedirect(reverse(changelist if self.has_view_permission(request) else "admin:index"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may create keys."""
        return admin.ModelAdmin.has_add_permission(self, request)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return whether the user may revoke keys."""
        return admin.ModelAdmin.has_delete_permission(self, request, obj)


class OwnListAdmin(InspectorAdmin):
    """Shows its list in a template of its own instead of Django's."""

    def list_context(self, request: HttpRequest) -> dict[str, Any]:
        """Return the context of the template; `problem` says why there are no rows."""
        raise NotImplementedError

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list.

        Raises:
            PermissionDenied: the user may not view the rows.
        """
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": str(self.opts.verbose_name_plural).capitalize(),
            "opts": self.opts,
            **self.list_context(request),
        }
        template = f"admin/logs/{self.opts.model_name}/change_list.html"
        return TemplateResponse(request, template, context, status=400 if "problem" in context else 200)


class RowPageAdmin(InspectorAdmin):
    """Shows each row on its own page instead of in Django's form."""

    page_template: str

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Return the context of the template."""
        raise NotImplementedError

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show a row, or redirect with a message if it does not exist.

        Raises:
            PermissionDenied: the user may not view the row, or the request would change it.
        """
        row = self.get_object(request, unquote(object_id))
        if request.method not in ("GET", "HEAD") or not self.has_view_permission(request, row):
            raise PermissionDenied
        if row is None:
            return self.redirect_from_missing(request, object_id)
        context = {
            **self.admin_site.each_context(request),
            "title": str(row),
            "opts": self.opts,
            "original": row,
            **self.page_context(request, row),
        }
        return TemplateResponse(request, self.page_template, context)

    def redirect_from_missing(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Redirect to the dashboard with the message that the row does not exist."""
        answer: HttpResponse = self._get_obj_does_not_exist_redirect(  # type: ignore[attr-defined]  # Not in the stubs.
            request, self.opts, object_id
        )
        return answer
