"""The admin site: its name, its sign-in page, and the dashboard as its home page."""

# Not in logs.admin: importing that package registers its pages with this site, which must already exist.

from typing import Any

from django.contrib import admin
from django.contrib.admin.forms import AdminAuthenticationForm
from django.http import HttpRequest, QueryDict
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from logs.circleci.vocabulary import BAD_STATUSES, GOOD_STATUSES
from logs.insights.counting import refresh_if_stale
from logs.insights.dashboard import read_dashboard
from logs.insights.periods import period_of
from logs.permissions import VIEW_DELIVERIES, VIEW_EVENTS
from logs.templatetags.figures import hour_in_url


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

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """Show the dashboard to users who may view events, and the links to all pages to every user."""
        return super().index(request, _dashboard_context(request) | (extra_context or {}))

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Return the pages in groups; applications with the same name share a group."""
        groups: dict[str, Any] = {}
        for app in super().get_app_list(request, app_label):
            group = groups.setdefault(str(app["name"]), app | {"models": []})
            group["models"] = sorted(group["models"] + app["models"], key=lambda model: str(model["name"]).lower())
        return list(groups.values())


def _dashboard_context(request: HttpRequest) -> dict[str, Any]:
    if not request.user.has_perm(VIEW_EVENTS):
        return {"may_see_events": False}
    refresh_if_stale()
    period = period_of(request.GET.get("period", ""), timezone.now())
    return {
        "may_see_events": True,
        "dashboard": read_dashboard(period, with_refusals=request.user.has_perm(VIEW_DELIVERIES)),
        # Start the query strings of links to lists: for the period, and for any time.
        "anytime": QueryDict(),
        "window": QueryDict(f"received_after={hour_in_url(period.since)}"),
        "bad_statuses": ",".join(BAD_STATUSES),
        "finished_statuses": ",".join(GOOD_STATUSES + BAD_STATUSES),
    }
