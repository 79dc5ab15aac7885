"""The records that ingest uses (an arrival, its sender, its verdict) and the columns that store them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Any

from logs import conf
from logs.circleci.vocabulary import EVENT_TYPE_HEADER, USER_AGENT
from logs.ingest.answers import ANSWERS
from logs.models import Claim, Delivery, Origin, Outcome, WorkflowEvent
from logs.models.deliveries import REFUSED


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A request as it reached the receiving endpoint; none of its content is verified yet."""

    received_at: datetime
    webhook_slug: str  # The last part of its path; "" if any configured webhook may have sent it.
    headers: Mapping[str, str]  # The allow-listed headers, with names in lower case.
    client_address: str | None
    body: bytes = b""
    body_length: int | None = None  # In bytes, before truncation; None if the body was not read.
    request_id: str | None = None  # None if no client waits for a response, as with an import.
    started_at: float = field(default_factory=monotonic)  # By `monotonic`.

    @property
    def is_plausible(self) -> bool:
        """Whether the arrival looks like a CircleCI request. Any client can forge one; this only filters out noise."""
        return (
            self.headers.get("user-agent", "").startswith(USER_AGENT.partition("/")[0])
            and EVENT_TYPE_HEADER in self.headers
            and self.body.lstrip()[:1] == b"{"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """The sender of an arrival, as far as it is known."""

    webhook: conf.Webhook
    secret_fingerprint: str  # Identifies the secret that signed (logs.conf); "" for an unsigned webhook.
    origin: Origin = Origin.WEBHOOK

    @property
    def verified(self) -> bool:
        """Whether CircleCI signed the arrival; any client may use the URL of an unsigned webhook."""
        return bool(self.secret_fingerprint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The decision on an arrival, and the reason for it."""

    outcome: Outcome
    reason: str = ""
    sender: Sender | None = None  # None if no sender is proved.
    event: WorkflowEvent | None = None
    event_id: str = ""  # CircleCI's id, even if there is no row; "" if it could not be read.
    project_slug: str = ""  # From the payload; "" if it has none, or if the delivery was refused.
    refusal_status: int | None = None  # The status of the response; None if the delivery was accepted.

    @property
    def answer(self) -> tuple[int, str]:
        """The status and the message of the response."""
        return (self.refusal_status, self.reason) if self.refusal_status else ANSWERS[self.outcome]


def delivery_columns(arrival: Arrival, verdict: Verdict) -> dict[str, Any]:
    """Return the columns of a new delivery, without its event."""
    return {
        "received_at": arrival.received_at,
        "webhook_slug": arrival.webhook_slug,
        "headers": dict(arrival.headers),
        "client_address": arrival.client_address,
        "plausible": arrival.is_plausible,
        "body": arrival.body,
        "body_length": arrival.body_length,
        **_verdict_columns(verdict, judged_at=arrival.received_at),
        **_answer_columns(arrival, verdict),
    }


def _answer_columns(arrival: Arrival, verdict: Verdict) -> dict[str, Any]:
    is_answered = arrival.request_id is not None
    status, message = verdict.answer if is_answered else (None, None)
    return {
        "response_status": status,
        "response_message": message,
        "response_seconds": seconds_since(arrival.started_at) if is_answered else None,
        "request_id": arrival.request_id,
    }


def seconds_since(started_at: float) -> float:
    """Return the time since a request arrived, in seconds, as a delivery stores it."""
    return round(monotonic() - started_at, 6)


def _verdict_columns(verdict: Verdict, *, judged_at: datetime) -> dict[str, Any]:
    sender = verdict.sender
    return {
        "judged_at": judged_at,
        "outcome": verdict.outcome,
        "reason": verdict.reason,
        "webhook": sender.webhook.name if sender else "",
        "secret_fingerprint": sender.secret_fingerprint if sender else None,
        # Empty for unsigned webhooks: any client could invent projects, and `logs.insights.secret_use` reads them all.
        "project_slug": verdict.project_slug if sender and sender.verified else "",
        "verified": sender is not None and sender.verified,
    }


def save_verdict(delivery: Delivery, verdict: Verdict, *, judged_at: datetime) -> None:
    """Save a new verdict on a stored delivery; the arrival's columns, including its bytes, are not written.

    An accepted delivery has an event instead of a claim.
    """
    columns = _verdict_columns(verdict, judged_at=judged_at) | {"event": verdict.event}
    for name, value in columns.items():
        setattr(delivery, name, value)
    delivery.save(update_fields=columns)
    if verdict.outcome not in REFUSED:
        Claim.objects.filter(pk=delivery.pk).delete()
