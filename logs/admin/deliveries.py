"""Deliveries in the admin."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from logs.admin.inspector import InspectorAdmin, link_to, pill, pretty_body
from logs.circleci.vocabulary import Tone
from logs.models import Delivery, Outcome

# fmt: off
OUTCOME_TONES = {
    Outcome.LOGGED:     Tone.GOOD,
    Outcome.UPDATED:    Tone.GOOD,
    Outcome.DUPLICATE:  Tone.STOPPED,
    Outcome.PING:       Tone.STOPPED,
    Outcome.UNVERIFIED: Tone.BAD,
    Outcome.MALFORMED:  Tone.BAD,
}
# fmt: on


@admin.register(Delivery)
class DeliveryAdmin(InspectorAdmin):
    """Shows what arrived, newest first, with its outcome and the reason for it."""

    list_display = ["received_at", "outcome_pill", "reason", "webhook", "verified", "client_address", "event_link"]
    list_filter = ["outcome", "verified"]
    list_select_related = ["event"]
    ordering = ["-pk"]
    fieldsets = [
        (None, {"fields": ["outcome_pill", "reason", "event_link"]}),
        ("Sender", {"fields": ["webhook", "verified", "client_address", "path", "received_at"]}),
        ("Headers", {"fields": ["header_lines"]}),
        ("Body", {"fields": ["body_text"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        """Leave the bodies out: only a single delivery's page shows one."""
        return super().get_queryset(request).defer("body")

    @admin.display(description="outcome", ordering="outcome")
    def outcome_pill(self, delivery: Delivery) -> SafeString | str:
        """Show the outcome in its colour."""
        return pill(delivery.outcome, OUTCOME_TONES[Outcome(delivery.outcome)])

    @admin.display(description="event")
    def event_link(self, delivery: Delivery) -> SafeString | str:
        """Link to the event."""
        return link_to(delivery.event)

    @admin.display(description="headers")
    def header_lines(self, delivery: Delivery) -> SafeString:
        """Show the kept headers, one a line."""
        lines = format_html_join("\n", "{}: {}", delivery.headers.items())
        return format_html('<pre class="body">{}</pre>', lines)

    @admin.display(description="body")
    def body_text(self, delivery: Delivery) -> SafeString:
        """Show the body."""
        return pretty_body(bytes(delivery.body))
