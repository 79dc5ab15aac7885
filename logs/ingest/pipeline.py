"""Process a delivery: authenticate it, read its event, log the event, store the delivery.

Arrivals and replays both call `authenticate` and then `log_event`. Each refusal is an exception whose message is the
reason shown to users.
"""

import logging
from dataclasses import replace
from datetime import timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.utils import timezone

from logs import conf, exceptions
from logs.circleci import signature
from logs.circleci.payload import Event, read_claim, read_event
from logs.circleci.vocabulary import SIGNATURE_HEADER, EventType
from logs.ingest import identity, threads
from logs.ingest.answers import REFUSALS
from logs.ingest.insertion import Pair, insert_event, insert_on_loop, insert_pairs
from logs.ingest.records import Arrival, Sender, Verdict, delivery_columns
from logs.models import Delivery, Outcome, WorkflowEvent
from logs.models.claims import claim_of
from logs.retention import oldest_kept_event
from logs.transactions import durable_transaction, is_outside_transactions, require_time_left

logger = logging.getLogger(__name__)

REFUSED = (exceptions.PayloadMalformed, exceptions.ProjectRefused)


class New(NamedTuple):
    """The rows for an event that is probably new, and the verdict if it is."""

    pair: Pair
    verdict: Verdict


def authenticate(arrival: Arrival) -> Sender:
    """Return the configured webhook that sent an arrival, without reading the body.

    Raises:
        SignatureRefused: the signature matches no secret of any webhook that the URL allows.
    """
    candidates = _candidates(arrival.webhook_slug)
    if arrival.webhook_slug and not any(webhook.is_signed for webhook in candidates):
        return Sender(webhook=candidates[0], secret_fingerprint="")
    keys = [(webhook, position) for webhook in candidates for position in range(len(webhook.secrets))]
    secrets = [webhook.secrets[position] for webhook, position in keys]
    try:
        webhook, position = keys[signature.verify(arrival.body, arrival.headers.get(SIGNATURE_HEADER), secrets)]
    except exceptions.SignatureRefused as error:
        owner = f"of webhook {candidates[0].name}" if arrival.webhook_slug else "of all webhooks"
        raise exceptions.SignatureRefused(f"{error} (secrets {owner} tried: {len(secrets)})") from error
    return Sender(webhook=webhook, secret_fingerprint=conf.fingerprint(webhook.secrets[position]))


def _candidates(slug: str) -> list[conf.Webhook]:
    if slug:
        candidates = [webhook for webhook in conf.webhooks() if webhook.slug == slug]
    else:
        candidates = [webhook for webhook in conf.webhooks() if webhook.is_signed]
    if not candidates:
        raise exceptions.SignatureRefused("no webhook is configured for this URL; see CIRCLECI_WEBHOOK_SECRETS")
    return candidates


def record(arrival: Arrival, sender: Sender) -> Verdict:
    """Log an authentic arrival durably; it has been committed when this function returns.

    Recording an event again only adds a delivery to it. A newer version of an event replaces an older one,
    regardless of the order of arrival.

    Raises:
        PayloadMalformed: no event can be read from the body; the delivery is stored.
        ProjectRefused: the webhook may not send this project's events; the delivery is stored.
        OperationalError: the database is unreachable, full or too slow. If too slow, the event may have been logged.
    """
    try:
        event = read_trusted(arrival, sender)
    except REFUSED as error:
        keep_refused(arrival, error, sender)
        raise
    new = _as_new(event, arrival, sender)
    if new and is_outside_transactions() and insert_pairs([new.pair]) != [None]:
        return new.verdict
    return _record_known(event, arrival, sender)


async def record_on_loop(arrival: Arrival, sender: Sender) -> Verdict:
    """Log an authentic arrival as `record` does, on the event loop: new events that arrive together share a commit."""
    try:
        event = read_trusted(arrival, sender)
    except REFUSED as error:
        await threads.authentic.run(keep_refused, arrival, error, sender)
        raise
    new = _as_new(event, arrival, sender)
    if new and await insert_on_loop(new.pair):
        return new.verdict
    return await threads.authentic.run(_record_known, event, arrival, sender)


