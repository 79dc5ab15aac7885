"""Channels, the notifications to send over them (the outbox), and the attempts to send them."""

import secrets
from datetime import datetime, timedelta
from typing import Self

from django.conf import settings
from django.db import models
from django.utils import timezone

from logs.models.events import SETTLED_AFTER, WorkflowEvent
from logs.models.standings import StateChange

MAX_REASON_LENGTH = 300
DEFAULT_HOURLY_LIMIT = 30
# A channel neither pauses nor is claimed longer than this: an hour and a fifth, and the difference of two clocks.
LONGEST_WAIT = timedelta(hours=1.2) + SETTLED_AFTER


class ChannelQuerySet(models.QuerySet["Channel"]):
    """Queries over channels."""

    def due(self) -> Self:
        """Keep the channels that may send now and have something to send."""
        now = timezone.now()
        waiting = Notification.objects.waiting().filter(channel=models.OuterRef("pk"))
        return self.filter(
            models.Exists(waiting),
            models.Q(muted_until=None) | models.Q(muted_until__lte=now),
            models.Q(not_before=None) | models.Q(not_before__lte=now) | models.Q(not_before__gt=now + LONGEST_WAIT),
            models.Q(claimed_until=None)
            | models.Q(claimed_until__lte=now)
            # Claimed or paused by a clock that was ahead.
            | models.Q(claimed_until__gt=now + LONGEST_WAIT),
            enabled=True,
        )


class Channel(models.Model):
    """Where notifications are sent: a chat room, a mail address, an incident service, or the operator's own program."""

    name = models.CharField(max_length=100, unique=True)
    kind = models.CharField(max_length=20)
    options = models.JSONField(default=dict, help_text="The settings that are not secret.")
    sealed = models.TextField(blank=True, help_text="The secret settings, encrypted.")
    enabled = models.BooleanField(default=True)
    disabled_reason = models.CharField(max_length=MAX_REASON_LENGTH, blank=True)
    hourly_limit = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        default=DEFAULT_HOURLY_LIMIT,
        help_text="After this many messages in an hour, further ones are combined. Empty: no limit.",
    )
    muted_until = models.DateTimeField(null=True, blank=True, help_text="Until then, messages wait or expire.")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+", editable=False
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+", editable=False
    )
    changed_at = models.DateTimeField(default=timezone.now, editable=False)

    claim = models.CharField(max_length=32, blank=True, help_text="Identifies the process that sends.")
    claimed_until = models.DateTimeField(null=True, help_text="Until then, no other process may send.")
    not_before = models.DateTimeField(null=True, help_text="After a failure: when to send again.")
    failures_in_a_row = models.PositiveIntegerField(default=0)
    rejections_in_a_row = models.PositiveIntegerField(
        default=0, help_text="How many of the last failures were rejections of the channel, not of a message."
    )
    failing_since = models.DateTimeField(null=True)
    last_sent_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=MAX_REASON_LENGTH, blank=True)
    last_error_at = models.DateTimeField(null=True)

    objects = ChannelQuerySet.as_manager()

    class Meta:
        # Without "delete": a channel with notifications cannot be deleted, only disabled.
        default_permissions = ("add", "change", "view")
        permissions = [("test_channel", "Can send test messages and mute channels")]

    def __str__(self) -> str:
        return self.name

    @property
    def is_muted(self) -> bool:
        """Whether it is muted now."""
        return self.muted_until is not None and self.muted_until > timezone.now()

    def mute(self, until: datetime | None) -> None:
        """Let messages wait until a time; None ends this."""
        self.muted_until = until
        self.save(update_fields=["muted_until"])

    def disable(self) -> None:
        """Send nothing until it is enabled. A failure that disables it states a reason; a user does not."""
        self.enabled, self.disabled_reason = False, ""
        self.save(update_fields=["enabled", "disabled_reason"])

    def enable(self) -> None:
        """Send again, at once and as if nothing had failed."""
        self.enabled, self.disabled_reason = True, ""
        self.failures_in_a_row = self.rejections_in_a_row = 0
        self.failing_since = self.not_before = None
        failing = ["failures_in_a_row", "rejections_in_a_row", "failing_since", "not_before"]
        self.save(update_fields=["enabled", "disabled_reason", *failing])


