"""Rules in the admin: the list, the pages and their URLs."""

from functools import partial
from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path

from logs.admin.inspector import OwnListAdmin, RowPageAdmin
from logs.admin.rules.actions import switch_view
from logs.admin.rules.list import rule_rows, with_last_sent
from logs.admin.rules.page import rule_context
from logs.admin.rules.settings import add_view, settings_view
from logs.models import Rule, Subject
from logs.permissions import ADD_RULES, CHANGE_RULES, DELETE_RULES


@admin.register(Rule)
class RuleAdmin(OwnListAdmin, RowPageAdmin):
    """Shows, adds, changes and deletes rules."""

    page_template = "logs/admin/rule_page.html"

    def get_urls(self) -> list[URLPattern]:
        """Return the URLs of the settings and the actions, then the URLs of the list and the rows."""
        view = self.admin_site.admin_view
        enable, disable = (partial(switch_view, self, is_enabled=is_enabled) for is_enabled in (True, False))
        own = [
            path("<int:pk>/settings/", view(partial(settings_view, self)), name="logs_rule_settings"),
            path("<int:pk>/enable/", view(enable), name="logs_rule_enable"),
            path("<int:pk>/disable/", view(disable), name="logs_rule_disable"),
        ]
        return own + super().get_urls()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Rule]:
        """Return the rules with the users who added and changed them, and the times of their last messages."""
        return with_last_sent(Rule.objects.select_related("created_by", "changed_by"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may add rules."""
        return request.user.has_perm(ADD_RULES)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return whether the user may change rules."""
        return request.user.has_perm(CHANGE_RULES)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return whether the user may delete rules."""
        return request.user.has_perm(DELETE_RULES)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Name no dependent rows: the links to channels are part of a rule."""
        return [], {}, set(), []

    def list_context(self, request: HttpRequest) -> dict[str, Any]:
        """Return all rules."""
        rows = rule_rows()
        return {
            "rows": rows,
            "has_rule_for_log": any(row.rule.subject == Subject.LOG for row in rows),
            "may_add": self.has_add_permission(request),
        }

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the form for a new rule."""
        return add_view(self, request)

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Return the context of a rule's page."""
        return rule_context(request, row)
