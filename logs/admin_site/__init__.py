"""The admin site: its name, its sign-in page, and the dashboard as its home page."""

# Not in logs.admin: importing that package registers its pages with this site, which must already exist.

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.contrib import admin
from django.contrib.admin.forms import AdminAuthenticationForm
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext_lazy as _

from logs.admin_site.dashboard import dashboard_context


class SignInForm(AdminAuthenticationForm):
    """The form for signing in."""

    error_messages = AdminAuthenticationForm.error_messages | {
        "invalid_login": _("Wrong username or password, or no access to these pages.")
    }


class WebhooklogAdminSite(admin.AdminSite):
    """Opens with the dashboard: broken workflows, and figures for a day or a week."""

    site_header = site_title = "webhooklog"
    index_title = _("CircleCI webhooks")
    login_form = SignInForm
    # The tables need the sidebar's space.
    enable_nav_sidebar = False

    def __init__(self, name: str = "admin") -> None:
        super().__init__(name)
        self._pages: list[URLPattern] = []

    def add_page(self, route: str, view: Callable[..., HttpResponse], *, name: str) -> None:
        """Add a page that belongs to no model; only signed-in staff reach its view, which checks their permissions."""
        self._pages.append(path(route, self.admin_view(view), name=name))

    def get_urls(self) -> list[Any]:
        """Return the URLs of pages without a model, then the admin's own URLs."""
        return [*self._pages, *super().get_urls()]

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """Show the dashboard to users who may view events, and the links to all pages to every user."""
        context = dashboard_context(request)
        response = super().index(request, context | (extra_context or {}))
        if context["is_wall"]:
            response.template_name = "logs/admin/wall.html"
        if context.get("is_unknown_project"):
            response.status_code = HTTPStatus.NOT_FOUND
        return response

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Return the pages in groups; applications with the same name share a group."""
        groups: dict[str, Any] = {}
        for app in super().get_app_list(request, app_label):
            group = groups.setdefault(str(app["name"]), app | {"models": []})
            group["models"] = sorted(group["models"] + app["models"], key=lambda model: str(model["name"]).lower())
        return list(groups.values())
