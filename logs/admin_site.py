"""The admin site: its name, its sign-in page, and the dashboard as its home page."""

# Not in logs.admin: importing that package registers its pages with this site, which must already exist.

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.forms import AdminAuthenticationForm
from django.http import HttpRequest, HttpResponse, QueryDict
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from logs.circleci.vocabulary import BAD_STATUSES, GOOD_STATUSES
from logs.http.receiving import receiving_url
from logs.insights.counting import refresh_if_stale
from logs.insights.dashboard import read_dashboard
from logs.insights.periods import period_of
from logs.insights.setup import read_notifying, read_setup
from logs.insights.watching import read_watch
from logs.models import Delivery, HourlyStatus, WorkflowEvent
from logs.models.deliveries import REFUSED
from logs.notifications.alarms import open_alarms
from logs.notifications.channels import TRANSPORTS
from logs.permissions import VIEW_ALARMS, VIEW_DELIVERIES, VIEW_EVENTS
from logs.standings.sources import read_news
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
    # Sums outlive the events that retention removes.
    if not (WorkflowEvent.objects.exists() or HourlyStatus.objects.exists()):
        return {"may_see_events": True} | _first_run_context(request)
    refresh_if_stale()
    period = period_of(request.GET.get("period", ""), timezone.now())
    has_channel, has_rule = read_notifying()
    return {
        "may_see_events": True,
        "news": read_news(timezone.now()),
        "has_channel": has_channel,
        "has_rule": has_rule,
        "alarms": open_alarms() if request.user.has_perm(VIEW_ALARMS) else [],
        "dashboard": read_dashboard(period, with_refusals=request.user.has_perm(VIEW_DELIVERIES)),
        # Start the query strings of links to lists: for the period, and for any time.
        "anytime": QueryDict(),
        "window": QueryDict(f"received_after={hour_in_url(period.since)}"),
        "bad_statuses": ",".join(BAD_STATUSES),
        "finished_statuses": ",".join(GOOD_STATUSES + BAD_STATUSES),
    }


def _first_run_context(request: HttpRequest) -> dict[str, Any]:
    """Return the context of the checklist that is shown until the first event arrives."""
    setup = read_setup()
    refusals = Delivery.objects.refused() if request.user.has_perm(VIEW_DELIVERIES) else Delivery.objects.none()
    return {
        "setup": setup,
        "setup_webhooks": [(each, receiving_url(request, each.webhook.slug)) for each in setup.webhooks],
        "is_url_guessed": not settings.SITE_URL,
        "watch": read_watch(),
        "transports": [(each.title, each.kind) for each in TRANSPORTS.values()],
        "has_refusals": refusals.exists(),
        "refused_outcomes": ",".join(REFUSED),
    }
