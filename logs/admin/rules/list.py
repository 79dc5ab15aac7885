"""The list of rules in the admin."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import OuterRef, QuerySet, Subquery

from logs.admin.rules.sentence import sentence_of
from logs.models import Channel, Notification, Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleRow:
    """A rule, as the list shows it."""

    rule: Rule
    sentence: str
    channels: list[Channel]
    sends_nothing: bool
    last_sent_at: datetime | None


def rule_rows() -> list[RuleRow]:
    """Return all rules by name, in two queries."""
    return [
        RuleRow(
            rule=rule,
            sentence=sentence_of(rule),
            channels=sorted(rule.channels.all(), key=lambda channel: channel.name),
            sends_nothing=sends_nothing(rule, rule.channels.all()),
            last_sent_at=rule.last_sent_at,  # type: ignore[attr-defined]  # An annotation.
        )
        for rule in with_last_sent(Rule.objects.prefetch_related("channels")).order_by("name")
    ]


def sends_nothing(rule: Rule, channels: Iterable[Channel]) -> bool:
    """Return whether a rule is enabled although none of its channels is."""
    return rule.enabled and not any(channel.enabled for channel in channels)


def with_last_sent(rules: QuerySet[Rule]) -> QuerySet[Rule]:
    """Add the time of each rule's last message, as `last_sent_at`."""
    sent = Notification.objects.filter(rule=OuterRef("pk"), sent_at__isnull=False).order_by("-sent_at")
    return rules.annotate(last_sent_at=Subquery(sent.values("sent_at")[:1]))