class NotificationKind(models.TextChoices):
    """The reasons for notifications."""

    BROKE = "broke", "broke"
    FIXED = "fixed", "fixed"
    REMINDER = "reminder", "still broken"
    RUN = "run", "run"
    JOB = "job", "job"
    ALARM = "alarm", "alarm"
    ALARM_OVER = "alarm_over", "alarm closed"
    DIGEST = "digest", "digest"
    TEST = "test", "test"


class NotificationState(models.TextChoices):
    """The states of a notification."""

    WAITING = "waiting", "waiting"
    SENT = "sent", "sent"
    FAILED = "failed", "failed"  # The vendor rejected it.
    EXPIRED = "expired", "expired"  # It waited too long.
    MERGED = "merged", "merged"  # A digest contains it.
    DROPPED = "dropped", "dropped"  # It was fixed before it was reported, or an operator dropped it.


class NotificationQuerySet(models.QuerySet["Notification"]):
    """Queries over notifications."""

    def waiting(self) -> Self:
        """Keep the notifications that are still to be sent."""
        return self.filter(state=NotificationState.WAITING)


class Notification(models.Model):
    """A message to one channel: to be sent, sent, or given up. The oldest is sent first."""

    channel = models.ForeignKey(Channel, models.PROTECT, related_name="notifications", db_index=False)
    kind = models.CharField(max_length=10, choices=NotificationKind.choices)
    key = models.CharField(max_length=120, help_text="Identifies the message: the same one is never stored twice.")
    thread = models.CharField(max_length=64, help_text="Groups the messages about a branch at the vendor.")
    # Without constraints in the database: retention deletes both without checking references to them.
    change = models.ForeignKey(
        StateChange, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    event = models.ForeignKey(
        WorkflowEvent, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    # The rule that asked for it first, and its alarm. Rules and alarms may be deleted.
    rule = models.ForeignKey(
        "Rule", models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    alarm = models.ForeignKey(
        "Alarm", models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    content = models.JSONField(null=True, help_text="Stored before the first attempt: a retry sends the same bytes.")
    state = models.CharField(max_length=10, choices=NotificationState.choices, default=NotificationState.WAITING)
    attempts_made = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)
    last_status = models.PositiveSmallIntegerField(null=True, help_text="The HTTP status of the last response.")
    last_error = models.CharField(max_length=MAX_REASON_LENGTH, blank=True)
    merged_into = models.ForeignKey("self", models.SET_NULL, null=True, related_name="parts", db_index=False)

    objects = NotificationQuerySet.as_manager()

    class Meta:
        permissions = [("resend_notification", "Can send notifications again and drop them")]
        constraints = [models.UniqueConstraint(fields=["key"], name="notification_key_unique")]
        indexes = [
            models.Index(fields=["channel", "id"], name="notification_waiting", condition=models.Q(state="waiting")),
            models.Index(fields=["thread", "channel", "-id"], name="notification_thread"),
            models.Index(fields=["channel", "-sent_at"], name="notification_sent"),
            models.Index(
                fields=["rule", "-sent_at"], name="notification_rule", condition=models.Q(sent_at__isnull=False)
            ),
            # For deletions, which look for the parts of each deleted digest.
            models.Index(
                fields=["merged_into"], name="notification_parts", condition=models.Q(merged_into__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} to {self.channel_id}"


class NotificationAttempt(models.Model):
    """One attempt to send a notification; without an end, the message may have been sent."""

    notification = models.ForeignKey(Notification, models.CASCADE, related_name="attempts")
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    status = models.PositiveSmallIntegerField(null=True)
    error = models.CharField(max_length=MAX_REASON_LENGTH, blank=True)

    def __str__(self) -> str:
        return f"attempt at {self.started_at:%Y-%m-%d %H:%M:%S}"


def new_site_id() -> str:
    """Return a random id for a site."""
    return secrets.token_hex(16)


class Site(models.Model):
    """The id of this site in message threads; the only row survives a change of SITE_URL or SECRET_KEY."""

    site_id = models.CharField(max_length=32, default=new_site_id)

    def __str__(self) -> str:
        return self.site_id


# How long a message is worth sending.
CHAT_LIFETIME = timedelta(hours=6)
LIFETIME = timedelta(hours=24)
