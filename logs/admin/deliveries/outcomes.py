"""Replay several deliveries, and collect the outcomes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext as _

from logs.admin.deliveries.advice import advice_for
from logs.admin.lists import ListAdmin
from logs.ingest.replay import Replay, replay
from logs.models import Delivery, WorkflowEvent
from logs.permissions import VIEW_EVENTS

MAX_AT_ONCE = 25  # Each replay is a transaction, even in the preview, and delays incoming deliveries.
MAX_LINKS = 10
MAX_LINK_LENGTH = 80


@dataclass(slots=True, kw_only=True)
class Outcomes:
    """The results of a replay of several deliveries, or of its preview."""

    replays: list[Replay] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)  # The keys of deliveries that retention has removed.

    @property
    def changes(self) -> Counter[str]:
        """The number of deliveries per change of outcome."""
        return Counter(f"{each.before} → {each.verdict.outcome}" for each in self.replays)

    @property
    def counts(self) -> list[tuple[str, int]]:
        """The changes of outcome with their numbers, in alphabetical order."""
        return sorted(self.changes.items())

    @property
    def has_shared_event(self) -> bool:
        """Whether several of the deliveries report the same event."""
        events = [each.verdict.event_id for each in self.replays if each.verdict.event_id]
        return len(events) > len(set(events))

    @property
    def has_effect(self) -> bool:
        """Whether any of the replays changes something."""
        return any(each.has_effect for each in self.replays)

    @property
    def advice(self) -> list[str]:
        """The advice for the deliveries, without repetitions."""
        advice = (advice_for(each.delivery, is_cut=not each.delivery.is_whole) for each in self.replays)
        return list(dict.fromkeys(str(each) for each in advice if each))

    @property
    def events(self) -> list[WorkflowEvent]:
        """The events that now show one of these deliveries' versions, without repetitions."""
        events = (each.verdict.event for each in self.replays if each.brings_version)
        return list({event.pk: event for event in events if event}.values())


def preview(request: HttpRequest, keys: list[int]) -> Outcomes:
    """Return what a replay of these deliveries would change."""
    outcomes = Outcomes()
    for key in keys:
        _replay_into(outcomes, key, actor=request.user.get_username(), dry_run=True)
    return outcomes


def replay_each(model_admin: ListAdmin, request: HttpRequest, keys: list[int], reason: str) -> Outcomes:
    """Replay these deliveries in order, and record each in the audit log."""
    outcomes = Outcomes()
    for key in keys:
        result = _replay_into(outcomes, key, actor=request.user.get_username())
        if result:
            model_admin.log_change(request, result.delivery, _audit_message(result, reason))
    return outcomes


def event_links(request: HttpRequest, events: Sequence[WorkflowEvent]) -> SafeString:
    """Return links to events, at most MAX_LINKS of them; nothing for a user who may not view events."""
    if not (events and request.user.has_perm(VIEW_EVENTS)):
        return SafeString()
    links = format_html_join(", ", '<a href="{}"><bdi>{}</bdi></a>', map(_url_and_label, events[:MAX_LINKS]))
    label = _("The first %(count)d events:") % {"count": MAX_LINKS} if len(events) > MAX_LINKS else _("Events:")
    return format_html("{} {}.", label, links)


def _url_and_label(event: WorkflowEvent) -> tuple[str, str]:
    number = "" if event.pipeline_number is None else f"#{event.pipeline_number} "
    label = Truncator(f"{number}{event}").chars(MAX_LINK_LENGTH)
    return reverse("admin:logs_workflowevent_change", args=[event.pk]), label


def _audit_message(result: Replay, reason: str) -> str:
    change = f"{result.before} → {result.verdict.outcome}"
    return _("Replayed: %(change)s. Reason: %(reason)s") % {"change": change, "reason": reason}


def _replay_into(outcomes: Outcomes, key: int, *, actor: str, dry_run: bool = False) -> Replay | None:
    try:
        result = replay(key, actor=actor, dry_run=dry_run)
    except Delivery.DoesNotExist:
        outcomes.gone.append(key)
        return None
    outcomes.replays.append(result)
    return result
