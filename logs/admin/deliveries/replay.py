"""Replay of selected deliveries in the admin: a preview, then the replay once the operator has given a reason."""

import re

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from logs.admin.deliveries.outcomes import MAX_AT_ONCE, Outcomes, event_links, preview, replay_each
from logs.admin.deliveries.reason import ReasonForm
from logs.admin.lists import ListAdmin
from logs.permissions import REPLAY, VIEW_DELIVERIES

_KEY = re.compile(r"[0-9]{1,18}")


def replay_view(model_admin: ListAdmin, request: HttpRequest) -> HttpResponse:
    """Preview the replay of the selected deliveries, or replay them once the operator confirms.

    Raises:
        PermissionDenied: the user may not replay.
    """
    require_replay(request)
    keys, list_query = _selected_keys(request), request.POST.get("list", request.GET.get("list"))
    way_back = model_admin.way_back(list_query or "")
    # Without a list's query, the operator comes from a delivery's page, and returns to it.
    list_url = None if list_query is None else way_back["list_url"]
    if problem := _problem_with(keys):
        model_admin.message_user(request, problem, messages.ERROR)
        return HttpResponseRedirect(way_back["list_url"])
    form = ReasonForm(request.POST if "confirm" in request.POST else None)
    if request.method == "POST" and form.is_valid():
        outcomes = replay_each(model_admin, request, keys, form.cleaned_data["reason"])
        _report(model_admin, request, outcomes)
        return HttpResponseRedirect(_page_after(list_url, [each.delivery.pk for each in outcomes.replays]))
    outcomes = preview(request, keys)
    context = {
        **model_admin.admin_site.each_context(request),
        "title": _("Replay deliveries"),
        "form": form,
        "outcomes": outcomes,
        "ids": ",".join(str(each.delivery.pk) for each in outcomes.replays),
        "is_from_list": list_query is not None,
        "back_url": _page_after(list_url, keys),
        **way_back,
    }
    return TemplateResponse(request, "logs/admin/replay.html", context)


def require_replay(request: HttpRequest) -> None:
    """Reject a user who may not replay.

    Raises:
        PermissionDenied: the user may not replay.
    """
    if not (request.user.has_perm(VIEW_DELIVERIES) and request.user.has_perm(REPLAY)):
        raise PermissionDenied


def _selected_keys(request: HttpRequest) -> list[int]:
    """Return the primary keys sent by a list, a page or the confirmation form, oldest delivery first."""
    texts = request.POST.getlist("_selected_action")
    texts += request.POST.get("ids", request.GET.get("ids", "")).split(",")
    return sorted({int(text) for text in texts if _KEY.fullmatch(text)})


def _problem_with(keys: list[int]) -> str:
    if not keys:
        return _("No delivery selected.")
    if len(keys) > MAX_AT_ONCE:
        return _("Select at most %(most)d deliveries, or filter the list and replay all matches.") % {
            "most": MAX_AT_ONCE
        }
    return ""


def _page_after(list_url: str | None, keys: list[int]) -> str:
    """Return the URL of the list, or if it is None, of the page of a single delivery."""
    if list_url is None and len(keys) == 1:
        return reverse("admin:logs_delivery_change", args=keys)
    return list_url or reverse("admin:logs_delivery_changelist")


def _report(model_admin: ListAdmin, request: HttpRequest, outcomes: Outcomes) -> None:
    count = len(outcomes.replays)
    if count:
        message = ngettext(
            "Replayed %(count)d delivery: %(changes)s.", "Replayed %(count)d deliveries: %(changes)s.", count
        )
        changes = ", ".join(f"{number} × {change}" for change, number in outcomes.counts)
        level = messages.SUCCESS if any(each.fixed for each in outcomes.replays) else messages.WARNING
        links = event_links(request, outcomes.events)
        text = format_html("{} {}", message % {"count": count, "changes": changes}, links)
        model_admin.message_user(request, text, level)
    if gone := len(outcomes.gone):
        message = ngettext(
            "Retention has removed %(count)d of the deliveries.",
            "Retention has removed %(count)d of the deliveries.",
            gone,
        )
        model_admin.message_user(request, message % {"count": gone}, messages.WARNING)
