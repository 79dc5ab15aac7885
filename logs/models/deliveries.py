"""Delivery: a request to the receiving endpoint, as it arrived, with its outcome."""

from datetime import datetime
from ipaddress import IPv6Address, IPv6Network
from itertools import takewhile
from typing import Self

from django.db import connection, models

from logs import conf
from logs.circleci.payload import MAX_TEXT_LENGTH
from logs.circleci.vocabulary import SIGNATURE_HEADER
from logs.models.events import WorkflowEvent
from logs.networks import network_address


class Outcome(models.TextChoices):
    """The outcome of a delivery."""

    LOGGED = "logged", "logged"
    UPDATED = "updated", "updated"  # A newer version of a known event.
    DUPLICATE = "duplicate", "duplicate"  # A known event again, or an older version of it.
    PING = "ping", "ping"
    EXPIRED = "expired", "expired"  # An event older than EVENT_RETENTION_DAYS; acknowledged, not logged.
    UNVERIFIED = "unverified", "unverified"
    MALFORMED = "malformed", "malformed"
    FORBIDDEN = "forbidden", "forbidden"  # The webhook may not send this project's events.
    REJECTED = "rejected", "rejected"  # Too large, incomplete, compressed, or of another content type: not read.


BRINGING_VERSIONS = [Outcome.LOGGED, Outcome.UPDATED]
# A captured request can be sent any number of times. The log stores an event's first duplicate and this many others.
NEWEST_DUPLICATES_KEPT = 10
# Pings and expired deliveries have no event. The log stores this many deliveries for each of these outcomes.
NEWEST_WITHOUT_EVENT_KEPT = 1_000
MAX_DELETED_AT_ONCE = 100  # The response waits for the deletion, and older releases stored any number of duplicates.
MAX_REQUEST_ID_LENGTH = 64
REFUSED = [Outcome.UNVERIFIED, Outcome.MALFORMED, Outcome.FORBIDDEN, Outcome.REJECTED]


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    """Queries over deliveries."""

    def newest_first(self) -> Self:
        """Order by when they were stored, newest first."""
        return self.order_by("-pk")

    def for_lists(self) -> Self:
        """Load the events and claims too, but not the bodies: a body is shown only on its delivery's own page."""
        return self.select_related("event", "claim").defer("body")

    def versions(self) -> Self:
        """Keep deliveries from which an event's columns were read, the shown version first."""
        return self.filter(outcome__in=BRINGING_VERSIONS).order_by("-judged_at", "-pk")

    def of_shown_version(self) -> "Delivery | None":
        """Return the delivery from which an event's columns were read; None if the delivery was deleted."""
        return self.versions().first()

    def refused(self) -> Self:
        """Keep deliveries that received an error response."""
        return self.filter(outcome__in=REFUSED)

    def count_refused_from(self, client_address: str | None, *, since: datetime) -> int:
        """Count one client's refused deliveries since a given time; an IPv6 /64 counts as one client."""
        recent = self.refused().filter(received_at__gte=since)
        client = network_address(client_address)
        if client is None or ":" not in client:
            return recent.filter(client_address=client).count()
        nearby = recent.filter(client_address__range=_range_around(client)).values_list("client_address", flat=True)
        return sum(network_address(address) == client for address in nearby)

    def drop_surplus_duplicates(self, event: WorkflowEvent, *, count: int) -> None:
        """Delete an event's duplicates, except the first and the newest, but at most MAX_DELETED_AT_ONCE.

        `count` duplicates have arrived. Only every tenth triggers a deletion: one per arrival would double the cost.
        """
        if count % NEWEST_DUPLICATES_KEPT:
            return
        duplicates = self.filter(event=event, outcome=Outcome.DUPLICATE).order_by("pk").values_list("pk", flat=True)
        newest = list(duplicates.reverse()[:NEWEST_DUPLICATES_KEPT])
        surplus = list(duplicates.filter(pk__lt=newest[-1])[1 : MAX_DELETED_AT_ONCE + 1])
        self.filter(pk__in=surplus).delete_unlocked()

    def drop_oldest_without_event(self, outcome: Outcome) -> None:
        """Delete the oldest deliveries with an outcome that has no event, but at most MAX_DELETED_AT_ONCE."""
        newest_first = self.filter(outcome=outcome).order_by("-received_at", "-pk").values_list("pk", flat=True)
        surplus = list(newest_first[NEWEST_WITHOUT_EVENT_KEPT : NEWEST_WITHOUT_EVENT_KEPT + MAX_DELETED_AT_ONCE])
        self.filter(pk__in=surplus).delete_unlocked()

    def drop_oldest(self, *, keep: int) -> None:
        """Delete all but the newest rows, but at most MAX_DELETED_AT_ONCE."""
        surplus = list(self.newest_first().values_list("pk", flat=True)[keep : keep + MAX_DELETED_AT_ONCE])
        self.filter(pk__in=surplus).delete_unlocked()

    def delete_unlocked(self) -> None:
        """Delete the rows, except those that another transaction has locked."""
        # A replay locks its delivery, adds an attempt to it and may wait for the event that is locked here. Deleting
        # that delivery would deadlock, or fail because of the attempt.
        keys = list(self.select_for_update(skip_locked=True).values_list("pk", flat=True))
        if keys:
            # Without only(), Django would load whole rows, bodies included, to find their dependents.
            self.model._default_manager.filter(pk__in=keys).only("pk").delete()


