"""Deliveries in the admin."""

from collections import Counter
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from logs.admin.inspector import InspectorAdmin, link_to, pill, pretty_body
from logs.circleci.vocabulary import Tone
from logs.ingest.replay import replay
from logs.models import Delivery, Outcome
from logs.permissions import REPLAY, VIEW_BODIES

# fmt: off
OUTCOME_TONES = {
    Outcome.LOGGED:     Tone.GOOD,
    Outcome.UPDATED:    Tone.GOOD,
    Outcome.DUPLICATE:  Tone.STOPPED,
    Outcome.PING:       Tone.STOPPED,
    Outcome.EXPIRED:    Tone.STOPPED,
    Outcome.UNVERIFIED: Tone.BAD,
    Outcome.MALFORMED:  Tone.BAD,
    Outcome.FORBIDDEN:  Tone.BAD,
    Outcome.REJECTED:   Tone.BAD,
}
# fmt: on


def fieldset_for(request: HttpRequest, permission: str, title: str, field: str) -> tuple[str, dict[str, Any]]:
    """Return a part of a page with a field, or, to those without a permission, with the name of that permission."""
    if request.user.has_perm(permission):
        return title, {"fields": [field]}
    return title, {"fields": [], "description": f"To see this, you need the permission {permission}."}


@admin.register(Delivery)
class DeliveryAdmin(InspectorAdmin):
    """Shows what arrived, newest first, with its outcome and the reason for it."""

    list_display = ["received_at", "outcome_pill", "reason", "webhook", "verified", "client_address", "event_link"]
    list_filter = ["outcome", "verified"]
    list_select_related = ["event"]
    ordering = ["-received_at", "-pk"]
    fieldsets = [
        (None, {"fields": ["outcome_pill", "reason", "event_link"]}),
        (
            "Sender",
            {"fields": ["webhook", "verified", "secret_position", "client_address", "webhook_slug", "received_at"]},
        ),
        ("Headers", {"fields": ["header_lines"]}),
        ("Attempts", {"fields": ["attempts"]}),
    ]
    actions = ["verify_again"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        """Leave the bodies out: only a single delivery's page shows one."""
        return super().get_queryset(request).defer("body")

    def get_fieldsets(self, request: HttpRequest, obj: Delivery | None = None) -> Any:
        """Show the body to those who may see it."""
        return [*self.fieldsets, fieldset_for(request, VIEW_BODIES, "Body", "body_text")]

    def has_replay_permission(self, request: HttpRequest) -> bool:
        """Whether the user may replay deliveries."""
        return request.user.has_perm(REPLAY)

    @admin.action(description="Verify again and log", permissions=["replay"])
    def verify_again(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        """Replay the chosen deliveries, the oldest first, and tell what became of them."""
        results = [
            replay(pk, actor=request.user.get_username()) for pk in sorted(queryset.values_list("pk", flat=True))
        ]
        counts = Counter(f"{result.before} → {result.verdict.outcome}" for result in results)
        for result in results:
            self.log_change(request, result.delivery, f"Replayed: {result.before} → {result.verdict.outcome}.")
        told = ", ".join(f"{count} × {change}" for change, count in sorted(counts.items()))
        level = messages.SUCCESS if any(result.mended for result in results) else messages.WARNING
        self.message_user(request, f"Replayed {len(results)} deliveries: {told}.", level)

    @admin.display(description="outcome", ordering="outcome")
    def outcome_pill(self, delivery: Delivery) -> SafeString | str:
        """Show the outcome in its colour."""
        return pill(delivery.outcome, OUTCOME_TONES[Outcome(delivery.outcome)])

    @admin.display(description="event")
    def event_link(self, delivery: Delivery) -> SafeString | str:
        """Link to the event."""
        return link_to(delivery.event)

    @admin.display(description="attempts")
    def attempts(self, delivery: Delivery) -> str:
        """List every verdict on the delivery, once it was replayed."""
        return render_to_string("logs/admin/attempts.html", {"attempts": delivery.attempts.order_by("pk")})

    @admin.display(description="headers")
    def header_lines(self, delivery: Delivery) -> SafeString:
        """Show the kept headers, one a line."""
        lines = format_html_join("\n", "{}: {}", delivery.headers.items())
        return format_html('<pre class="body">{}</pre>', lines)

    @admin.display(description="body")
    def body_text(self, delivery: Delivery) -> SafeString:
        """Show the body."""
        return pretty_body(bytes(delivery.body))
