"""Replay in the admin: a preview, then the replay once the operator has given a reason."""

import re
from collections import Counter
from dataclasses import dataclass, field

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from logs.admin.deliveries.reason import ReasonForm
from logs.admin.lists import ListAdmin
from logs.ingest.replay import Replay, replay
from logs.models import Delivery
from logs.permissions import REPLAY, VIEW_DELIVERIES

MAX_AT_ONCE = 25  # Each replay is a transaction, even in the preview, and delays incoming deliveries.

_KEY = re.compile(r"[0-9]{1,18}")


@dataclass(slots=True, kw_only=True)
class Outcomes:
    """The results of a replay of several deliveries, or of its preview."""

    replays: list[Replay] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)  # The keys of deliveries that retention has removed.

    @property
    def counts(self) -> list[tuple[str, int]]:
        """The number of deliveries per change of outcome."""
        return sorted(Counter(change_of(each) for each in self.replays).items())

    @property
    def has_shared_event(self) -> bool:
        """Whether several of the deliveries report the same event."""
        events = [each.verdict.event_id for each in self.replays if each.verdict.event_id]
        return len(events) > len(set(events))


def change_of(result: Replay) -> str:
    """Return a change of outcome as text."""
    return f"{result.before} → {result.verdict.outcome}"


def replay_view(model_admin: ListAdmin, request: HttpRequest) -> HttpResponse:
    """Preview the replay of the selected deliveries, or replay them once the operator confirms.

    Raises:
        PermissionDenied: the user may not replay.
    """
    if not (request.user.has_perm(VIEW_DELIVERIES) and request.user.has_perm(REPLAY)):
        raise PermissionDenied
    keys = _selected_keys(request)
    if problem := _problem_with(keys):
        model_admin.message_user(request, problem, messages.ERROR)
        return HttpResponseRedirect(_page_after([]))
    form = ReasonForm(request.POST if "confirm" in request.POST else None)
    if request.method == "POST" and form.is_valid():
        return _perform(model_admin, request, keys, form.cleaned_data["reason"])
    return _ask(model_admin, request, keys, form)


def _selected_keys(request: HttpRequest) -> list[int]:
    """Return the primary keys sent by a list, a page or the confirmation form, oldest delivery first."""
    texts = request.POST.getlist("_selected_action")
    texts += request.POST.get("ids", request.GET.get("ids", "")).split(",")
    return sorted({int(text) for text in texts if _KEY.fullmatch(text)})


def _problem_with(keys: list[int]) -> str:
    if not keys:
        return _("No delivery selected.")
    if len(keys) > MAX_AT_ONCE:
        return _("Select at most %(most)d deliveries, or run manage.py replay_deliveries.") % {"most": MAX_AT_ONCE}
    return ""


def _page_after(keys: list[int]) -> str:
    if len(keys) == 1:
        return reverse("admin:logs_delivery_change", args=keys)
    return reverse("admin:logs_delivery_changelist")


def _ask(model_admin: ListAdmin, request: HttpRequest, keys: list[int], form: ReasonForm) -> HttpResponse:
    outcomes = Outcomes()
    for key in keys:
        _replay_into(outcomes, key, actor=request.user.get_username(), dry_run=True)
    context = {
        **model_admin.admin_site.each_context(request),
        "title": _("Replay deliveries"),
        "form": form,
        "outcomes": outcomes,
        "ids": ",".join(str(each.delivery.pk) for each in outcomes.replays),
        "back_url": _page_after(keys),
        **model_admin.way_back(request.POST.get("list", request.GET.get("list", ""))),
    }
    return TemplateResponse(request, "logs/admin/replay.html", context)


def _perform(
    model_admin: "admin.ModelAdmin[Delivery]", request: HttpRequest, keys: list[int], reason: str
) -> HttpResponse:
    outcomes = Outcomes()
    for key in keys:
        result = _replay_into(outcomes, key, actor=request.user.get_username())
        if result:
            model_admin.log_change(request, result.delivery, _audit_message(result, reason))
    _report(model_admin, request, outcomes)
    return HttpResponseRedirect(_page_after([each.delivery.pk for each in outcomes.replays]))


def _audit_message(result: Replay, reason: str) -> str:
    return _("Replayed: %(change)s. Reason: %(reason)s") % {"change": change_of(result), "reason": reason}


def _replay_into(outcomes: Outcomes, key: int, *, actor: str, dry_run: bool = False) -> Replay | None:
    try:
        result = replay(key, actor=actor, dry_run=dry_run)
    except Delivery.DoesNotExist:
        outcomes.gone.append(key)
        return None
    outcomes.replays.append(result)
    return result


def _report(model_admin: "admin.ModelAdmin[Delivery]", request: HttpRequest, outcomes: Outcomes) -> None:
    count = len(outcomes.replays)
    if count:
        message = ngettext(
            "Replayed %(count)d delivery: %(changes)s.", "Replayed %(count)d deliveries: %(changes)s.", count
        )
        changes = ", ".join(f"{number} × {change}" for change, number in outcomes.counts)
        level = messages.SUCCESS if any(each.mended for each in outcomes.replays) else messages.WARNING
        model_admin.message_user(request, message % {"count": count, "changes": changes}, level)
    if gone := len(outcomes.gone):
        message = ngettext(
            "Retention has removed %(count)d of the deliveries.",
            "Retention has removed %(count)d of the deliveries.",
            gone,
        )
        model_admin.message_user(request, message % {"count": gone}, messages.WARNING)
