"""Replay in the admin: first what would happen, then, with a reason, that it does."""

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
from logs.ingest.replay import Replay, replay
from logs.models import Delivery
from logs.permissions import REPLAY, VIEW_DELIVERIES

MAX_AT_ONCE = 25  # Each is a transaction of its own, also to show what would happen, and deliveries arrive meanwhile.

_KEY = re.compile(r"[0-9]{1,18}")


@dataclass(slots=True, kw_only=True)
class Outcomes:
    """What replaying several deliveries has done, or would do."""

    replays: list[Replay] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)  # The keys of those that retention has removed.

    @property
    def counts(self) -> list[tuple[str, int]]:
        """How many deliveries go from which outcome to which."""
        return sorted(Counter(change_of(each) for each in self.replays).items())

    @property
    def tells_twice(self) -> bool:
        """Whether several of them tell of one event."""
        events = [each.verdict.event_id for each in self.replays if each.verdict.event_id]
        return len(events) > len(set(events))


def change_of(result: Replay) -> str:
    """Return a change of outcome in words."""
    return f"{result.before} → {result.verdict.outcome}"


def replay_view(model_admin: "admin.ModelAdmin[Delivery]", request: HttpRequest) -> HttpResponse:
    """Show what replaying the chosen deliveries would do; after the confirmation, replay them.

    Raises:
        PermissionDenied: the user may not replay.
    """
    if not (request.user.has_perm(VIEW_DELIVERIES) and request.user.has_perm(REPLAY)):
        raise PermissionDenied
    keys = _chosen_keys(request)
    if refusal := _refusal(keys):
        model_admin.message_user(request, refusal, messages.ERROR)
        return HttpResponseRedirect(_page_after([]))
    form = ReasonForm(request.POST if "confirm" in request.POST else None)
    if request.method == "POST" and form.is_valid():
        return _perform(model_admin, request, keys, form.cleaned_data["reason"])
    return _ask(model_admin, request, keys, form)


def _chosen_keys(request: HttpRequest) -> list[int]:
    """Return the primary keys that a list, a page or the confirmation sends, the oldest delivery's first."""
    texts = request.POST.getlist("_selected_action")
    texts += request.POST.get("ids", request.GET.get("ids", "")).split(",")
    return sorted({int(text) for text in texts if _KEY.fullmatch(text)})


def _refusal(keys: list[int]) -> str:
    if not keys:
        return _("No delivery was chosen.")
    if len(keys) > MAX_AT_ONCE:
        told = _("At most %(most)d deliveries are replayed here at once; for more, run: manage.py replay_deliveries")
        return told % {"most": MAX_AT_ONCE}
    return ""


def _page_after(keys: list[int]) -> str:
    if len(keys) == 1:
        return reverse("admin:logs_delivery_change", args=keys)
    return reverse("admin:logs_delivery_changelist")


def _ask(
    model_admin: "admin.ModelAdmin[Delivery]", request: HttpRequest, keys: list[int], form: ReasonForm
) -> HttpResponse:
    outcomes = Outcomes()
    for key in keys:
        _replay_into(outcomes, key, actor=request.user.get_username(), dry_run=True)
    context = {
        **model_admin.admin_site.each_context(request),
        "title": _("Verify again and log"),
        "form": form,
        "outcomes": outcomes,
        "ids": ",".join(str(each.delivery.pk) for each in outcomes.replays),
        "back_url": _page_after(keys),
    }
    return TemplateResponse(request, "logs/admin/replay.html", context)


def _perform(
    model_admin: "admin.ModelAdmin[Delivery]", request: HttpRequest, keys: list[int], reason: str
) -> HttpResponse:
    outcomes = Outcomes()
    for key in keys:
        result = _replay_into(outcomes, key, actor=request.user.get_username())
        if result:
            model_admin.log_change(request, result.delivery, _noted(result, reason))
    _tell(model_admin, request, outcomes)
    return HttpResponseRedirect(_page_after([each.delivery.pk for each in outcomes.replays]))


def _noted(result: Replay, reason: str) -> str:
    return _("Replayed: %(change)s. Reason: %(reason)s") % {"change": change_of(result), "reason": reason}


def _replay_into(outcomes: Outcomes, key: int, *, actor: str, dry_run: bool = False) -> Replay | None:
    try:
        result = replay(key, actor=actor, dry_run=dry_run)
    except Delivery.DoesNotExist:
        outcomes.gone.append(key)
        return None
    outcomes.replays.append(result)
    return result


def _tell(model_admin: "admin.ModelAdmin[Delivery]", request: HttpRequest, outcomes: Outcomes) -> None:
    count = len(outcomes.replays)
    if count:
        told = ngettext(
            "Replayed %(count)d delivery: %(changes)s.", "Replayed %(count)d deliveries: %(changes)s.", count
        )
        changes = ", ".join(f"{number} × {change}" for change, number in outcomes.counts)
        level = messages.SUCCESS if any(each.mended for each in outcomes.replays) else messages.WARNING
        model_admin.message_user(request, told % {"count": count, "changes": changes}, level)
    if gone := len(outcomes.gone):
        told = ngettext(
            "%(count)d delivery is gone: retention has removed it.",
            "%(count)d deliveries are gone: retention has removed them.",
            gone,
        )
        model_admin.message_user(request, told % {"count": gone}, messages.WARNING)
