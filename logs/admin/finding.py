"""The page that answers a search: whether something arrived, was refused, or never arrived."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, QueryDict
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from logs import conf
from logs.admin.deliveries.advice import advice_for
from logs.exceptions import InvalidQuery
from logs.http.full_urls import receiving_url
from logs.models.deliveries import REFUSED
from logs.permissions import VIEW_DELIVERIES, VIEW_EVENTS
from logs.reading.finding import Findings, find
from logs.reading.pages import MAX_SCANNED
from logs.templatetags.figures import hour_in_url

MAX_LENGTH = 500
MAX_URLS = 5
# The filters of the list of deliveries that find claims.
CLAIM_FILTERS = {"pipeline", "revision", "branch"}


def find_view(request: HttpRequest) -> HttpResponse:
    """Show what the log knows about a text, or what can be searched for.

    Raises:
        PermissionDenied: the user may not view events.
    """
    if not request.user.has_perm(VIEW_EVENTS):
        raise PermissionDenied
    text = request.GET.get("q", "").replace("\0", "").strip()
    answer = _answer(request, text) if text else {}
    context = {**admin.site.each_context(request), "title": _("Search"), "find_text": text, **answer}
    return TemplateResponse(request, "logs/admin/find.html", context, status=400 if "problem" in answer else 200)


def _answer(request: HttpRequest, text: str) -> dict[str, Any]:
    if len(text) > MAX_LENGTH:
        return {"problem": _("The text is longer than %(most)d characters.") % {"most": MAX_LENGTH}}
    may_see_deliveries = request.user.has_perm(VIEW_DELIVERIES)
    try:
        findings = find(text, with_refused=may_see_deliveries)
    except InvalidQuery as error:
        return {"problem": str(error)}
    filters = findings.wanted.filters
    return {
        "findings": findings,
        "refused": [(claim, advice_for(claim.delivery, is_cut=False)) for claim in findings.refused],
        "refused_outcomes": ",".join(REFUSED),
        "refused_query": _query({name: value for name, value in filters.items() if name in CLAIM_FILTERS}),
        "anytime": QueryDict(),
        "may_see_deliveries": may_see_deliveries,
        # Those since its source was last heard from; None removes the filter.
        "heard_since": hour_in_url(findings.heard.at) if findings.heard and findings.heard.at else None,
        "max_scanned": MAX_SCANNED,
        "event_retention_days": settings.EVENT_RETENTION_DAYS,
        "urls": _receiving_urls(request, findings),
    }


def _query(values: Mapping[str, str]) -> QueryDict:
    query = QueryDict(mutable=True)
    query.update(values)
    return query


def _receiving_urls(request: HttpRequest, findings: Findings) -> list[str]:
    """Return the URLs that a webhook may have: the one that all webhooks share, and the source's own or any."""
    heard = findings.heard
    own = heard.source.webhook if heard and heard.source and heard.is_project else ""
    slugs = [webhook.slug for webhook in conf.webhooks() if own in ("", webhook.name)]
    return [receiving_url(request, slug) for slug in dict.fromkeys(["", *slugs[:MAX_URLS]])]


admin.site.add_page("find/", find_view, name="find")  # type: ignore[attr-defined]  # It is a WebhooklogAdminSite.
