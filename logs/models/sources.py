"""Sources: the projects that each webhook reports, and when they last did."""

from datetime import datetime

from django.conf import settings
from django.db import models
from django.utils import timezone

from logs import conf
from logs.models.events import WorkflowEvent, text


class SourceState(models.TextChoices):
    """The states of a source."""

    NEW = "new", "new"  # It has no signed event, or less than four weeks of history.
    UP = "up", "up"
    LATE = "late", "late"  # Quieter than usual, but too quiet a source for an alarm.
    SILENT = "silent", "silent"


class Source(models.Model):
    """A webhook and one of its projects; with an empty project, the webhook itself.

    Only signed deliveries create projects' rows, because anyone can invent a project. The webhook's own row has what
    names no project: pings, and unsigned deliveries.
    """

    webhook = models.CharField(max_length=255, help_text="The name in CIRCLECI_WEBHOOK_SECRETS whose secret matched.")
    project_slug = text()
    project = text()
    state = models.CharField(max_length=6, choices=SourceState, default=SourceState.NEW)
    state_since = models.DateTimeField(default=timezone.now)
    first_event_at = models.DateTimeField(null=True)
    first_ping_at = models.DateTimeField(null=True)
    last_delivery_at = models.DateTimeField(null=True, help_text="Of any accepted delivery, duplicates included.")
    # Without a constraint in the database, because retention does not check references.
    last_event = models.ForeignKey(
        WorkflowEvent, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    secret_fingerprint = models.CharField(
        max_length=conf.FINGERPRINT_LENGTH, blank=True, help_text="Of the secret that signed the last delivery."
    )
    muted_until = models.DateTimeField(null=True, blank=True, help_text="Until then, its silence raises no alarm.")
    muted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+", editable=False
    )

    class Meta:
        default_permissions = ["view"]
        permissions = [("mute_source", "Can mute sources")]
        constraints = [models.UniqueConstraint(fields=["webhook", "project_slug"], name="source_unique")]

    def __str__(self) -> str:
        return f"{self.webhook} · {self.project or self.project_slug}" if self.project_slug else self.webhook

    def is_muted(self, now: datetime) -> bool:
        """Whether its silence raises no alarm now."""
        return self.muted_until is not None and self.muted_until > now


class WebhookSecret(models.Model):
    """When a webhook's secret was first seen in use; the secret itself is only in the settings."""

    webhook = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=conf.FINGERPRINT_LENGTH)
    first_seen_at = models.DateTimeField()

    class Meta:
        default_permissions = []
        constraints = [models.UniqueConstraint(fields=["webhook", "fingerprint"], name="webhook_secret_unique")]

    def __str__(self) -> str:
        return f"{self.webhook}: {self.fingerprint}"
