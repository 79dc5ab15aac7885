"""A delivery's way into the log: authenticate, read, record.

Arrival and replay alike call `authenticate` and then `record`; what `authenticate` refuses goes to `keep_refused`.
"""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.db import transaction

from logs import conf
from logs.circleci import signature
from logs.circleci.payload import Event, read_event
from logs.circleci.vocabulary import SIGNATURE_HEADER, EventType
from logs.exceptions import PayloadMalformed, SignatureRefused
from logs.ingest.insertion import insert_event
from logs.models import Delivery, Outcome, WorkflowEvent

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A request as it reached the receiving endpoint; nothing in it has been believed yet."""

    received_at: datetime
    path: str
    webhook_slug: str | None  # From the path; None where any configured webhook may have sent it.
    headers: Mapping[str, str]  # The allow-listed ones, their names in lower case.
    client_address: str | None
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Who sent an arrival, as far as it could be proved."""

    webhook: str  # The configured name.
    verified: bool  # False for a webhook without a secret, whose address anybody may use.


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of an authentic arrival: LOGGED, UPDATED, DUPLICATE or PING."""

    outcome: Outcome
    event_id: str  # CircleCI's.


def authenticate(arrival: Arrival) -> Sender:
    """Find the configured webhook that sent an arrival, without looking into the body.

    Raises:
        SignatureRefused: none of the webhooks that its address allows has signed it.
    """
    candidates = _candidates(arrival.webhook_slug)
    if arrival.webhook_slug is not None and not candidates[0].is_signed:
        return Sender(webhook=candidates[0].name, verified=False)
    secrets = [(webhook.name, secret) for webhook in candidates for secret in webhook.secrets]
    position = signature.verify(arrival.body, arrival.headers.get(SIGNATURE_HEADER), [secret for _, secret in secrets])
    return Sender(webhook=secrets[position][0], verified=True)


def _candidates(slug: str | None) -> list[conf.Webhook]:
    if slug is None:
        candidates = [webhook for webhook in conf.webhooks() if webhook.is_signed]
    else:
        candidates = [webhook for webhook in conf.webhooks() if webhook.slug == slug]
    if not candidates:
        raise SignatureRefused("no webhook is configured for this address; see CIRCLECI_WEBHOOK_SECRETS")
    return candidates


def record(arrival: Arrival, sender: Sender) -> Receipt:
    """Log an authentic arrival durably; when this returns, it is committed.

    Recording the same event again changes nothing but the list of its deliveries, and only a newer version of an event
    replaces an older one, in whatever order they arrive.

    Raises:
        PayloadMalformed: no event can be read from it; the delivery is kept as malformed.
    """
    try:
        event = read_event(arrival.body)
    except PayloadMalformed as error:
        keep_refused(arrival, Outcome.MALFORMED, str(error), sender)
        raise
    with transaction.atomic(durable=True):
        verdict = _log_version(event, arrival, sender)
        _add_delivery(arrival, sender, verdict)
    return Receipt(outcome=verdict.outcome, event_id=event.event_id)


class _Verdict(NamedTuple):
    outcome: Outcome
    reason: str = ""
    event: WorkflowEvent | None = None


def _log_version(event: Event, arrival: Arrival, sender: Sender) -> _Verdict:
    if event.event_type == EventType.PING:
        return _Verdict(Outcome.PING)
    row = WorkflowEvent(**asdict(event), received_at=arrival.received_at, verified=sender.verified)
    if insert_event(row):
        return _Verdict(Outcome.LOGGED, event=row)
    # Locked, so that of two versions arriving at once the second sees what the first has written.
    known = WorkflowEvent.objects.select_for_update(no_key=True).filter(event_id=event.event_id).first()
    if known is None:
        return _Verdict(Outcome.DUPLICATE, "the event was removed while this delivery arrived")
    if _version(row) > _version(known):
        row.pk, row.received_at = known.pk, known.received_at
        row.save(force_update=True)
        return _Verdict(Outcome.UPDATED, "a newer version of a known event", row)
    age = "the same" if _version(row) == _version(known) else "an older"
    return _Verdict(Outcome.DUPLICATE, f"{age} version of a known event", known)


def _version(row: WorkflowEvent) -> tuple[bool, datetime, datetime]:
    """Return what orders the versions of one event: the greatest is the one to show.

    `verified` stands first: what nobody signed never replaces what CircleCI signed, whatever times it claims.
    """
    never = datetime.min.replace(tzinfo=UTC)
    return (row.verified, row.happened_at or never, row.stopped_at or never)


def keep_refused(arrival: Arrival, outcome: Outcome, reason: str, sender: Sender | None = None) -> None:
    """Keep a refused arrival for the operator, within bounds that a stranger cannot stretch.

    What nobody has signed is limited for each client address and minute, and its body is cut. The number of refused
    deliveries kept is limited too, for verified and unverified ones apart, so that neither pushes out the other.
    """
    verified = sender is not None and sender.verified
    with transaction.atomic(durable=True):
        is_kept = verified or not _is_flooding(arrival)
        if is_kept:
            kept = arrival if verified else replace(arrival, body=arrival.body[: settings.REFUSED_BODY_MAX_BYTES])
            _add_delivery(kept, sender, _Verdict(outcome, reason))
            Delivery.objects.refused().filter(verified=verified).drop_oldest(keep=settings.REFUSED_DELIVERIES_MAX)
    logger.warning(
        "%s delivery from %s, %s: %s", outcome, arrival.client_address, "kept" if is_kept else "not kept", reason
    )


def _is_flooding(arrival: Arrival) -> bool:
    limit = settings.REFUSED_DELIVERIES_PER_MINUTE
    since = arrival.received_at - timedelta(minutes=1)
    return Delivery.objects.refused_from(arrival.client_address, since=since)[:limit].count() >= limit


def _add_delivery(arrival: Arrival, sender: Sender | None, verdict: _Verdict) -> None:
    Delivery.objects.create(
        received_at=arrival.received_at,
        outcome=verdict.outcome,
        reason=verdict.reason,
        webhook=sender.webhook if sender else "",
        verified=sender is not None and sender.verified,
        path=arrival.path,
        headers=dict(arrival.headers),
        client_address=arrival.client_address,
        body=arrival.body,
        event=verdict.event,
    )
