"""What a new site, or a new webhook, still lacks before it reports anything."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Min

from logs import conf
from logs.models import Channel, Delivery, Outcome, Rule, Source


@dataclass(frozen=True, kw_only=True)
class WebhookSetup:
    """How far the setup of a configured webhook is."""

    webhook: conf.Webhook
    first_ping_at: datetime | None
    first_event_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Setup:
    """How far the setup of a site is."""

    webhooks: list[WebhookSetup]
    has_channel: bool  # Whether an enabled channel exists.
    has_rule: bool  # Whether an enabled rule uses an enabled channel.


def read_setup() -> Setup:
    """Return how far the setup is, in four queries. Pings are found even if the watch is not running."""
    pings = _first("first_ping_at") | _first_stored_pings()
    events = _first("first_event_at")
    has_channel, has_rule = read_notifying()
    return Setup(
        webhooks=[
            WebhookSetup(
                webhook=webhook, first_ping_at=pings.get(webhook.name), first_event_at=events.get(webhook.name)
            )
            for webhook in conf.webhooks()
        ],
        has_channel=has_channel,
        has_rule=has_rule,
    )


def read_notifying() -> tuple[bool, bool]:
    """Return whether an enabled channel exists, and whether an enabled rule uses one."""
    has_channel = Channel.objects.filter(enabled=True).exists()
    return has_channel, Rule.objects.filter(enabled=True, channels__enabled=True).exists()


def _first(column: str) -> dict[str, datetime]:
    """Return the earliest time in a column of a webhook's sources, keyed by the webhook's name."""
    sources = Source.objects.exclude(**{column: None})
    return dict(sources.values_list("webhook").annotate(Min(column)))


def _first_stored_pings() -> dict[str, datetime]:
    """Return when the oldest stored ping of each webhook arrived; the log stores a limited number of pings."""
    pings = Delivery.objects.filter(outcome=Outcome.PING).order_by()
    return dict(pings.values_list("webhook").annotate(Min("received_at")))
