"""Logs with problems, and a watch that checks their alarms."""

from datetime import UTC, datetime

from logs import conf
from logs.models import Alarm, ApiToken, Channel, Notification, Rule, Source, WebhookSecret
from logs.models.rules import AlarmKind
from logs.notifications import alarms
from logs.notifications.sealing import seal
from tests.integration.standings_log import DAY, HOUR, MINUTE

OLD, NEW = "the-old-secret-of-payments", "the-new-secret-of-payments"
SECRETS = {"payments": [NEW, OLD], "lab": ["the-secret-of-lab"]}


class FakeLease:
    """A lease that no other process wants."""

    def __init__(self, cursor=None, error=""):
        self.cursor, self.error = cursor, error

    def renew(self):
        pass


class Checks:
    """Checks alarms every minute."""

    def __init__(self, clock):
        self.clock, self.lease = clock, FakeLease()

    def __call__(self, *, minutes=0):
        """Check once, or over some minutes; return whether the last check had anything to send."""
        for _ in range(minutes):
            self.clock.shift(MINUTE)
            alarms.check(self.lease)
        return not minutes and alarms.check(self.lease)

    def skip(self, duration):
        """Move the clock as if alarms had been checked meanwhile."""
        self.clock.shift(duration)
        self.lease.cursor = (self.lease.cursor or {}) | {"checked_at": now().isoformat()}


def now():
    return datetime.now(UTC)


def add_channel(name="ops", kind="slack", **columns):
    return Channel.objects.create(name=name, kind=kind, sealed=seal({"url": "https://hooks.example/a/b"}), **columns)


def add_rule(*channels, name="log", kinds=tuple(AlarmKind), **columns):
    rule = Rule.objects.create(name=name, subject="log", alarms=[str(kind) for kind in kinds], **columns)
    rule.channels.set(channels)
    return rule


def add_source(slug="github/acme/garden", state="up", webhook="payments", **columns):
    values = {"project": slug.rpartition("/")[2], "last_delivery_at": now() - 2 * HOUR}
    return Source.objects.create(webhook=webhook, project_slug=slug, state=state, **values | columns)


def add_token(user, *, expires, used=DAY, name="grafana"):
    token, _ = ApiToken.issue(user, name=name, lifetime=expires)
    ApiToken.objects.filter(pk=token.pk).update(last_used_at=used and now() - used)
    return token


def note_secret(secret=NEW, webhook="payments", *, seen):
    return WebhookSecret.objects.create(
        webhook=webhook, fingerprint=conf.fingerprint(secret), first_seen_at=now() - seen
    )


def hear(*sources):
    """Let sources deliver."""
    Source.objects.filter(pk__in=[source.pk for source in sources]).update(state="up", last_delivery_at=now())


def stored():
    """Return all alarms as (kind, whether it is open), oldest first."""
    return [(alarm.kind, alarm.closed_at is None) for alarm in Alarm.objects.order_by("pk")]


def messages():
    """Return the notifications as (kind, channel), oldest first."""
    return list(Notification.objects.order_by("pk").values_list("kind", "channel__name"))