def _range_around(network: str) -> tuple[str, str]:
    """Return the lower and upper bounds of `client_address` for all IP addresses in a /64.

    `network` is the first of these IP addresses. SQLite compares IP addresses as text, and these agree only up to the
    first group that may be omitted (2001:db8::1). Other networks' addresses may therefore also lie in this range.
    """
    if connection.vendor != "sqlite":
        addresses = IPv6Network((network, 64))
        return str(addresses[0]), str(addresses[-1])
    groups = [group.lstrip("0") for group in IPv6Address(network).exploded.split(":")[:4]]
    start = "".join(f"{group}:" for group in takewhile(bool, groups))
    return start or "0", f"{start}g"  # No IP address with this start sorts outside these bounds.


class Delivery(models.Model):
    """One HTTP request sent as a CircleCI webhook.

    The request's columns never change. The verdict (outcome, reason, webhook, secret, event) changes only if a replay
    fixes a refused delivery; the attempts keep every verdict.
    """

    received_at = models.DateTimeField()
    judged_at = models.DateTimeField(help_text="When the verdict was reached: on arrival or by a replay.")
    outcome = models.CharField(max_length=20, choices=Outcome)
    reason = models.TextField(blank=True, help_text="Why it was refused, or not logged as a new event.")
    webhook = models.CharField(
        max_length=255,
        blank=True,
        help_text="The name in CIRCLECI_WEBHOOK_SECRETS of the webhook whose secret matched.",
    )
    verified = models.BooleanField(help_text="Whether its signature proves that CircleCI sent it.")
    # The next two columns are null in rows from releases that did not record them: these rows' secret is unknown.
    secret_fingerprint = models.CharField(
        max_length=conf.FINGERPRINT_LENGTH,
        null=True,
        blank=True,
        help_text="Identifies the secret that matched; empty for an unsigned webhook.",
    )
    project_slug = models.CharField(
        max_length=MAX_TEXT_LENGTH, null=True, blank=True, help_text="The project that a signed payload names."
    )
    webhook_slug = models.CharField(
        "address",
        max_length=255,
        blank=True,
        help_text="The last part of the URL it was sent to; empty for the URL that all webhooks share.",
    )
    plausible = models.BooleanField(help_text="Whether its headers look like CircleCI's and its body is a JSON object.")
    headers = models.JSONField(help_text="The stored headers; their names are in lower case.")
    client_address = models.GenericIPAddressField(null=True, blank=True)
    body = models.BinaryField(help_text="The raw bytes.")
    body_length = models.PositiveIntegerField(
        null=True, blank=True, help_text="In bytes, as it arrived; null if it was not read or not recorded."
    )
    # The next four columns are null in imported deliveries, which no client waits for, and in rows of older releases.
    response_status = models.SmallIntegerField(
        null=True, blank=True, help_text="The status of the response. A replay does not change what was answered."
    )
    response_message = models.TextField(null=True, blank=True, help_text="The message of the response.")
    response_seconds = models.FloatField(
        null=True,
        blank=True,
        help_text="From the arrival until its row was handed to the database. The commit took further time.",
    )
    request_id = models.CharField(
        max_length=MAX_REQUEST_ID_LENGTH, null=True, blank=True, help_text="The response's X-Request-ID."
    )
    event = models.ForeignKey(
        WorkflowEvent,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="deliveries",
        help_text="The event it reports.",
    )

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "deliveries"
        permissions = [
            ("view_delivery_body", "Can view the bodies of deliveries, and so payloads with authors' e-mail addresses"),
            ("replay_delivery", "Can replay deliveries"),
            ("try_secret", "Can try whether a secret signed a refused delivery"),
            ("prune_log", "Can apply the rules of retention at once"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(outcome=Outcome.UNVERIFIED, verified=True),
                name="delivery_unverified_not_verified",
            ),
        ]
        indexes = [
            models.Index(fields=["-received_at", "-id"], name="delivery_newest"),
            models.Index(fields=["outcome", "-received_at", "-id"], name="delivery_outcome_newest"),
            models.Index(
                fields=["webhook", "secret_fingerprint", "project_slug", "-id"], name="delivery_secret_project"
            ),
            models.Index(
                fields=["verified", "plausible", "-id"],
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
        return f"{self.outcome} at {self.received_at:%Y-%m-%d %H:%M:%S} UTC"

    @property
    def secret_position(self) -> int | None:
        """The position, in the webhook's current list, of the secret that signed the delivery; 0 is the newest.

        None if no secret signed the delivery, or if the secret is unknown or no longer configured.
        """
        return conf.secret_position(self.webhook, self.secret_fingerprint)

    @property
    def is_unchecked(self) -> bool:
        """Whether its signature was not checked, because the delivery was rejected before."""
        return self.outcome == Outcome.REJECTED and SIGNATURE_HEADER in self.headers

    @property
    def original_length(self) -> int | None:
        """The length in bytes of the body that arrived, or else the one stated by Content-Length; None if unknown."""
        announced = self.headers.get("content-length", "")
        if self.body_length is None and announced.isdecimal():
            return int(announced)
        return self.body_length

    @property
    def is_whole(self) -> bool:
        """Whether the whole body is stored: unverified deliveries may have only its start, rejected ones none of it."""
        length = self.original_length
        return self.outcome != Outcome.REJECTED if length is None else len(self.body) >= length