def _record_known(event: Event, arrival: Arrival, sender: Sender) -> Verdict:
    """Log an event that needs `log_event`, or that was not inserted as new."""
    require_time_left(arrival.started_at)
    try:
        with durable_transaction():
            verdict = log_event(event, arrival, sender)
            _store(arrival, verdict)
    except exceptions.ProjectRefused as error:
        keep_refused(arrival, error, sender)
        raise
    return verdict


def read_trusted(arrival: Arrival, sender: Sender) -> Event:
    """Read the event in an authentic arrival.

    Raises:
        PayloadMalformed: no event can be read from the body.
        ProjectRefused: the webhook may not send this project's events.
    """
    event = read_event(arrival.body)
    if event.event_type != EventType.PING and not sender.webhook.may_speak_for(event.project_slug):
        raise exceptions.ProjectRefused(
            f"webhook {sender.webhook.name} may not send events of the project {event.project_slug!r}"
        )
    return event


def _as_new(event: Event, arrival: Arrival, sender: Sender) -> New | None:
    """Return the rows for a new event and the verdict on it; None if the event needs `log_event`."""
    if _verdict_without_row(event, sender):
        return None
    verdict = Verdict(outcome=Outcome.LOGGED, sender=sender, event_id=event.event_id, project_slug=event.project_slug)
    pair = Pair(
        event=_event_columns(event, arrival, sender),
        delivery=delivery_columns(arrival, verdict),
        is_bound=bool(sender.webhook.projects),
        started_at=None if arrival.request_id is None else arrival.started_at,
    )
    return New(pair, verdict)


def log_event(event: Event, arrival: Arrival, sender: Sender, *, reread: bool = False) -> Verdict:
    """Log the event in an authentic arrival without storing a delivery. Call it in a transaction.

    Args:
        event: the event, read from the arrival.
        arrival: the request.
        sender: its sender.
        reread: if the log already shows this version of the event, write its columns again.

    Raises:
        ProjectRefused: the event id or the project id belongs to a project whose events the webhook may not send.
    """
    verdict = _verdict_without_row(event, sender)
    if verdict:
        return verdict
    identity.require_own_project_id(event, sender)
    outcome, reason, row = _log_version(event, arrival, sender, reread=reread)
    return Verdict(
        outcome=outcome,
        reason=reason,
        sender=sender,
        event=row,
        event_id=row.event_id,
        project_slug=event.project_slug,
    )


def _verdict_without_row(event: Event, sender: Sender) -> Verdict | None:
    """Return the verdict on an event that is acknowledged but not stored; None for any other event."""
    oldest = oldest_kept_event()
    if event.event_type == EventType.PING:
        outcome, reason = Outcome.PING, ""
    elif oldest and event.happened_at and event.happened_at < oldest:
        outcome, reason = Outcome.EXPIRED, "older than EVENT_RETENTION_DAYS"
    else:
        return None
    return Verdict(
        outcome=outcome, reason=reason, sender=sender, event_id=event.event_id, project_slug=event.project_slug
    )


def _event_columns(event: Event, arrival: Arrival, sender: Sender) -> dict[str, Any]:
    return vars(event) | {
        "received_at": arrival.received_at,
        "verified": sender.verified,
        "changed_at": timezone.now(),
        "duplicates": None,
        "origin": sender.origin,
    }


