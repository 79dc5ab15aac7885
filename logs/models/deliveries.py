"""Delivery: every request that reached the receiving endpoint, as it arrived, with its outcome."""

from datetime import datetime
from typing import Self

from django.db import models

from logs.models.events import WorkflowEvent


class Outcome(models.TextChoices):
    """What became of a delivery."""

    LOGGED = "logged", "logged"
    UPDATED = "updated", "updated"  # A newer version of a known event.
    DUPLICATE = "duplicate", "duplicate"  # A known event again, or an older version of it.
    PING = "ping", "ping"
    UNVERIFIED = "unverified", "unverified"
    MALFORMED = "malformed", "malformed"


BRINGING_VERSIONS = [Outcome.LOGGED, Outcome.UPDATED]
REFUSED = [Outcome.UNVERIFIED, Outcome.MALFORMED]


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    """Queries over deliveries."""

    def newest_first(self) -> Self:
        """Order by arrival, the latest first."""
        return self.order_by("-pk")

    def of_shown_version(self) -> "Delivery | None":
        """Return, of one event's deliveries, the one that its columns were read from; None once it was removed."""
        return self.filter(outcome__in=BRINGING_VERSIONS).newest_first().first()

    def refused(self) -> Self:
        """Keep the deliveries that were answered with an error."""
        return self.filter(outcome__in=REFUSED)

    def refused_from(self, client_address: str | None, *, since: datetime) -> Self:
        """Keep the refused deliveries of one client since a moment."""
        return self.refused().filter(client_address=client_address, received_at__gte=since)

    def drop_oldest(self, *, keep: int) -> int:
        """Delete all but the newest rows and return how many were deleted."""
        surplus = list(self.newest_first().values_list("pk", flat=True)[keep : keep + 1])
        return self.filter(pk__lte=surplus[0]).delete()[0] if surplus else 0


class Delivery(models.Model):
    """One HTTP request that claimed to be a webhook of CircleCI's. Rows are added, never changed."""

    received_at = models.DateTimeField()
    outcome = models.CharField(max_length=20, choices=Outcome)
    reason = models.TextField(blank=True, help_text="Why it was refused, or not logged as a new event.")
    webhook = models.CharField(
        max_length=255,
        blank=True,
        help_text="The name, in CIRCLECI_WEBHOOK_SECRETS, of the webhook whose secret matched.",
    )
    verified = models.BooleanField(help_text="Whether its signature proves that CircleCI sent it.")
    path = models.CharField(max_length=255, help_text="The path it was sent to.")
    headers = models.JSONField(help_text="The headers that matter, their names in lower case.")
    client_address = models.GenericIPAddressField(null=True, blank=True)
    body = models.BinaryField(help_text="The raw bytes.")
    event = models.ForeignKey(
        WorkflowEvent,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="deliveries",
        help_text="The event it told of.",
    )

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(outcome=Outcome.UNVERIFIED, verified=True),
                name="delivery_unverified_not_verified",
            ),
        ]
        indexes = [
            models.Index(fields=["outcome", "-id"], name="delivery_outcome_newest"),
            models.Index(
                fields=["verified", "-id"],
                name="delivery_refused",
                condition=models.Q(outcome__in=REFUSED),
            ),
            models.Index(
                fields=["client_address", "-received_at"],
                name="delivery_refused_client",
                condition=models.Q(outcome__in=REFUSED),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.outcome} at {self.received_at:%Y-%m-%d %H:%M:%S}"
