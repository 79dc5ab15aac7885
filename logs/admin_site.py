"""The admin's site: its name, and its first page, the dashboard."""

# Not within logs.admin: importing that package registers its pages, at a site that must be there already.

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, QueryDict
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from logs.circleci.vocabulary import BAD_STATUSES, GOOD_STATUSES
from logs.insights.counting import refresh_if_stale
from logs.insights.dashboard import read_dashboard
from logs.insights.periods import period_of
from logs.permissions import VIEW_DELIVERIES, VIEW_EVENTS
from logs.templatetags.figures import hour_in_address


class WebhooklogAdminSite(admin.AdminSite):
    """Opens with what is broken, and with the figures of a day or a week."""

    site_header = site_title = "webhooklog"
    index_title = _("CircleCI webhooks")
    # The tables need its room.
    enable_nav_sidebar = False

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """Show the dashboard to those who may view events, and the list of applications to everybody."""
        return super().index(request, _dashboard_context(request) | (extra_context or {}))


def _dashboard_context(request: HttpRequest) -> dict[str, Any]:
    if not request.user.has_perm(VIEW_EVENTS):
        return {"missing_permission": VIEW_EVENTS}
    refresh_if_stale()
    period = period_of(request.GET.get("period", ""), timezone.now())
    return {
        "dashboard": read_dashboard(period, with_refusals=request.user.has_perm(VIEW_DELIVERIES)),
        # What the addresses of lists begin with: those of the period, and those of any time.
        "anytime": QueryDict(),
        "window": QueryDict(f"received_after={hour_in_address(period.since)}"),
        "bad_statuses": ",".join(BAD_STATUSES),
        "finished_statuses": ",".join(GOOD_STATUSES + BAD_STATUSES),
        "deliveries_permission": VIEW_DELIVERIES,
    }