def _log_version(event: Event, arrival: Arrival, sender: Sender, *, reread: bool) -> tuple[Outcome, str, WorkflowEvent]:
    row = WorkflowEvent(**_event_columns(event, arrival, sender))
    # The lock makes a version that arrives at the same time wait, and then see this version's changes.
    known = WorkflowEvent.objects.select_for_update(no_key=True).filter(event_id=event.event_id).first()
    if known is None:
        if insert_event(row):
            return Outcome.LOGGED, "", row
        return _log_version(event, arrival, sender, reread=reread)  # Another transaction has just inserted it.
    relation = identity.relate(event, known, sender)
    if relation is identity.Relation.UNRELATED:
        renamed = replace(event, event_id=identity.id_of_its_own(event))
        outcome, reason, row = _log_version(renamed, arrival, sender, reread=reread)
        return outcome, reason or f"logged under an id of its own: {known.project_slug!r} has this one", row
    is_same = identity.is_same_version(row, known)
    if relation is identity.Relation.CLAIM:
        reason = f"replaces an event of {known.project_slug!r}, whose webhook may not send this project's events"
    elif not is_same and identity.is_newer_version(row, known):
        reason = "a newer version of a known event"
    elif is_same and reread:
        reason = "the same version, read again"
    else:
        return Outcome.DUPLICATE, f"{'the same' if is_same else 'an older'} version of a known event", known
    row.pk, row.received_at, row.duplicates = known.pk, known.received_at, known.duplicates
    row.save(force_update=True)
    return Outcome.UPDATED, reason, row


def keep_refused(arrival: Arrival, error: exceptions.WebhookLogError, sender: Sender | None = None) -> None:
    """Store a refused arrival for the operator, within bounds.

    Unsigned arrivals are limited per IP address per minute, and their bodies are truncated. The number of stored
    refused deliveries is limited per group (verified, plausible, other), so that no group displaces another. What a
    body that was not truncated says about its event is stored as a claim.
    """
    outcome, status = REFUSALS[type(error)]
    verdict = Verdict(outcome=outcome, reason=str(error), sender=sender, refusal_status=status)
    verified, plausible = sender is not None and sender.verified, arrival.is_plausible
    # Counted before the transaction: a flood that is not stored must not make deliveries wait for SQLite's lock.
    is_stored = verified or not _is_flooding(arrival)
    if is_stored:
        delivery = _delivery(arrival, verdict)
        delivery.body = body = arrival.body if verified else arrival.body[: settings.REFUSED_BODY_MAX_BYTES]
        claimed = read_claim(body)
        with durable_transaction():
            _store_refused(delivery, claimed)
            group = Delivery.objects.refused().filter(verified=verified, plausible=plausible)
            group.drop_oldest(keep=settings.REFUSED_DELIVERIES_MAX)
    logger.warning(
        "%s delivery from %s, %s: %s",
        verdict.outcome,
        arrival.client_address,
        "stored" if is_stored else "not stored",
        verdict.reason,
    )


def _store_refused(delivery: Delivery, claimed: Event | None) -> None:
    delivery.save(force_insert=True)
    claim = claim_of(delivery, claimed) if claimed else None
    if claim:
        claim.save(force_insert=True)


def _is_flooding(arrival: Arrival) -> bool:
    limit = settings.REFUSED_DELIVERIES_PER_MINUTE
    since = arrival.received_at - timedelta(minutes=1)
    return Delivery.objects.count_refused_from(arrival.client_address, since=since) >= limit


def _store(arrival: Arrival, verdict: Verdict) -> None:
    """Save the delivery for a verdict, and limit how many repetitions are stored."""
    _delivery(arrival, verdict).save(force_insert=True)
    if verdict.outcome == Outcome.DUPLICATE and verdict.event:
        count = (verdict.event.duplicates or 0) + 1  # The event's row is locked.
        WorkflowEvent.objects.filter(pk=verdict.event.pk).update(duplicates=count)
        Delivery.objects.drop_surplus_duplicates(verdict.event, count=count)
    elif verdict.event is None:
        Delivery.objects.drop_oldest_without_event(verdict.outcome)


def _delivery(arrival: Arrival, verdict: Verdict) -> Delivery:
    return Delivery(**delivery_columns(arrival, verdict), event=verdict.event)
