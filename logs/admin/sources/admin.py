"""Sources in the admin: one page for all of them, and its actions."""

from collections import Counter
from functools import partial
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from logs.admin.inspector import OwnListAdmin
from logs.admin.sources.blocks import read_blocks
from logs.admin.sources.muting import mute_view, unmute_view
from logs.admin.sources.refusals import read_refused
from logs.http.full_urls import receiving_url
from logs.insights.setup import read_setup
from logs.insights.watching import read_watch
from logs.models import Source
from logs.models.deliveries import REFUSED
from logs.permissions import MUTE_SOURCES, VIEW_DELIVERIES, VIEW_EVENTS
from logs.standings.sources import read_news
from logs.times import DAY

MAX_FILTER_LENGTH = 255


@admin.register(Source)
class SourceAdmin(OwnListAdmin):
    """Shows every webhook with its projects."""

    def get_urls(self) -> list[URLPattern]:
        """Return the URLs of the actions, then Django's."""
        view = self.admin_site.admin_view
        own = [
            path("mute/", view(partial(mute_view, self)), name="logs_source_mute"),
            path("unmute/", view(partial(unmute_view, self)), name="logs_source_unmute"),
        ]
        return own + super().get_urls()

    def list_context(self, request: HttpRequest) -> dict[str, Any]:
        """Return all webhooks with their projects."""
        return _context(request)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Redirect from the audit log's links to the page of all sources."""
        return HttpResponseRedirect(reverse("admin:logs_source_changelist"))


def _context(request: HttpRequest) -> dict[str, Any]:
    """Return the context of the page; the number of queries does not depend on the number of sources."""
    now, may = timezone.now(), request.user.has_perm
    project = request.GET.get("project", "").replace("\0", "").strip()[:MAX_FILTER_LENGTH]
    refused = read_refused(now - DAY) if may(VIEW_DELIVERIES) else Counter[str]()
    setup = read_setup()
    blocks = read_blocks(project=project, refused=refused, setup=setup, now=now)
    return {
        "news": read_news(now),
        "watch": read_watch(),
        "setup": setup,
        "blocks": [(block, receiving_url(request, block.webhook.slug) if block.webhook else "") for block in blocks],
        "shared_url": receiving_url(request, ""),
        "shared_refused": refused[""],
        "is_url_guessed": not settings.SITE_URL,
        "project": project,
        "may_filter": bool(project) or any(block.hidden for block in blocks),
        "refused_outcomes": ",".join(REFUSED),
        "may_mute": may(MUTE_SOURCES),
        "is_any_muted": any(block.is_muted or any(row.is_muted for row in block.rows) for block in blocks),
        "may_see_events": may(VIEW_EVENTS),
        "may_see_deliveries": may(VIEW_DELIVERIES),
    }
