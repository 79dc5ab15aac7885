"""Pass a stored delivery through the pipeline again, with the current code and settings."""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from logs.exceptions import WebhookLogError
from logs.ingest.answers import REFUSALS
from logs.ingest.pipeline import authenticate, log_event, read_trusted
from logs.ingest.records import Arrival, Sender, Verdict, save_verdict
from logs.models import Attempt, Delivery, Outcome
from logs.models.deliveries import BRINGING_VERSIONS, REFUSED
from logs.transactions import durable_transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """The result of a replay or of its dry run."""

    delivery: Delivery
    before: Outcome
    verdict: Verdict

    @property
    def fixed(self) -> bool:
        """Whether a refused delivery is accepted now."""
        return self.before in REFUSED and self.verdict.outcome not in REFUSED

    @property
    def has_effect(self) -> bool:
        """Whether a refused delivery gets another outcome, or an accepted delivery's event is read again."""
        if self.before in REFUSED:
            return self.verdict.outcome != self.before
        return self.brings_version

    @property
    def brings_version(self) -> bool:
        """Whether the log shows this delivery's version of its event."""
        return self.verdict.outcome in BRINGING_VERSIONS


def replay(delivery_id: int, *, actor: str, dry_run: bool = False) -> Replay:
    """Judge a stored delivery again from its original bytes and headers, and log its event if it is accepted.

    A refused delivery gets the new verdict; its event keeps the delivery's time of arrival. Any other delivery keeps
    its verdict, but if it holds the version that the log shows, the event's columns are read from it again. A second
    replay changes nothing further. The delivery is locked during a replay.

    Args:
        delivery_id: the primary key.
        actor: the user who requested the replay; stored with the attempt.
        dry_run: judge, but write nothing.

    Raises:
        Delivery.DoesNotExist: there is no such delivery, or retention has just removed it.
    """
    with durable_transaction():
        delivery = Delivery.objects.select_for_update().get(pk=delivery_id)
        before = Outcome(delivery.outcome)
        verdict = _judge(delivery)
        now = timezone.now()
        if not delivery.attempts.exists():
            _add_attempt(delivery, at=delivery.received_at, outcome=before, reason=delivery.reason, actor="")
        _add_attempt(delivery, at=now, outcome=verdict.outcome, reason=verdict.reason, actor=actor)
        if before in REFUSED:
            save_verdict(delivery, verdict, judged_at=now)
        transaction.set_rollback(dry_run)
    return Replay(delivery=delivery, before=before, verdict=verdict)


def _judge(delivery: Delivery) -> Verdict:
    body = bytes(delivery.body)
    if not delivery.is_whole:
        length = delivery.original_length
        why = (
            "its body was not read" if length is None else f"only {len(body)} of {length} bytes of its body are stored"
        )
        return Verdict(outcome=Outcome(delivery.outcome), reason=f"cannot be judged again: {why}")
    arrival = Arrival(
        received_at=delivery.received_at,
        webhook_slug=delivery.webhook_slug,
        headers=delivery.headers,
        client_address=delivery.client_address,
        body=body,
    )
    sender: Sender | None = None
    try:
        sender = authenticate(arrival)
        return log_event(read_trusted(arrival, sender), arrival, sender, reread=True)
    except WebhookLogError as error:
        outcome, _status = REFUSALS[type(error)]
        return Verdict(outcome=outcome, reason=str(error), sender=sender)


def _add_attempt(delivery: Delivery, *, at: datetime, outcome: Outcome, reason: str, actor: str) -> None:
    Attempt.objects.create(delivery=delivery, attempted_at=at, outcome=outcome, reason=reason, actor=actor)
